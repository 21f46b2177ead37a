"""Functions of the network in an order that is quicker on a CPU. Each name says, outermost first, what it equals.

- Max-pooling comes before ReLU: they commute, and ReLU then has a quarter of the data or less.
- Dropping comes before ReLU, as a sum: where a very negative number is added, ReLU gives zero, and so does its
  gradient. So dropout needs neither a product nor a mask kept for the backward pass. Its scale, a positive factor,
  passes through ReLU and pooling and stands in the normalisation's weight and bias.
- The first block is normalised from the statistics of its input's patches, without a pass over its convolution's
  output, the network's largest tensor.
- In training all encoder blocks run in the layout that oneDNN's convolutions work in, so nothing is turned around
  between their steps. In evaluation tensors stay ordinary ones, which any exporter or compiler can follow.
- Under autocast to bfloat16, on a CPU that computes in it, the blocks pass bfloat16 tensors in that layout from the
  first convolution on, and nothing is cast between their steps. All else stays float32.

tests/model/test_quick_on_cpu.py compares each with what it equals, tests/model/test_network.py the whole network.
"""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

_STEPS = 1 << 16  # a dropout decision compares 16 random bits, so a dropout probability is met within 2**-17
_FAR_BELOW_ZERO = -1e30  # what ReLU makes zero whatever is added to it; bfloat16 can hold it, too
_BN_MOMENTUM = 0.1  # BatchNorm2d's default: the share of a new batch in the running statistics


class Dropout(nn.Module):
    """nn.Dropout, with random bits that are cheap to draw on a CPU.

    PyTorch's own draws a float for each element, 14-20 % of a training step here; this one cuts 64 random bits into
    four decisions. They come from the device's default generator.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self._dropped = min(round(p * _STEPS), _STEPS - 1)  # of _STEPS equally likely draws

    @property
    def scale(self) -> float:
        """What keeps the mean: 1 / (1 - p) in training, 1 in evaluation."""
        return _STEPS / (_STEPS - self._dropped) if self.training else 1.0

    def forward(self, x: Tensor) -> Tensor:
        """x: any shape, float, dense. The same shape."""
        if not self.training or self._dropped == 0:
            return x
        if x.device.type != "cpu":
            return functional.dropout(x, self.p)
        return x * (self.scale * (1 - self.draw(x, 1.0)))

    def draw(self, x: Tensor, dropped: float) -> Tensor:
        """A new draw, as a tensor of x's shape, type and layout: `dropped` with probability p, else 0."""
        words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64, device=x.device)
        bits = words.random_(-(1 << 63), None).view(torch.int16)[: x.numel()]  # uniform over -32768..32767
        values = torch.empty(x.numel(), dtype=x.dtype, device=x.device)
        torch.lt(bits, self._dropped - _STEPS // 2, out=values)  # 0 or 1 in x's type, with no boolean tensor between
        values.mul_(dropped)
        if x.is_mkldnn:
            return values.view(x.shape).to_mkldnn()
        channels_last = x.is_contiguous(memory_format=torch.channels_last)
        return values.as_strided(x.shape, x.stride()) if channels_last else values.view_as(x)


class Block(Protocol):
    """The parts of an encoder block, network.EncoderBlock."""

    conv: nn.Conv2d
    bn: nn.BatchNorm2d
    pool: nn.MaxPool2d
    dropout: Dropout
    training: bool


def computes_in_bfloat16() -> bool:
    """Whether this CPU has instructions for products of bfloat16 (AVX-512 BF16), and oneDNN may use them."""
    if not _has_onednn() or not torch.cpu._is_avx512_bf16_supported():
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # not so under ONEDNN_MAX_CPU_ISA=AVX2


def _has_onednn() -> bool:
    return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def dropout_relu_pool_bn_conv(x: Tensor, block: Block) -> Tensor:
    """dropout(pool(relu(bn(conv(x))))): an encoder block on a CPU, in training and in evaluation.

    x: (batch, in, mels, frames), float, dense or in oneDNN's layout, as the output then is.
    """
    scaled_bn_conv = _scaled_bn_conv_of_one_channel if block.conv.in_channels == 1 else _scaled_bn_conv
    return _unscaled_dropout_relu(block.pool(scaled_bn_conv(x, block)), block.dropout)


def relu_of_max_pool(x: Tensor, pool: nn.MaxPool2d) -> Tensor:
    """pool(relu(x)), to the bit."""
    return functional.relu(pool(x), inplace=True)


def _unscaled_dropout_relu(x: Tensor, dropout: Dropout) -> Tensor:
    """dropout(relu(x)) / dropout.scale."""
    if not dropout.training or dropout._dropped == 0:
        return functional.relu(x)
    return functional.relu(x + dropout.draw(x, _FAR_BELOW_ZERO), inplace=True)


def _scaled_bn_conv(x: Tensor, block: Block) -> Tensor:
    """bn(conv(x)) * dropout.scale: (batch, out, mels, frames)."""
    bn, scale = block.bn, block.dropout.scale
    return functional.batch_norm(
        _conv(x, block.conv),
        bn.running_mean,
        bn.running_var,
        bn.weight * scale,
        bn.bias * scale,
        block.training,
        _BN_MOMENTUM,
        bn.eps,
    )


def _scaled_bn_conv_of_one_channel(x: Tensor, block: Block) -> Tensor:
    """bn(conv(x)) * dropout.scale for x: (batch, 1, mels, frames), without a pass over conv(x) to normalise it.

    An output of the convolution is w . p + b for a 3x3 patch p of x, so over all patches its mean is w . E[p] + b and
    its variance w' Cov(p) w. Batch normalisation then is another weight and bias of the same convolution.
    """
    mean, variance = _conv_statistics(x, block)
    scale = block.bn.weight * block.dropout.scale * torch.rsqrt(variance + block.bn.eps)
    bias = block.bn.bias * block.dropout.scale - mean * scale
    weight = block.conv.weight * scale.to(x.dtype).view(-1, 1, 1, 1)
    return _conv2d(_in_onednn_layout(x, block.training), weight, bias.to(x.dtype))


def _in_onednn_layout(x: Tensor, training: bool) -> Tensor:
    """x in the layout that trains quicker on a CPU, under autocast in bfloat16; else x as it is."""
    if not training or x.dtype != torch.float32 or not _has_onednn():
        return x
    if not torch.is_autocast_enabled("cpu"):
        return x.to_mkldnn()
    return x.to(torch.bfloat16).to_mkldnn() if computes_in_bfloat16() else x


def _conv(x: Tensor, conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return _conv2d(x, conv.weight, conv.bias)


def _conv2d(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A 3x3 convolution of x, padded to its size; conv2d refuses bfloat16 in oneDNN's layout with ordinary weights."""
    if not x.is_mkldnn or x.dtype != torch.bfloat16:
        return functional.conv2d(x, weight, bias, padding=1)
    return torch.mkldnn_convolution(x, weight.to(x.dtype), bias.to(x.dtype), (1, 1), (1, 1), (1, 1), 1)


def _conv_statistics(x: Tensor, block: Block) -> tuple[Tensor, Tensor]:
    """Mean (without the bias, which normalisation cancels) and variance of conv(x) by channel: (out,), float64.

    In training of this batch, which also updates the running statistics; in evaluation the running ones.
    """
    running_mean, running_var, conv_bias = block.bn.running_mean, block.bn.running_var, block.conv.bias
    assert running_mean is not None
    assert running_var is not None
    assert conv_bias is not None
    if not block.training:
        return (running_mean - conv_bias).double(), running_var.double()
    patch_mean, patch_covariance = patch_statistics(x)
    taps = block.conv.weight.flatten(1).double()  # (out, 9)
    mean = taps @ patch_mean
    variance = ((taps @ patch_covariance) * taps).sum(dim=1)
    with torch.no_grad():
        running_mean.lerp_((mean + conv_bias).to(x.dtype), _BN_MOMENTUM)
        running_var.lerp_((variance * (x.numel() / (x.numel() - 1))).to(x.dtype), _BN_MOMENTUM)
    return mean, variance


def patch_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (9,) and covariance (9, 9), float64, of all 3x3 patches of x: (batch, 1, mels, frames), zero-padded."""
    with torch.autocast(x.device.type, enabled=False):  # bfloat16 has too few digits for a variance
        return _patch_statistics(x)


def _patch_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    centre = x.mean()  # taken off first: sums of squares of values far from zero would lose the variance's digits
    windows = (functional.pad(x, (1, 1, 1, 1)) - centre).unfold(2, 3, 1).unfold(3, 3, 1)  # functional.unfold is slower
    patches = windows.permute(0, 1, 4, 5, 2, 3).reshape(len(x), 9, -1)  # (batch, 9, mels * frames)
    mean = patches.sum(dim=2).double().sum(dim=0) / x.numel()
    products = (patches @ patches.mT).double().sum(dim=0) / x.numel()
    return mean + centre, products - mean.outer(mean)
