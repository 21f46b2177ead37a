"""An average of the weights over the steps of the training, as a network of its own."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from audiocnn.model.network import AudioCNN
from audiocnn.model.quick_on_cpu import Dropout


def average_weights(average: AudioCNN, model: AudioCNN, decay: float, step: int) -> None:
    """Moves the average to the weights after `step`, counted from 0 over all epochs: exponentially, by `decay` a step.

    Early steps move it more, min(decay, (1 + step) / (10 + step)), so that the initial weights are soon forgotten
    (TensorFlow's ExponentialMovingAverage has the same).
    """
    kept = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for mean, weight in zip(average.parameters(), model.parameters(), strict=True):
            mean.lerp_(weight, 1 - kept)


def measure_batch_norms(average: AudioCNN, batches: Iterable[Tensor]) -> None:
    """Sets the running statistics of batch normalisation to means over batches of the clips that train.

    Those of the network in training are of other weights (Izmailov et al. 2018, "Averaging Weights Leads to Wider
    Optima and Better Generalization", section 3.2). Clips are whole and nothing is dropped, as in evaluation.
    batches: (batch, mels, frames) float32 each, in an order in which every batch is a fair sample.
    """
    norms = [module for module in average.modules() if isinstance(module, nn.BatchNorm2d)]
    sums = [torch.zeros_like(buffer) for norm in norms for buffer in _statistics(norm)]
    clips = 0
    _train_without_dropout(average)
    with torch.no_grad():
        for features in batches:
            for buffer, total in zip(_run(average, norms, features), sums, strict=True):
                total.add_(buffer, alpha=len(features))
            clips += len(features)
        for buffer, total in zip((buffer for norm in norms for buffer in _statistics(norm)), sums, strict=True):
            buffer.copy_(total / clips)


def _run(average: AudioCNN, norms: list[nn.BatchNorm2d], features: Tensor) -> list[Tensor]:
    """A batch's own statistics: running ones that begin at zero hold `momentum` times these after one batch."""
    for norm in norms:
        for buffer in _statistics(norm):
            buffer.zero_()
    average(features)
    return [buffer / norm.momentum for norm in norms if norm.momentum for buffer in _statistics(norm)]


def _statistics(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return norm.running_mean, norm.running_var


def _train_without_dropout(average: AudioCNN) -> None:
    average.train()
    for module in average.modules():
        if isinstance(module, Dropout):
            module.eval()
