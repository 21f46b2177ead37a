"""The Python interface: what a sound is, by trained weights. `audiocnn.load` makes a Classifier."""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from audiocnn.errors import UserError
from audiocnn.inference.answer import Answer, OfRecording, OverWindows, answers
from audiocnn.inference.ensemble import BATCH, load_models
from audiocnn.inference.find_weights import find_weights
from audiocnn.inference.memory import shares
from audiocnn.inference.pretrained import PretrainedAudioCNN
from audiocnn.sound.decode import RATES, BadSoundError, Floats, mean_over_channels, open_recording
from audiocnn.sound.recipe import Recipe
from audiocnn.sound.spectrogram import Spectrogram, require_audio, spectrograms, window_spectrogram
from audiocnn.sound.windows import WindowCutter

Sound: TypeAlias = Any  # a file's path, or samples: numpy or torch, float or int16, (samples,) or (channels, samples)


def load(source: str | Path | Sequence[str | Path] = "models", fold: int | None = None) -> "Classifier":
    """What `audiocnn.load` does; it describes the arguments. Raises UserError."""
    require_audio()
    sources = [source] if isinstance(source, str | Path) else source
    models = load_models([path for place in sources for path in find_weights(place, fold)])
    recipe = models[0].recipe
    if recipe is None:
        raise UserError(f"{source} holds no recipe to make spectrograms: train on data that 'audiocnn features' made.")
    return Classifier(models, recipe)


class Classifier:
    """Networks that vote on sounds. classes: their names, by index. recipe: how sound becomes their input.

    Each method raises audiocnn.UserError where a sound cannot be used, in one sentence.
    """

    def __init__(self, models: Sequence[PretrainedAudioCNN], recipe: Recipe) -> None:
        self._models, self.recipe = models, recipe
        self.classes = list(models[0].classes)

    def predict(self, sound: Sound, rate: int | None = None, over_windows: OverWindows = "mean") -> Answer:
        """What a sound is as a whole: each class's mean probability over its windows, or the largest.

        sound: a file's path, or samples at `rate` Hz, (samples,) or (channels, samples), numpy or torch, floats of full
        scale 1 or integers of 16 or 32 bits.
        """
        joined = OfRecording(over_windows)
        for answer in self.windows(sound, rate):
            joined.add(answer)
        return joined.answer()

    def predict_all(
        self, sounds: Iterable[Sound], rate: int | None = None, over_windows: OverWindows = "mean"
    ) -> list[Answer]:
        """What each of several sounds is, as `predict` says it; arrays are all at `rate` Hz."""
        return [self.predict(sound, rate, over_windows) for sound in sounds]

    def windows(self, sound: Sound, rate: int | None = None, hop_seconds: float | None = None) -> Iterator[Answer]:
        """What each window of a sound is, as `predict` describes it, while it is decoded.

        hop_seconds: from one window to the next (None: a window's length).
        """
        hop = self._hop(hop_seconds)
        if isinstance(sound, str | os.PathLike):
            yield from self._of_file(Path(sound), hop)
        else:
            stream = self.stream(_rate(rate), hop)
            yield from stream.feed(sound)
            yield from stream.finish()

    def stream(self, rate: int, hop_seconds: float | None = None) -> "Stream":
        """For sound that comes in blocks, from a microphone or a socket, at `rate` Hz."""
        return Stream(self._models, WindowCutter(_rate(rate), self.recipe, self._hop(hop_seconds)), self.recipe)

    def _of_file(self, path: Path, hop_seconds: float) -> Iterator[Answer]:
        try:
            with open_recording(path) as recording:
                yield from _answers(self._models, spectrograms(recording, self.recipe, hop_seconds))
        except BadSoundError as error:
            raise UserError(f"{path}: {error}.") from None

    def _hop(self, seconds: float | None) -> float:
        least = self.recipe.hop_length / self.recipe.rate
        if seconds is not None and not least <= seconds < math.inf:
            raise UserError(f"hop_seconds is {seconds:g}, expected at least {least:g}, from one frame to the next.")
        return self.recipe.seconds if seconds is None else seconds


class Stream:
    """A recording that has not ended: takes blocks of any length, and answers each window once it is complete."""

    def __init__(self, models: Sequence[PretrainedAudioCNN], cutter: WindowCutter, recipe: Recipe) -> None:
        self._models, self._cutter, self._recipe = models, cutter, recipe

    def feed(self, block: Sound) -> list[Answer]:
        """The answers that a block of samples completes, often none. Raises audiocnn.UserError."""
        return self._said(self._cutter.feed(_mono(block)))

    def finish(self) -> list[Answer]:
        """The answers that the end completes: one, unless the last window ended here. Raises audiocnn.UserError."""
        return self._said(self._cutter.finish())

    def _said(self, windows: Iterable[Any]) -> list[Answer]:
        try:
            return list(_answers(self._models, (window_spectrogram(window, self._recipe) for window in windows)))
        except BadSoundError as error:
            raise UserError(f"the sound cannot be used ({error}): give other samples.") from None


def _answers(models: Sequence[PretrainedAudioCNN], windows: Iterator[Spectrogram]) -> Iterator[Answer]:
    _, clips = shares(models, models[0].recipe, 1, BATCH)
    while batch := list(islice(windows, clips)):
        for answer in answers(models, batch):
            if answer is None:
                raise BadSoundError("non-finite", "its values are too large")
            yield answer


def _rate(rate: object) -> int:
    if not isinstance(rate, int) or rate not in RATES:
        raise UserError(f"rate is {rate!r}, expected the samples a second of the sound, {RATES[0]} to {RATES[-1]}.")
    return rate


def _mono(sound: Sound) -> Floats:
    """Samples of any accepted form as the mean over channels, float32 (samples,). Raises UserError."""
    samples = np.asarray(sound.detach().cpu() if hasattr(sound, "detach") else sound)
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and samples.shape[0] > max(samples.shape[1], 1)):
        raise UserError(f"the sound's shape is {samples.shape}, expected (samples,) or (channels, samples).")
    if samples.dtype not in (np.int16, np.int32) and samples.dtype.kind != "f":
        raise UserError(f"the sound's type is {samples.dtype}, expected floats of full scale 1, int16 or int32.")
    return mean_over_channels(np.atleast_2d(samples))
