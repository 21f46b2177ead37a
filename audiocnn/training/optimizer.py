"""The optimizer of a fold and its learning rate at each step."""

import math

import torch
from torch import nn

from audiocnn.config.train_params import TrainParams


def make_optimizer(model: nn.Module, train: TrainParams, device: str) -> torch.optim.Optimizer:
    """Adam, or AdamW (Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization") with decay on matrices.

    Biases and the weights of normalisations, tensors of one dimension, do not decay.
    """
    fused = device != "mps"  # one kernel for all weights; torch has none for MPS in every version we take
    if train.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=train.lr, fused=fused)
    decaying = [weight for weight in model.parameters() if weight.ndim > 1]
    others = [weight for weight in model.parameters() if weight.ndim <= 1]
    groups = [{"params": decaying, "weight_decay": train.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=train.lr, fused=fused)


def set_learning_rate(optimizer: torch.optim.Optimizer, train: TrainParams, step: int, steps_per_epoch: int) -> None:
    """Sets the rate of a step, counted from 0 over all epochs. Under `plateau` it stays: epochs decide there."""
    if train.schedule == "cosine":
        for group in optimizer.param_groups:
            group["lr"] = cosine_rate(train, step, steps_per_epoch)


def cosine_rate(train: TrainParams, step: int, steps_per_epoch: int) -> float:
    """The learning rate of a step: linear warm-up to lr, then half a cosine, which ends in min_lr with the last step.

    Loshchilov and Hutter 2017, "SGDR", equation 5, without restarts. Rounded to nine digits, because the last bits of a
    cosine are the C library's.
    """
    warmup, total = train.warmup_epochs * steps_per_epoch, train.epochs * steps_per_epoch
    if step < warmup:
        rate = train.lr * (step + 1) / warmup
    else:
        done = (step - warmup + 1) / (total - warmup)  # 1 at the last step
        rate = train.min_lr + (train.lr - train.min_lr) * (1 + math.cos(math.pi * done)) / 2
    return float(f"{rate:.9g}")
