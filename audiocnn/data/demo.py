"""The built-in demo: a small, synthetic stand-in for a dataset of city sounds, made in two seconds, no download.

400 clips of one second: ten kinds of sound (demo_sounds.py) in ten folds, each kind with two recordings of two
clips in a fold. Clips of one recording share the source's pitch and timbre, the place, the microphone and the kind of
background; no recording is in two folds, so a held-out fold is new. Every clip is of the kind that its label names:
that sound is louder than the other one mixed into it. Noise, overlap and variation make it hard, not wrong labels.

It shows that the pipeline works and lets settings be compared. It does not measure anything real: its accuracies are
those of telling ten synthesiser presets apart.

The bytes are the same on every machine with the same numpy major version (numpy 1 and 2 write different module names
into pickles). Random numbers are PCG64's own. The last bits of sines, exponentials and FFTs, which differ between CPUs,
are rounded away: waveforms to 16 bits, spectrograms to 0.01 dB. What remains is a value on the very edge between two
roundings; the tests check that this dataset has none, so who changes a sound and fails there changes the seed.
"""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiocnn.data.demo_sounds import RATE, SAMPLES, SOUNDS, Wave, hiss, level, microphone
from audiocnn.files import write_atomically, write_json
from audiocnn.sound.log_mel import Floats, log_mel
from audiocnn.sound.recipe import Recipe

FOLDS = 10
_RECORDINGS = 2  # of each kind in each fold
_TAKES = 2  # clips of each recording

RECIPE = Recipe(rate=RATE, seconds=SAMPLES / RATE, n_fft=512, hop_length=250, n_mels=24, fmax=RATE / 2)

_SEED = 6
_DECIMALS = 2  # of a dB
_PICKLE_PROTOCOL = 4


@dataclass(frozen=True)
class Clip:
    """One clip: its label (0..9), fold (1..10), the recording it is from (0..199) and which clip of it (0, 1)."""

    label: int
    fold: int
    recording: int
    take: int


def write_demo(folder: Path) -> None:
    """Writes the demo's four pickles and recipe.json into an existing folder.

    features.pkl: float32 (400, mels, frames, 1), dB. labels.pkl: int64 (400,), 0..9. folds.pkl: int64 (400,), 1..10.
    class_mapping.pkl: {label: name}. Raises OSError where the folder cannot be written.
    """
    clips = list(demo_clips())
    features = np.stack([np.round(spectrogram(to_16_bits(mixture(clip))), _DECIMALS) for clip in clips])
    contents = {
        "features.pkl": features.astype(np.float32)[..., np.newaxis],
        "labels.pkl": np.array([clip.label for clip in clips], np.int64),
        "folds.pkl": np.array([clip.fold for clip in clips], np.int64),
        "class_mapping.pkl": dict(enumerate(SOUNDS)),
    }
    for name, value in contents.items():
        write_atomically(folder / name, pickle.dumps(value, protocol=_PICKLE_PROTOCOL))
    # without the versions of libraries: the bytes depend on none
    write_json(folder / "recipe.json", RECIPE.model_dump(exclude={"libraries"}))


def demo_clips() -> Iterator[Clip]:
    """The demo's clips in the order of the arrays: fold by fold, in it label by label."""
    recording = 0
    for fold in range(1, FOLDS + 1):
        for label in range(len(SOUNDS)):
            for _ in range(_RECORDINGS):
                for take in range(_TAKES):
                    yield Clip(label, fold, recording, take)
                recording += 1


def mixture(clip: Clip) -> Wave:
    """A clip's sound, a quieter one of another kind, and background noise, float64 (RATE * seconds,) within ±32767."""
    recording, take = _random(clip.recording), _random(clip.recording, clip.take + 1)
    names = list(SOUNDS)
    sound = level(SOUNDS[names[clip.label]](recording, take))
    other = names[(clip.label + 1 + int(take.uniform(0, len(names) - 1))) % len(names)]
    overlap = _gain(take.uniform(-15.0, -3.0)) * level(SOUNDS[other](take, take))
    background = _gain(recording.uniform(-13.0, 5.0)) * hiss(take, recording.uniform(-5.0, 0.0))
    wave = microphone(sound + overlap + background, recording)
    full_scale = 32767 * _gain(take.uniform(-20.0, -1.0))
    scaled: Wave = wave / np.abs(wave).max() * full_scale
    return scaled


def to_16_bits(wave: Wave) -> NDArray[np.int16]:
    """A wave between -32767 and 32767, rounded to whole numbers."""
    rounded: NDArray[np.int16] = np.round(wave).astype(np.int16)
    return rounded


def spectrogram(samples: NDArray[np.int16]) -> Floats:
    """The spectrogram by RECIPE, float64 (mels, frames) in dB below its maximum, of a clip's 16-bit samples."""
    decibels = log_mel(samples / 32768.0, RECIPE)
    decibels -= decibels.max()  # log_mel's 0 dB may lie in the last window, which it cuts off
    return decibels


def _random(*numbers: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([_SEED, *numbers]))


def _gain(decibels: float) -> float:
    return float(10 ** (decibels / 20))
