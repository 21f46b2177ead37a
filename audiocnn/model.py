"""AudioCNN: a mel spectrogram in, class logits out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from audiocnn.pretrained import PretrainedAudioCNN

_POOLS = ((2, 2), (2, 2), (2, 4))  # (mels, frames) of each encoder block
_BN_MOMENTUM = 0.1  # BatchNorm2d's default: the share of a new batch in the running statistics
_STEPS = 1 << 16  # a dropout decision compares 16 random bits, so a dropout share is met within 2**-17
_FAR_BELOW_ZERO = -1e30  # what ReLU makes zero whatever is added to it; bfloat16 can hold it, too


class DroppingReLU(nn.Module):
    """ReLU and then inverted dropout, but for its scale, with a mask that is cheap on a CPU.

    Dropping after ReLU is the same as adding a large negative number before it, and ReLU's own gradient then is the
    dropout's too. PyTorch's CPU dropout draws a float for each element, 14-20 % of a training step here. This one cuts
    64 random bits into four decisions. Random bits come from the device's default generator.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.dropped = min(round(share * _STEPS), _STEPS - 1)  # of _STEPS equally likely draws

    @property
    def scale(self) -> float:
        """What keeps the mean: 1 / (1 - share) in training, 1 in evaluation. The caller's weights take it in."""
        return _STEPS / (_STEPS - self.dropped) if self.training else 1.0

    def forward(self, x: Tensor) -> Tensor:
        """x: any shape, float, dense or in oneDNN's layout. The same shape and layout."""
        if not self.training or self.dropped == 0:
            return functional.relu(x)
        return functional.relu(x + self._mask(x), inplace=True)

    def _mask(self, x: Tensor) -> Tensor:
        """0 where x is kept, and far below zero where it is dropped."""
        words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64, device=x.device)
        draws = words.random_(-(1 << 63), None).view(torch.int16)[: x.numel()]  # uniform over -32768..32767
        mask = torch.empty(x.numel(), dtype=x.dtype, device=x.device)
        torch.lt(draws, self.dropped - _STEPS // 2, out=mask)  # 0 or 1 in x's type, with no boolean tensor between
        mask.mul_(_FAR_BELOW_ZERO)
        if x.is_mkldnn:
            return mask.view(x.shape).to_mkldnn()
        channels_last = x.is_contiguous(memory_format=torch.channels_last)
        return mask.as_strided(x.shape, x.stride()) if channels_last else mask.view_as(x)


class EncoderBlock(nn.Module):
    """Conv2d 3x3 same, BatchNorm2d, MaxPool2d, ReLU, dropout.

    (batch, in, mels, frames) to (batch, out, mels // pool[0], frames // pool[1]). Pooling before ReLU is the same
    function as after it (max and ReLU commute) on a quarter of the data or less. So is dropout's scale as a factor of
    the normalisation's weight and bias.
    """

    def __init__(self, in_channels: int, out_channels: int, pool: tuple[int, int], dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding="same")
        self.bn = nn.BatchNorm2d(out_channels, momentum=_BN_MOMENTUM)
        self.pool = nn.MaxPool2d(pool)
        self.relu = DroppingReLU(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """x: (batch, in, mels, frames), float, dense or in oneDNN's layout, as the output is then."""
        output: Tensor = self.relu(self.pool(self.normalised(x)))
        return output

    def normalised(self, x: Tensor) -> Tensor:
        """The convolution's output, normalised over the batch, times the scale: (batch, out, mels, frames)."""
        bn, scale = self.bn, self.relu.scale
        return functional.batch_norm(
            self.conv(x),
            bn.running_mean,
            bn.running_var,
            bn.weight * scale,
            bn.bias * scale,
            self.training,
            _BN_MOMENTUM,
            bn.eps,
        )


class FirstEncoderBlock(EncoderBlock):
    """The same function for one input channel, on a CPU without a pass over the convolution's output to normalise it.

    That output is the network's largest tensor, 32 times the input. Its mean and variance follow from the input's: an
    output is w . p + b for a 3x3 patch p, so over all patches its mean is w . E[p] + b and its variance w' Cov(p) w.
    Batch normalisation then is another weight and bias of the same convolution.
    """

    def __init__(self, out_channels: int, pool: tuple[int, int], dropout: float) -> None:
        super().__init__(1, out_channels, pool, dropout)

    def normalised(self, x: Tensor) -> Tensor:
        """x: (batch, 1, mels, frames)."""
        if x.device.type != "cpu":
            return super().normalised(x)
        mean, variance = self._output_statistics(x)
        scale = self.bn.weight * self.relu.scale * torch.rsqrt(variance + self.bn.eps)
        bias = self.bn.bias * self.relu.scale - mean * scale
        weight = self.conv.weight * scale.to(x.dtype).view(-1, 1, 1, 1)
        return functional.conv2d(self._arranged(x), weight, bias.to(x.dtype), padding=1)

    def _arranged(self, x: Tensor) -> Tensor:
        """x in oneDNN's own layout where it trains quicker that way: float32 on a CPU.

        All encoder blocks then run in that layout, forward and backward, and nothing is turned around between their
        steps. In evaluation x stays an ordinary tensor, which any exporter or compiler can follow.
        """
        if not self.training or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
            return x
        return x.to_mkldnn() if torch.backends.mkldnn.is_available() else x  # type: ignore[no-untyped-call]

    def _output_statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (without the bias, which normalisation cancels) and variance of the convolution: (out,), float64."""
        running_mean, running_var, conv_bias = self.bn.running_mean, self.bn.running_var, self.conv.bias
        assert running_mean is not None
        assert running_var is not None
        assert conv_bias is not None
        if not self.training:
            return (running_mean - conv_bias).double(), running_var.double()
        patch_mean, patch_covariance = patch_statistics(x)
        taps = self.conv.weight.flatten(1).double()  # (out, 9)
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


class AudioCNN(nn.Module):
    """The published network: three encoder blocks, a mean over time, a Conv1d along frequency, two linear layers.

    Parameter names are those of the published weights, so weights load both ways. n_mels must be at least 8 and
    target_len (frames) at least 16, the product of the pools.
    """

    def __init__(
        self,
        n_mels: int,
        num_classes: int,
        target_len: int,
        *,
        encoder_channels: Sequence[int] = (32, 64, 128),
        conv1d_channels: int = 64,
        hidden_units: int = 128,
        encoder_dropout: float = 0.2,
        head_dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.n_mels, self.target_len = n_mels, target_len
        first, second, third = encoder_channels
        self.encoder1 = FirstEncoderBlock(first, _POOLS[0], encoder_dropout)
        self.encoder2 = EncoderBlock(first, second, _POOLS[1], encoder_dropout)
        self.encoder3 = EncoderBlock(second, third, _POOLS[2], encoder_dropout)
        self.conv1d = nn.Conv1d(third, conv1d_channels, kernel_size=3, padding="same")
        bands = n_mels
        for mel_pool, _ in _POOLS:
            bands //= mel_pool
        self.fc1 = nn.Linear(conv1d_channels * bands, hidden_units)
        self.relu = DroppingReLU(head_dropout)
        self.fc2 = nn.Linear(hidden_units, num_classes)

    def forward(self, spectrograms: Tensor) -> Tensor:
        """spectrograms: (batch, mels, frames), float, in dB. Returns logits: (batch, classes)."""
        x = spectrograms.unsqueeze(1).contiguous(memory_format=torch.channels_last)  # (batch, 1, mels, frames)
        x = self.encoder3(self.encoder2(self.encoder1(x)))  # (batch, 128, mels / 8, frames / 16)
        x = (x.to_dense() if x.is_mkldnn else x).mean(dim=3)  # (batch, 128, mels / 8)
        x = functional.relu(self.conv1d(x))  # (batch, 64, mels / 8)
        x = self.relu(self.fc1(x.flatten(1))) * self.relu.scale  # (batch, 128)
        logits: Tensor = self.fc2(x)
        return logits

    @staticmethod
    def from_pretrained(source: str | Path, fold: int = 0) -> "PretrainedAudioCNN":
        """Trained weights, ready to use, in evaluation mode on the CPU, with `.classes`, `.recipe` and `.header`.

        source: a weights file; or a folder or a repository of the Hub, [hf://]OWNER/NAME[@REVISION], of which `fold`,
        counted from 0, is taken. No code from there is run. Raises audiocnn.errors.UserError.
        """
        from audiocnn.pretrained import load_pretrained

        return load_pretrained(source, fold)
