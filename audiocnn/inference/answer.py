"""What the networks say of a window, of a spectrogram, or of a whole recording."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from audiocnn.inference.ensemble import Probabilities, class_probabilities
from audiocnn.inference.pretrained import PretrainedAudioCNN
from audiocnn.sound.spectrogram import Spectrogram

OverWindows: TypeAlias = Literal["mean", "max"]


@dataclass(frozen=True)
class Answer:
    """The probability of each class, by its name, in the order of their indexes; none of silence.

    start, end: of the sound, in seconds; None for a spectrogram.
    """

    start: float | None
    end: float | None
    probabilities: dict[str, float]

    @property
    def is_silent(self) -> bool:
        """Whether it is digital silence, which is of no class."""
        return not self.probabilities

    @property
    def class_name(self) -> str | None:
        """The likeliest class, the first of equals; None of silence."""
        return max(self.probabilities, key=lambda name: self.probabilities[name]) if self.probabilities else None

    @property
    def probability(self) -> float | None:
        """The likeliest class's probability; None of silence."""
        return max(self.probabilities.values()) if self.probabilities else None


def answers(models: Sequence[PretrainedAudioCNN], windows: Sequence[Spectrogram]) -> list[Answer | None]:
    """What the networks say of each window; None where its values are too large to compute with."""
    sounding = [window.values for window in windows if not window.is_silent]
    rows = iter(class_probabilities(models, np.stack(sounding))) if sounding else iter(())
    classes = models[0].classes
    return [
        Answer(window.start, window.end, {}) if window.is_silent else _answer(window, next(rows), classes)
        for window in windows
    ]


def _answer(window: Spectrogram, row: Probabilities, classes: Sequence[str]) -> Answer | None:
    if not np.isfinite(row).all():
        return None
    return Answer(window.start, window.end, dict(zip(classes, row.tolist(), strict=True)))


class OfRecording:
    """One answer for all windows of a recording, silent ones left out: each class's mean or largest probability.

    The largest ones do not sum to 1: they tell what occurs somewhere, the means what the recording is as a whole.
    """

    def __init__(self, over_windows: OverWindows) -> None:
        self._join: Callable[[float, float], float] = max if over_windows == "max" else float.__add__
        self._divides = over_windows == "mean"
        self._joined: dict[str, float] = {}
        self._count = 0
        self._end: float | None = None

    def add(self, answer: Answer) -> None:
        """Takes a window's answer; they come in order."""
        self._end = answer.end
        if answer.is_silent:
            return
        self._count += 1
        before = self._joined or dict.fromkeys(answer.probabilities, 0.0)
        self._joined = {name: self._join(before[name], value) for name, value in answer.probabilities.items()}

    def answer(self) -> Answer:
        """The answer for all that came, from 0 s to the last window's end."""
        count = self._count if self._divides else 1
        return Answer(0.0, self._end, {name: value / count for name, value in self._joined.items()})
