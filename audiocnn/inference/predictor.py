"""Files to predictions: which files, their spectrograms, and many of them side by side."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from audiocnn.inference.ensemble import BATCH, Floats32, class_probabilities, why_unfit
from audiocnn.inference.pretrained import PretrainedAudioCNN
from audiocnn.processes import usable_cores
from audiocnn.sound.spectrogram import BadSoundError, spectrograms

_SPECTROGRAM = ".npy"


class Prediction(NamedTuple):
    """One window. start, end: in seconds, None for a spectrogram. probabilities: by class index."""

    name: str
    start: float | None
    end: float | None
    probabilities: list[float]


@dataclass
class Outcome:
    """What became of a file: its windows' predictions, or the problem for which there are none."""

    path: Path
    predictions: list[Prediction] = field(default_factory=list)
    problem: str | None = None


class _Window(NamedTuple):
    outcome: Outcome
    name: str
    start: float | None
    end: float | None
    spectrogram: Floats32


@dataclass(frozen=True)
class Predictor:
    """The networks that vote, and the seconds from one window of a recording to the next."""

    models: Sequence[PretrainedAudioCNN]
    hop_seconds: float

    def outcomes(self, files: Sequence[Path]) -> Iterator[Outcome]:
        """The outcome of each file, in order. Files go in groups to as many threads as the machine has cores.

        numpy, the decoders and torch let other threads run, and a network that has one core wastes none of it waiting.
        """
        cores = usable_cores()
        size = min(BATCH, -(-len(files) // cores))
        groups = [files[start : start + size] for start in range(0, len(files), size)]
        workers = min(cores, len(groups))
        # For the whole process: torch has no number of threads of its own for a pool's thread.
        torch.set_num_threads(min(torch.get_num_threads(), cores // workers))
        with ThreadPoolExecutor(workers) as pool:
            yield from _in_order(pool, self, groups, ahead=2 * workers)

    def group(self, files: Iterable[Path]) -> list[Outcome]:
        """The outcome of each file, in order; their windows go through the network BATCH at a time."""
        outcomes = []
        waiting: list[_Window] = []
        for path in files:
            outcome = Outcome(path)
            outcomes.append(outcome)
            try:
                for window in self._windows(outcome):
                    waiting.append(window)
                    if len(waiting) == BATCH:
                        self._flush(waiting)
            except BadSoundError as error:
                outcome.problem = str(error)
        self._flush(waiting)
        return outcomes

    def _windows(self, outcome: Outcome) -> Iterator[_Window]:
        path = outcome.path
        if path.suffix.lower() == _SPECTROGRAM:
            for name, spectrogram in _stored_spectrograms(path, self.models[0]):
                yield _Window(outcome, name, None, None, spectrogram)
            return
        recipe = self.models[0].recipe
        assert recipe is not None
        for start, end, spectrogram in spectrograms(path, recipe, self.hop_seconds):
            yield _Window(outcome, str(path), start, end, spectrogram)

    def _flush(self, waiting: list[_Window]) -> None:
        if not waiting:
            return
        rows = class_probabilities(self.models, np.stack([window.spectrogram for window in waiting]))
        for (outcome, name, start, end, _), row in zip(waiting, rows, strict=True):
            if not np.isfinite(row).all():
                outcome.problem = "non-finite: NaN, infinite or huge values"
            outcome.predictions.append(Prediction(name, start, end, row.tolist()))
        waiting.clear()


def _in_order(
    pool: ThreadPoolExecutor, predictor: Predictor, groups: Iterable[Sequence[Path]], ahead: int
) -> Iterator[Outcome]:
    under_way: deque[Future[list[Outcome]]] = deque()
    for files in groups:
        if len(under_way) == ahead:
            yield from under_way.popleft().result()
        under_way.append(pool.submit(predictor.group, files))
    for future in under_way:
        yield from future.result()


def _stored_spectrograms(path: Path, model: PretrainedAudioCNN) -> Iterator[tuple[str, Floats32]]:
    """The spectrograms in a .npy file: (mels, frames), or (clips, mels, frames) named FILE[0], FILE[1] and so on."""
    try:
        # Mapped, since a header may claim more than the file holds; it is refused then, as are Python objects.
        array = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise BadSoundError("missing", "no such file") from None
    except (OSError, ValueError, TypeError, SyntaxError, OverflowError) as error:
        raise BadSoundError("unreadable", " ".join(str(error).split()) or "not a .npy file") from None
    if array.ndim not in (2, 3) or array.dtype.kind != "f":
        detail = f"it is {array.dtype} {array.shape}, expected float (mels, frames) or (clips, mels, frames)"
        raise BadSoundError("unreadable", detail)
    if unfit := why_unfit(model, array.shape[-2:]):
        raise BadSoundError("unreadable", unfit)
    with np.errstate(over="ignore"):
        if array.ndim == 2:
            yield str(path), np.array(array, np.float32)
        else:
            yield from ((f"{path}[{row}]", np.array(clip, np.float32)) for row, clip in enumerate(array))
