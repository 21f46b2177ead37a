"""Augmentation of a batch: every clip is varied by draws of its own, all of them from one generator an epoch.

numpy draws, which is the same on every CPU; torch moves and mixes.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from audiocnn.config.augment_params import AugmentParams

_POINTS = 6  # of the equaliser's curve

Generator = np.random.Generator
_Array = npt.NDArray[np.generic]


def augment(
    features: Tensor, labels: Tensor, params: AugmentParams, classes: int, generator: Generator
) -> tuple[Tensor, Tensor]:
    """The clips that the network is shown, and what it should answer.

    features: (batch, mels, frames) float32, in dB. labels: (batch,) int64. Returns (batch, mels, frames that are shown)
    float32, and the labels as they are; with mixing, (batch, classes) float32, each row the shares of two labels, of
    which the clip's own is the larger.
    """
    if params == AugmentParams():
        return features, labels
    clips = _window(features, params, generator)
    clips = clips + _gain(clips, params, generator)
    targets = labels
    if params.mixup_alpha:
        clips, targets = _mix(clips, one_hot(labels, classes).float(), params.mixup_alpha, generator)
    return _mask(clips, params, generator), targets


def _window(x: Tensor, params: AugmentParams, generator: Generator) -> Tensor:
    """Each clip from a frame of its own on, round its end with roll, and shifted by bands; those at the edge repeat."""
    count, mels, frames = x.shape
    width = params.shown(frames)
    start = generator.integers(0, frames if params.roll else frames - width + 1, count)
    shift = generator.integers(-params.mel_shift, params.mel_shift + 1, count)
    frame = (start[:, None] + np.arange(width)) % frames  # (batch, width)
    band = np.clip(np.arange(mels) - shift[:, None], 0, mels - 1)  # (batch, mels)
    shifted = x[_like(x, np.arange(count)[:, None]), _like(x, band)]
    return shifted.gather(2, _like(x, frame)[:, None, :].expand(count, mels, width))  # 0.5 ms; one index over all: 1.7


def _gain(x: Tensor, params: AugmentParams, generator: Generator) -> Tensor:
    """dB to add: (batch, mels, 1), a random curve over the mels and a random level."""
    count, mels, _ = x.shape
    points = generator.uniform(-params.equaliser_db, params.equaliser_db, (count, _POINTS))
    level = generator.uniform(-params.gain_db, params.gain_db, (count, 1))
    place = np.linspace(0, _POINTS - 1, mels)
    curves = np.stack([np.interp(place, np.arange(_POINTS), row) for row in points])
    return _like(x, (curves + level)[:, :, None].astype(np.float32))


def _mix(x: Tensor, targets: Tensor, alpha: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Each clip with another of the batch, and their labels alike; its own share is the larger one.

    Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization". Shares have six decimals, because the last bits of a
    draw from Beta are the C library's.
    """
    share = generator.beta(alpha, alpha, len(x))
    own = _like(x, np.maximum(share, 1 - share).round(6).astype(np.float32))
    partner = _like(x, generator.permutation(len(x)))
    mixed = own[:, None, None] * x + (1 - own)[:, None, None] * x[partner]
    return mixed, own[:, None] * targets + (1 - own)[:, None] * targets[partner]


def _mask(x: Tensor, params: AugmentParams, generator: Generator) -> Tensor:
    """A band of mels and one of frames become the clip's mean (Park et al. 2019, "SpecAugment")."""
    count, mels, frames = x.shape
    bands = _hidden(count, mels, params.mel_mask, generator)
    times = _hidden(count, frames, params.frame_mask, generator)
    hidden = _like(x, bands[:, :, None] | times[:, None, :])
    return torch.where(hidden, x.mean(dim=(1, 2), keepdim=True), x)


def _hidden(count: int, size: int, widest: int, generator: Generator) -> npt.NDArray[np.bool_]:
    """(count, size): in each row 0 to `widest` neighbours are true."""
    width = generator.integers(0, widest + 1, (count, 1))
    start = generator.integers(0, size - width + 1)
    place = np.arange(size)
    hidden: npt.NDArray[np.bool_] = (start <= place) & (place < start + width)
    return hidden


def _like(x: Tensor, array: _Array) -> Tensor:
    """An array as a tensor on x's device."""
    return torch.from_numpy(array).to(x.device)
