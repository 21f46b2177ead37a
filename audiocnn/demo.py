"""The built-in demo: a small, synthetic stand-in for a dataset of city sounds, made in two seconds, no download.

400 clips of one second: ten kinds of sound (audiocnn/demo_sounds.py) in ten folds, each kind with two recordings of two
clips in a fold. Clips of one recording share the source's pitch and timbre, the place, the microphone and the kind of
background; no recording is in two folds, so a held-out fold is new. Every clip is of the kind that its label names:
that sound is louder than the other one mixed into it. Noise, overlap and variation make it hard, not wrong labels.

It shows that the pipeline works and lets settings be compared. It is no measure of anything real: its accuracies are
those of telling ten synthesiser presets apart.

The bytes are the same on every machine with the same numpy major version (numpy 1 and 2 write different module names
into pickles). Random numbers are PCG64's own. The last bits of sines, exponentials and FFTs, which differ between CPUs,
are rounded away: waveforms to 16 bits, spectrograms to 0.01 dB. What remains is a value on the very edge between two
roundings; the tests check that this dataset has none, so whoever changes a sound and fails there changes the seed.
"""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiocnn.demo_sounds import RATE, SAMPLES, SOUNDS, Wave, hiss, level, microphone
from audiocnn.files import write_atomically, write_json

FOLDS = 10
RECORDINGS = 2  # of each kind in each fold
TAKES = 2  # clips of each recording

RECIPE: dict[str, Any] = {
    "rate": RATE,
    "seconds": SAMPLES / RATE,
    "n_fft": 512,
    "hop_length": 250,
    "n_mels": 24,
    "fmin": 0.0,
    "fmax": RATE / 2,
    "reference": "max",
    "top_db": 80.0,
}
"""How waveform becomes spectrogram; what it leaves out is as librosa.feature.melspectrogram has it by default."""

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
    features = np.stack([np.round(log_mel(to_16_bits(mixture(clip))), _DECIMALS) for clip in clips])
    contents = {
        "features.pkl": features.astype(np.float32)[..., np.newaxis],
        "labels.pkl": np.array([clip.label for clip in clips], np.int64),
        "folds.pkl": np.array([clip.fold for clip in clips], np.int64),
        "class_mapping.pkl": dict(enumerate(SOUNDS)),
    }
    for name, value in contents.items():
        write_atomically(folder / name, pickle.dumps(value, protocol=_PICKLE_PROTOCOL))
    write_json(folder / "recipe.json", RECIPE)


def demo_clips() -> Iterator[Clip]:
    """The demo's clips in the order of the arrays: fold by fold, in it label by label."""
    recording = 0
    for fold in range(1, FOLDS + 1):
        for label in range(len(SOUNDS)):
            for _ in range(RECORDINGS):
                for take in range(TAKES):
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


def log_mel(samples: NDArray[np.int16]) -> Wave:
    """The log-mel spectrogram in dB below its maximum, float64 (mels, frames), of 16-bit samples (n,).

    The formulas of librosa's melspectrogram and power_to_db(ref=max) with RECIPE; frames = n / hop, rounded up.
    """
    n_fft, hop = RECIPE["n_fft"], RECIPE["hop_length"]
    padded = np.pad(samples / 32768.0, n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop][: -(-len(samples) // hop)]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    power = np.abs(np.fft.rfft(frames * hann)) ** 2
    mels = _mel_filters() @ power.T
    decibels: Wave = 10.0 * np.log10(np.maximum(mels, 1e-10) / max(mels.max(), 1e-10))
    return np.maximum(decibels, -float(RECIPE["top_db"]))


@cache
def _mel_filters() -> Wave:
    """Triangles (mels, n_fft // 2 + 1) of equal area, feet on their neighbours' peaks (Slaney, Auditory Toolbox)."""
    n_mels = RECIPE["n_mels"]
    frequencies = np.fft.rfftfreq(RECIPE["n_fft"], 1 / RATE)
    corners = _mel_to_hz(np.linspace(_hz_to_mel(RECIPE["fmin"]), _hz_to_mel(RECIPE["fmax"]), n_mels + 2))[:, np.newaxis]
    left, peak, right = corners[:-2], corners[1:-1], corners[2:]
    triangles = np.minimum((frequencies - left) / (peak - left), (right - frequencies) / (right - peak))
    filters: Wave = np.maximum(triangles, 0.0) * 2.0 / (right - left)
    return filters


# Slaney's mel scale: 3 mels per 200 Hz up to 1000 Hz (15 mels), from there 27 mels for each factor of 6.4.
def _hz_to_mel(frequency: float) -> float:
    return frequency * 3 / 200 if frequency < 1000 else 15 + 27 * float(np.log(frequency / 1000) / np.log(6.4))


def _mel_to_hz(mels: Wave) -> Wave:
    return np.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))


def _random(*numbers: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([_SEED, *numbers]))


def _gain(decibels: float) -> float:
    return float(10 ** (decibels / 20))
