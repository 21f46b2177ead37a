"""Each function that is quicker on a CPU is the one that its name says: in value, in gradient, in layout."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from audiocnn.model.network import EncoderBlock
from audiocnn.model.quick_on_cpu import (
    Dropout,
    _scaled_bn_conv,
    _scaled_bn_conv_of_one_channel,
    _unscaled_dropout_relu,
    patch_statistics,
    relu_of_max_pool,
)
from tests.support.plain_network import PlainBlock

MELS, FRAMES, BATCH, OUT, POOL = 40, 50, 12, 32, (2, 2)
each_number_of_channels = pytest.mark.parametrize("channels", [1, 16], ids=["first", "later"])


def noise(channels: int, seed: int = 5) -> Tensor:
    return torch.randn(BATCH, channels, MELS, FRAMES, generator=torch.Generator().manual_seed(seed))


def block(channels: int, share: float) -> EncoderBlock:
    torch.manual_seed(3)
    return EncoderBlock(channels, OUT, POOL, share)


def dense(x: Tensor) -> Tensor:
    return x.to_dense() if x.is_mkldnn else x


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_dropout_drops_its_share_and_its_scale_keeps_the_mean(share: float) -> None:
    torch.manual_seed(0)
    layer, x = Dropout(share), torch.ones(64, 32, 64, 128)
    kept = [int(layer(x).count_nonzero()) for _ in range(4)]  # of 67 million: the standard error is 6e-5 at most
    assert abs(1 - sum(kept) / (4 * x.numel()) - share) < 1e-4
    assert layer(x).unique().tolist() == pytest.approx([0.0, layer.scale])
    assert layer.scale == pytest.approx(1 / (1 - share), rel=1e-4)
    layer.eval()
    assert layer.scale == 1


def test_dropout_masks_differ_from_draw_to_draw_and_repeat_under_a_seed() -> None:
    layer, x = Dropout(0.5), torch.ones(4, 3, 5, 7).contiguous(memory_format=torch.channels_last)
    torch.manual_seed(1)
    first, second = layer(x), layer(x)
    torch.manual_seed(1)
    assert torch.equal(first, layer(x))
    assert not torch.equal(first, second)
    assert first.is_contiguous(memory_format=torch.channels_last)
    layer.eval()
    assert torch.equal(layer(x), x)


@pytest.mark.parametrize("arranged", [Tensor.contiguous, Tensor.to_mkldnn], ids=["dense", "onednn"])
def test_relu_and_dropout_together_are_the_one_after_the_other(arranged: Callable[[Tensor], Tensor]) -> None:
    layer = Dropout(0.5)
    torch.manual_seed(1)
    kept = layer(torch.ones(4, 3, 5, 7)) > 0
    x = torch.randn(4, 3, 5, 7, requires_grad=True)
    torch.manual_seed(1)
    dropped = dense(_unscaled_dropout_relu(arranged(x), layer))
    assert torch.equal(dropped, x.relu() * kept)
    dropped.sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert torch.equal(x.grad, (x > 0) * kept)


@each_number_of_channels
def test_a_block_scales_what_dropout_keeps(channels: int) -> None:
    x = noise(channels)
    whole, dropped = dense(block(channels, 0.0)(x)), dense(block(channels, 0.2)(x))
    kept = dropped > 0
    assert 0.75 < kept.sum() / (whole > 0).sum() < 0.85
    torch.testing.assert_close(dropped[kept], whole[kept] / 0.8, rtol=1e-4, atol=1e-5)


@each_number_of_channels
def test_a_block_is_the_plain_one_in_training_and_in_evaluation(channels: int) -> None:
    fast, plain = block(channels, 0.0), PlainBlock(channels, OUT, POOL, 0.0)
    plain.load_state_dict(fast.state_dict())
    torch.testing.assert_close(dense(fast(noise(channels))), plain(noise(channels)), rtol=1e-4, atol=1e-4)
    for name, buffer in plain.named_buffers():
        if "running" in name:
            torch.testing.assert_close(dict(fast.named_buffers())[name], buffer, rtol=1e-4, atol=1e-5)
    fast.eval()
    plain.load_state_dict(fast.state_dict())
    plain.eval()
    torch.testing.assert_close(fast(noise(channels, 6)), plain(noise(channels, 6)), rtol=1e-4, atol=1e-4)


@each_number_of_channels
def test_normalisation_takes_in_the_scale_of_the_dropout(channels: int) -> None:
    scaled, x = block(channels, 0.5), noise(channels)
    truth = scaled.bn(scaled.conv(x)) * scaled.dropout.scale
    torch.testing.assert_close(_scaled_bn_conv(x, scaled), truth, rtol=1e-4, atol=1e-4)
    if channels == 1:
        torch.testing.assert_close(dense(_scaled_bn_conv_of_one_channel(x, scaled)), truth, rtol=1e-4, atol=1e-4)


def test_relu_of_max_pool_is_max_pool_of_relu_to_the_bit() -> None:
    pool = nn.MaxPool2d((2, 4))
    assert torch.equal(relu_of_max_pool(noise(3), pool), pool(noise(3).relu()))


def test_patch_statistics_are_those_of_all_patches_far_from_zero_too() -> None:
    x = noise(1) - 1000
    patches = functional.unfold(x.double(), 3, padding=1).transpose(0, 1).flatten(1)  # (9, batch * mels * frames)
    mean, covariance = patch_statistics(x)
    torch.testing.assert_close(mean, patches.mean(dim=1), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(covariance, torch.cov(patches, correction=0), rtol=1e-4, atol=1e-2)
