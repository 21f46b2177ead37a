"""The log-mel spectrogram, in numpy: librosa's formulas, without the seconds that importing librosa takes."""

from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audiocnn.errors import UserError
from audiocnn.sound.recipe import Recipe

Floats: TypeAlias = NDArray[np.floating[Any]]

_POWER_FLOOR = 1e-10  # librosa.power_to_db's amin; of the maximum, where recipe.floor is relative
_BLOCK = 16  # windows transformed at a time: they stay in the CPU's cache, which makes it twice as fast as all at once


def log_mel(sound: Floats, recipe: Recipe) -> Floats:
    """A sound of exactly `recipe.samples` as spectrogram (mels, frames) in dB, 0 dB its maximum, in the sound's dtype.

    The same as librosa.feature.melspectrogram and power_to_db(ref=np.max), at any level where `recipe.floor` is
    relative. Windows are centred, so there are 1 + samples // hop_length of them, never fewer than `recipe.frames`:
    they are cut to it, and need no padding.
    """
    if recipe.floor == "relative":
        sound = _at_full_level(sound)
    filters = mel_filters(recipe.rate, recipe.n_fft, recipe.n_mels, recipe.fmin, recipe.fmax or recipe.rate / 2)
    mels = filters.astype(sound.dtype) @ _power(sound, recipe).T
    floor = _POWER_FLOOR * mels.max() if recipe.floor == "relative" and mels.any() else _POWER_FLOOR
    mels = np.maximum(mels, floor)
    decibels: Floats = 10 * (np.log10(mels) - np.log10(mels.max()))
    return decibels[:, : recipe.frames] if recipe.top_db is None else decibels[:, : recipe.frames].clip(-recipe.top_db)


def _at_full_level(sound: Floats) -> Floats:
    """The sound times the power of two that brings its peak to 0.5..1: no digit changes, and no power overflows."""
    _, exponent = np.frexp(np.abs(sound).max())
    scaled: Floats = np.ldexp(sound, -exponent)
    return scaled


def _power(sound: Floats, recipe: Recipe) -> Floats:
    """The power of each frequency in each Hann window: (1 + samples // hop_length, n_fft // 2 + 1)."""
    n_fft = recipe.n_fft
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(sound, n_fft // 2), n_fft)[:: recipe.hop_length]
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(sound.dtype)
    power = np.empty((len(windows), n_fft // 2 + 1), sound.dtype)
    for start in range(0, len(windows), _BLOCK):
        spectrum = np.fft.rfft(windows[start : start + _BLOCK] * hann)
        power[start : start + _BLOCK] = spectrum.real**2 + spectrum.imag**2
    return power


@lru_cache(maxsize=4)
def mel_filters(rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> Floats:
    """Triangles of equal area over the bins, feet on their neighbours' peaks, float64 (mels, n_fft // 2 + 1).

    M. Slaney, Auditory Toolbox, 1998.
    """
    corners = _hertz(np.linspace(hertz_to_mels(fmin), hertz_to_mels(fmax), n_mels + 2))[:, np.newaxis]
    left, peak, right = corners[:-2], corners[1:-1], corners[2:]
    bins = np.fft.rfftfreq(n_fft, 1 / rate)
    triangles = np.minimum((bins - left) / (peak - left), (right - bins) / (right - peak))
    filters: Floats = np.maximum(triangles, 0.0) * 2 / (right - left)
    if not filters.any(axis=1).all():
        raise UserError(f"{n_mels} mel bands are too many for n_fft {n_fft}: some stay empty, so lower n_mels.")
    return filters


def hertz_to_mels(hertz: float) -> float:
    """Slaney's mel scale: 3 mels for 200 Hz up to 1000 Hz (15 mels), from there 27 for each factor of 6.4."""
    return hertz * 3 / 200 if hertz < 1000 else float(15 + 27 * np.log(hertz / 1000) / np.log(6.4))


def _hertz(mels: Floats) -> Floats:
    return np.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))
