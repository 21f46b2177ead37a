"""The optimizer decays what it should, and the learning rate follows its curve."""

import math

import pytest
import torch
from torch import nn

from audiocnn.config.train_params import TrainParams
from audiocnn.training.optimizer import cosine_rate, make_optimizer, set_learning_rate

COSINE = TrainParams(epochs=10, schedule="cosine", warmup_epochs=2, lr=1e-2, min_lr=1e-4)


def test_adamw_shrinks_matrices_and_leaves_biases_and_normalisations_alone() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    optimizer = make_optimizer(model, TrainParams(lr=0.1, optimizer="adamw", weight_decay=0.5), "cpu")
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    for name, weight in model.named_parameters():
        shrunk = 1 - 0.1 * 0.5 if name == "0.weight" else 1.0
        torch.testing.assert_close(weight.detach(), before[name] * shrunk)


def test_the_cosine_warms_up_to_lr_and_ends_in_min_lr_with_the_last_step() -> None:
    rates = [cosine_rate(COSINE, step, steps_per_epoch=5) for step in range(50)]
    assert rates[:10] == pytest.approx([1e-2 * (step + 1) / 10 for step in range(10)])
    assert rates[29] == pytest.approx((1e-2 + 1e-4) / 2)  # half of the way down
    assert rates[49] == 1e-4
    assert rates[9:] == sorted(rates[9:], reverse=True)


def test_a_rate_has_nine_digits_so_that_the_last_bits_of_a_cosine_do_not_count() -> None:
    rate = cosine_rate(COSINE, 23, steps_per_epoch=5)
    assert rate == float(f"{rate:.9g}")
    assert rate == pytest.approx(1e-4 + (1e-2 - 1e-4) * (1 + math.cos(math.pi * 14 / 40)) / 2, rel=1e-8)


def test_the_plateaus_rate_is_left_to_the_epochs() -> None:
    optimizer = make_optimizer(nn.Linear(1, 1), TrainParams(), "cpu")
    optimizer.param_groups[0]["lr"] = 0.5
    set_learning_rate(optimizer, TrainParams(), 3, 5)
    assert optimizer.param_groups[0]["lr"] == 0.5
    set_learning_rate(optimizer, COSINE, 49, 5)
    assert optimizer.param_groups[0]["lr"] == 1e-4
