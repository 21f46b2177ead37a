"""Whether two spectrograms are of one recording: re-encoded, louder, or shifted in time.

Compared is the detail of a spectrogram: what is left of its decibels without the mean of each band (the microphone,
the colour of a noise) and of each frame (the loudness in time). Two sounds of one class share much of the means and
little of the detail. docs/leaks.md has the measurements.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_RANGE = 60.0  # dB below the maximum; what is below it is codec noise rather than sound
_BANDS = 32
_MUCH = 0.4  # of a detail's energy that half of its frames must hold for a comparison: less is a single event
_COARSE = 2  # bands and frames that a fingerprint takes together


def fingerprint(spectrogram: Floats) -> Floats:
    """A vector (values,) that a shift in time hardly changes, to look for candidates by: of length 1.

    spectrogram: (mels, frames) in dB. The values are the magnitudes of each band's Fourier transform in time.
    """
    bands, frames = (max(1, size // _COARSE) for size in (min(_BANDS, spectrogram.shape[0]), spectrogram.shape[1]))
    coarse = _pooled(_pooled(_detail(spectrogram), bands).T, frames).T
    return _of_length_one(np.abs(np.fft.rfft(coarse, 2 * frames)).ravel())


def likeness(first: Floats, second: Floats) -> float:
    """How alike two spectrograms (mels, frames) are, up to 1: the correlation of their details.

    One is shifted against the other, by at most half their length, to where they are most alike. Then the details are
    taken anew, of the frames that both have, and compared in the half of these that is most alike: what a shift cut off
    or another ending does not count.
    """
    shift = _shift(_detail(first), _detail(second))
    frames = first.shape[1] - abs(shift)
    first, second = (
        _detail(part[:, max(0, by) : max(0, by) + frames]) for part, by in ((first, shift), (second, -shift))
    )
    return _in_the_best_half(first, second)


def _in_the_best_half(first: Floats, second: Floats) -> float:
    """The highest correlation of two details in half of their frames that holds much of both; else in all frames."""
    products = [(one * other).sum(axis=0) for one, other in ((first, second), (first, first), (second, second))]
    half = -(-first.shape[1] // 2)
    both, own, others = (np.convolve(product, np.ones(half), "valid") for product in products)
    much = (own >= _MUCH) & (others >= _MUCH)
    if not much.any():
        return float(products[0].sum())
    return float((both[much] / np.sqrt(own[much] * others[much])).max())


def _shift(first: Floats, second: Floats) -> int:
    """By how many frames the first is later than the second, where they are most alike."""
    frames = first.shape[1]
    spectra = np.fft.rfft(first, 2 * frames) * np.fft.rfft(second, 2 * frames).conj()
    correlation = np.fft.irfft(spectra.sum(axis=0), 2 * frames)  # (2 * frames,), negative shifts at its end
    shifts = np.arange(-(frames // 2), frames // 2 + 1)
    return int(shifts[np.argmax(correlation[shifts])])


def _detail(spectrogram: Floats) -> Floats:
    """(bands, frames), of length 1: decibels without the means of bands and of frames, 0 in silent frames."""
    decibels = np.maximum(spectrogram - spectrogram.max(), -_RANGE)
    heard = (decibels > -_RANGE).any(axis=0)
    bands = _pooled(decibels, min(_BANDS, len(decibels)))
    bands = (bands - bands[:, heard].mean(axis=1, keepdims=True)) * heard
    detail = np.pad((bands - bands.mean(axis=0)) * heard, ((0, 0), (1, 1)))
    # Smoothed, or a shift by half a frame would count as a difference.
    return _of_length_one(detail[:, :-2] + 2 * detail[:, 1:-1] + detail[:, 2:])


def _pooled(values: Floats, count: int) -> Floats:
    """(count, columns): the means of `count` runs of rows of about the same length."""
    edges = np.linspace(0, len(values), count + 1).astype(int)
    means: Floats = np.add.reduceat(values, edges[:-1], axis=0)
    means /= np.diff(edges)[:, np.newaxis]
    return means


def _of_length_one(values: Floats) -> Floats:
    length = np.linalg.norm(values)
    unit: Floats = (values / length if length else values).astype(np.float32)
    return unit
