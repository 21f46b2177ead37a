"""Files to predictions: which files, their spectrograms, and many of them side by side."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import torch

from audiocnn.inference.answer import Answer, OfRecording, OverWindows, answers
from audiocnn.inference.ensemble import BATCH, Floats32
from audiocnn.inference.in_order import in_order
from audiocnn.inference.memory import MOST_BYTES, clip_bytes, shares
from audiocnn.inference.pretrained import PretrainedAudioCNN, why_unfit
from audiocnn.inference.stored import map_spectrograms
from audiocnn.processes import usable_cores
from audiocnn.sound.decode import BadSoundError, open_recording
from audiocnn.sound.spectrogram import Spectrogram, is_constant, spectrograms

_SPECTROGRAM = ".npy"
_LONGEST_WORDS = 200  # of an error that nobody foresaw


class Prediction(NamedTuple):
    """What the networks say of a window, or of a whole recording. name: the file's, with [row] in a stack."""

    name: str
    answer: Answer


class Trouble(NamedTuple):
    """Why a file gives no more predictions. is_error: it is not damaged only at its end."""

    name: str
    text: str
    is_error: bool


class Progress(NamedTuple):
    """How much of a file was read: 0 to 1."""

    part: float


class End(NamedTuple):
    """Nothing more comes of a file."""

    name: str


Event: TypeAlias = Prediction | Trouble | Progress | End


class _Window(NamedTuple):
    """A spectrogram that waits for its batch. is_live: whoever records is waiting for the answer."""

    name: str
    spectrogram: Spectrogram
    is_live: bool


@dataclass(frozen=True)
class Predictor:
    """The networks that vote, and the seconds from one window of a recording to the next.

    over_windows: how a recording's windows become one answer; None: an answer a window.
    """

    models: Sequence[PretrainedAudioCNN]
    hop_seconds: float
    over_windows: OverWindows | None = None

    def events(self, files: Sequence[Path]) -> Iterator[Event]:
        """What becomes of each file, in order, as it comes. Groups of files go to as many threads as there are cores.

        numpy, the decoders and torch let other threads run, and a network that has one core wastes none of it waiting.
        """
        cores = usable_cores()
        size = min(BATCH, -(-len(files) // cores))
        groups = [files[start : start + size] for start in range(0, len(files), size)]
        workers, clips = shares(self.models, self.models[0].recipe, min(cores, len(groups)), BATCH)
        # For the whole process: torch has no number of threads of its own for a pool's thread.
        torch.set_num_threads(min(torch.get_num_threads(), cores // workers))
        yield from in_order([self.group(group, clips) for group in groups], workers)

    def group(self, files: Iterable[Path], clips: int = BATCH) -> Iterator[Event]:
        """What becomes of each file, in order; their windows go through the networks `clips` at a time."""
        events = self._answered((item for path in files for item in self._items(path)), clips)
        return events if self.over_windows is None else _of_recordings(events, self.over_windows)

    def _answered(self, items: Iterable[_Window | Event], clips: int) -> Iterator[Event]:
        waiting: list[_Window | Event] = []
        windows, shape = 0, None
        for item in items:
            if isinstance(item, _Window) and item.spectrogram.values.shape != shape:  # without a header, any length
                yield from self._flush(waiting)
                waiting, windows, shape = [], 0, item.spectrogram.values.shape
            waiting.append(item)
            windows += isinstance(item, _Window)
            if windows == clips or (isinstance(item, _Window) and item.is_live):
                yield from self._flush(waiting)
                waiting, windows = [], 0
        yield from self._flush(waiting)

    def _flush(self, items: Sequence[_Window | Event]) -> Iterator[Event]:
        said = iter(answers(self.models, [item.spectrogram for item in items if isinstance(item, _Window)]))
        for item in items:
            yield _said(item.name, next(said)) if isinstance(item, _Window) else item

    def _items(self, path: Path) -> Iterator[_Window | Event]:
        """A file's windows and how far they are into it; then what went wrong, if anything, and its end."""
        name = str(path)
        try:
            yield from self._stored(path) if path.suffix.lower() == _SPECTROGRAM else self._recorded(path)
        except BadSoundError as error:
            yield Trouble(name, str(error), is_error=True)
        except Exception as error:
            if os.environ.get("AUDIOCNN_DEBUG") == "1":
                raise
            said = " ".join(str(error).split())[:_LONGEST_WORDS]
            yield Trouble(name, f"unreadable: {type(error).__name__} {said}".rstrip(), is_error=True)
        yield End(name)

    def _recorded(self, path: Path) -> Iterator[_Window | Event]:
        recipe = self.models[0].recipe
        assert recipe is not None
        with open_recording(path) as recording:
            for spectrogram in spectrograms(recording, recipe, self.hop_seconds):
                yield _Window(str(path), spectrogram, recording.is_live)
                yield Progress(recording.part_read)
            if recording.damage is not None:
                yield Trouble(str(path), recording.damage, is_error=False)

    def _stored(self, path: Path) -> Iterator[_Window]:
        for name, values in _stored_spectrograms(path, self.models[0]):
            yield _Window(name, Spectrogram(None, None, values, is_constant(values)), is_live=False)


def _said(name: str, answer: Answer | None) -> Prediction | Trouble:
    if answer is None:
        return Trouble(name, "non-finite: NaN, infinite or huge values", is_error=True)
    return Prediction(name, answer)


def _of_recordings(events: Iterable[Event], over_windows: OverWindows) -> Iterator[Event]:
    """One prediction a recording, at its end, in place of its windows'. Rows of a stack stay what they are."""
    joined: OfRecording | None = None
    for event in events:
        if isinstance(event, Prediction) and event.answer.start is not None:
            joined = joined or OfRecording(over_windows)
            joined.add(event.answer)
            continue
        if isinstance(event, End) and joined is not None:
            yield Prediction(event.name, joined.answer())
            joined = None
        yield event


def _stored_spectrograms(path: Path, model: PretrainedAudioCNN) -> Iterator[tuple[str, Floats32]]:
    """The spectrograms in a .npy file: (mels, frames), or (clips, mels, frames) named FILE[0], FILE[1] and so on."""
    array = map_spectrograms(path)
    if unfit := why_unfit(model, array.shape[-2:]):
        raise BadSoundError("unreadable", unfit)
    if clip_bytes(model, array.shape[-1]) * BATCH > MOST_BYTES and model.frames is None:
        raise BadSoundError("unreadable", f"{array.shape[-1]} frames are more than memory is meant to hold")
    with np.errstate(over="ignore"):
        if array.ndim == 2:
            yield str(path), np.array(array, np.float32)
        else:
            yield from ((f"{path}[{row}]", np.array(clip, np.float32)) for row, clip in enumerate(array))
