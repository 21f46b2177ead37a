"""Sound to mel spectrogram, in one way for training and for prediction. Needs the extra `audiocnn[audio]`."""

import importlib.util
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from audiocnn.errors import UserError
from audiocnn.sound.decode import BadSoundError, Floats, Recording, open_recording
from audiocnn.sound.log_mel import log_mel
from audiocnn.sound.recipe import Recipe
from audiocnn.sound.windows import Window, WindowCutter

_LIBRARIES = ("av", "numpy", "soxr")


class Spectrogram(NamedTuple):
    """A window as spectrogram: start and end in seconds, None where unknown; values (mels, frames) in dB.

    is_silent: whether it is digital silence, or so quiet that every value is the recipe's floor.
    """

    start: float | None
    end: float | None
    values: Floats
    is_silent: bool


def is_constant(values: Floats) -> bool:
    """Whether a spectrogram (mels, frames) is one finite value: there is nothing in it to be told apart."""
    return bool(np.isfinite(values).all() and values.min() == values.max())


def require_audio() -> None:
    """Raises UserError where the libraries that decode and transform sound are not installed."""
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        command = "pip install -c constraints.txt -e '.[audio]'"
        raise UserError(f'sound files need {", ".join(missing)}: install them with "{command}".')


def library_versions() -> dict[str, str]:
    """The versions of the libraries that decide a spectrogram's last digits, by name."""
    return {name: version(name) for name in _LIBRARIES}


def clip_spectrogram(path: Path, recipe: Recipe) -> Floats:
    """The spectrogram (mels, frames), in dB, of a sound file's first `recipe.seconds`. Raises BadSoundError."""
    return first_window(path, recipe)[0].values


def first_window(path: Path, recipe: Recipe) -> tuple[Spectrogram, str | None]:
    """A sound file's first `recipe.seconds`, and what of them was damaged and left out. Raises BadSoundError."""
    with open_recording(path) as recording:
        first = next(spectrograms(recording, recipe, recipe.seconds))
        if first.is_silent:
            raise BadSoundError("silent", f"nothing but silence from 0 to {first.end:g} s")
        return first, recording.damage


def spectrograms(recording: Recording, recipe: Recipe, hop_seconds: float) -> Iterator[Spectrogram]:
    """A recording's windows as they are decoded, one every `hop_seconds` (> 0). The last ends with the recording.

    The first is what `clip_spectrogram` gives. Only a recording shorter than a window is zero-padded.
    Raises BadSoundError.
    """
    cutter = WindowCutter(recording.rate, recipe, hop_seconds)
    for block in recording.blocks():
        yield from (window_spectrogram(window, recipe) for window in cutter.feed(block))
    yield from (window_spectrogram(window, recipe) for window in cutter.finish())


def window_spectrogram(window: Window, recipe: Recipe) -> Spectrogram:
    """A window's spectrogram. Raises BadSoundError where its samples overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        values = log_mel(window.sound, recipe)
    if not np.isfinite(values).all():
        raise BadSoundError("non-finite", "its samples overflow")
    return Spectrogram(window.start, window.end, values, window.is_silent or is_constant(values))
