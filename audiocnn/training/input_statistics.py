"""Mean and standard deviation of the clips that train, by which the network normalises its input."""

import numpy as np
import numpy.typing as npt

from audiocnn.data.dataset import FoldData, batches
from audiocnn.model.normalisation import Normalisation

Floats = npt.NDArray[np.float64]

_BATCH = 32  # clips read at a time
_SILENT = 1e-3  # dB: a band that varies less is not stretched


def input_normalisation(data: FoldData, kind: str) -> Normalisation | None:
    """The normalisation by train.normalise: None for `none`, one pair of numbers for `global`, one a band for `mel`.

    Of the training rows alone, so that nothing of the held-out fold reaches the network. Sums in float64 are the same
    on every CPU; six decimals, in dB, go into the weights' header.
    """
    if kind == "none":
        return None
    mean, square = _moments(data)  # (mels,) each
    if kind == "global":
        mean, square = mean.mean(keepdims=True), square.mean(keepdims=True)
    std = np.sqrt(np.maximum(square - mean**2, 0.0))
    return Normalisation(mean=_rounded(mean), std=_rounded(np.where(std < _SILENT, 1.0, std)))


def _moments(data: FoldData) -> tuple[Floats, Floats]:
    """The means of the values and of their squares by mel band: (mels,) float64."""
    sums, squares = np.zeros((2, data.dataset.mels))
    values = 0  # of a band
    for features, _ in batches(data.dataset, data.train.tolist(), _BATCH):
        clips = features.cpu().numpy().astype(np.float64)  # (batch, mels, frames)
        sums += clips.sum(axis=(0, 2))
        squares += np.square(clips).sum(axis=(0, 2))
        values += clips.shape[0] * clips.shape[2]
    return sums / values, squares / values


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(round(value, 6) for value in values.tolist())
