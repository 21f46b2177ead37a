"""A stream of samples, resampled and cut into windows as it comes. No window depends on the borders of blocks."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiocnn.sound.decode import BadSoundError, Floats
from audiocnn.sound.recipe import Recipe

_DIGITS = 6  # of a second: finer than a sample at any rate


class Window(NamedTuple):
    """`recipe.samples` of sound at `recipe.rate`, (samples,). start, end: of the sound in it, in seconds.

    is_silent: whether all of the samples it comes from are zeros; resampling lets what is beside them ring into them.
    """

    start: float
    end: float
    sound: Floats
    is_silent: bool


class WindowCutter:
    """Cuts blocks of mono sound into windows, one every `hop_seconds`, more than 0.

    The last one ends with the recording, so that only a recording shorter than a window is zero-padded. What is left at
    the end counts from one hop_length on. Memory: two windows and a block.
    """

    def __init__(self, rate: int, recipe: Recipe, hop_seconds: float) -> None:
        import soxr

        self._recipe, self._hop_seconds, self._per_sample = recipe, hop_seconds, rate / recipe.rate
        self._resampler = soxr.ResampleStream(rate, recipe.rate, 1, dtype="float32", quality="HQ")
        self._sound = _Tail(np.dtype(np.float32))  # resampled
        self._is_sound = _Tail(np.dtype(np.bool_))  # of each sample as it came, whether it is not zero
        self._index = 0  # of the next window

    def feed(self, block: Floats) -> Iterator[Window]:
        """The windows that a block (samples,) completes. Raises BadSoundError where it is not finite."""
        self._take(block, is_last=False)
        yield from self._complete()

    def finish(self) -> Iterator[Window]:
        """The windows that the recording's end completes. Raises BadSoundError where it is too short for any."""
        self._take(np.zeros(0, np.float32), is_last=True)
        yield from self._complete()
        total, hop_length = self._sound.end, self._recipe.hop_length
        if self._index == 0:
            if total < hop_length:
                raise _too_short(total)
            yield self._padded()
        elif total - self._recipe.samples - self._start(self._index - 1) >= hop_length:
            yield self._window(total - self._recipe.samples)

    def _take(self, block: Floats, is_last: bool) -> None:
        if not np.isfinite(block).all():
            raise BadSoundError("non-finite", "NaN or infinite samples")
        self._is_sound.append(block != 0)
        self._sound.append(self._resampler.resample_chunk(block, last=is_last))
        if len(self._sound) > 2 * self._recipe.samples:  # where hop_seconds is longer than a window
            self._forget()

    def _start(self, index: int) -> int:
        """Where the window of this index starts, in samples."""
        return round(index * self._hop_seconds * self._recipe.rate)

    def _complete(self) -> Iterator[Window]:
        while self._start(self._index) + self._recipe.samples <= self._sound.end:
            window = self._window(self._start(self._index))
            self._index += 1
            self._forget()
            yield window

    def _window(self, start: int) -> Window:
        end = min(start + self._recipe.samples, self._sound.end)
        is_silent = not self._is_sound.part(self._as_it_came(start), self._as_it_came(end)).any()
        rate = self._recipe.rate
        return Window(round(start / rate, _DIGITS), round(end / rate, _DIGITS), self._sound.part(start, end), is_silent)

    def _as_it_came(self, sample: int) -> int:
        """Where a sample stands in the sound before it is resampled."""
        return round(sample * self._per_sample)

    def _padded(self) -> Window:
        window = self._window(0)
        return window._replace(sound=np.pad(window.sound, (0, self._recipe.samples - len(window.sound))))

    def _forget(self) -> None:
        """Drops what neither the next window nor one that ends here needs."""
        needed = max(min(self._start(self._index), self._sound.end - self._recipe.samples), 0)
        self._sound.drop(needed)
        self._is_sound.drop(self._as_it_came(needed))


class _Tail:
    """The last part of a stream of values, by their place in all of it. end: how many have come."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._blocks: list[NDArray[Any]] = [np.zeros(0, dtype)]
        self._offset = self.end = 0

    def __len__(self) -> int:
        return self.end - self._offset

    def append(self, block: NDArray[Any]) -> None:
        self._blocks.append(block)
        self.end += len(block)

    def part(self, start: int, end: int) -> NDArray[Any]:
        return self._joined()[start - self._offset : end - self._offset]

    def drop(self, before: int) -> None:
        if before > self._offset:
            self._blocks = [self._joined()[before - self._offset :]]
            self._offset = before

    def _joined(self) -> NDArray[Any]:
        self._blocks = [np.concatenate(self._blocks)]
        return self._blocks[0]


def _too_short(samples: int) -> BadSoundError:
    if samples == 0:
        return BadSoundError("empty", "no samples")
    return BadSoundError("too short", f"{samples} samples, shorter than one hop_length")
