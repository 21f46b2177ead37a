"""AudioCNN as it was published: a mel spectrogram in, class logits out.

On a CPU some of its lines run in another order, which is quicker. model/quick_on_cpu.py has those functions, each
named after what it equals.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiocnn.config.model_params import MIN_MELS, POOLS
from audiocnn.model.crops import Crops
from audiocnn.model.normalisation import Normalisation
from audiocnn.model.quick_on_cpu import Dropout, dropout_relu_pool_bn_conv, relu_of_max_pool

if TYPE_CHECKING:
    from audiocnn.inference.pretrained import PretrainedAudioCNN


class EncoderBlock(nn.Module):
    """Conv2d 3x3 same, BatchNorm2d, ReLU, MaxPool2d, dropout.

    (batch, in, mels, frames) to (batch, out, mels // pool[0], frames // pool[1]).
    """

    def __init__(self, in_channels: int, out_channels: int, pool: tuple[int, int], dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding="same")
        self.bn = nn.BatchNorm2d(out_channels)
        self.pool = nn.MaxPool2d(pool)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """x: (batch, in, mels, frames), float; on a CPU dense or in oneDNN's layout, as the output then is."""
        if x.device.type == "cpu":
            return dropout_relu_pool_bn_conv(x, self)  # the four lines below
        x = self.conv(x)
        x = self.bn(x)
        x = relu_of_max_pool(x, self.pool)
        x = self.dropout(x)
        return x  # noqa: RET504  # a line a step


class AudioCNN(nn.Module):
    """The published network: three encoder blocks, a mean over time, a Conv1d along frequency, two linear layers.

    Parameter names are those of the published weights, so that weights load both ways. n_mels must be at least 8 and
    target_len (frames) at least 16, the products of the pools.

    input_mean, input_std: what normalise_input set, (1, 1) or (mels, 1); not among the weights, but in their header.
    crops, temperature: in evaluation, the windows over which it answers, and what its logits are divided by; in the
    header as well.
    """

    input_mean: Tensor | None
    input_std: Tensor | None
    crops: Crops | None = None
    temperature: float = 1.0

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
        pool1, pool2, pool3 = POOLS  # (mels, frames): (2, 2), (2, 2), (2, 4)
        self.encoder1 = EncoderBlock(1, first, pool1, encoder_dropout)
        self.encoder2 = EncoderBlock(first, second, pool2, encoder_dropout)
        self.encoder3 = EncoderBlock(second, third, pool3, encoder_dropout)
        self.conv1d = nn.Conv1d(third, conv1d_channels, kernel_size=3, padding="same")
        self.fc1 = nn.Linear(conv1d_channels * (n_mels // MIN_MELS), hidden_units)
        self.dropout = Dropout(head_dropout)
        self.fc2 = nn.Linear(hidden_units, num_classes)
        self.normalise_input(None)

    def normalise_input(self, normalisation: Normalisation | None) -> None:
        """From now on takes the mean off the input and divides it by the standard deviation; None: as it is."""
        for name in ("mean", "std"):
            values = None if normalisation is None else torch.tensor(getattr(normalisation, name)).unsqueeze(1)
            place = None if values is None else values.to(self.fc1.weight.device)
            self.register_buffer(f"input_{name}", place, persistent=False)

    def forward(self, spectrograms: Tensor) -> Tensor:
        """spectrograms: (batch, mels, frames), float, in dB. Returns logits: (batch, classes).

        Over crops, logits are the logarithm of the mean probabilities.
        """
        if self.training:
            return self._logits(spectrograms)
        logits = self._logits(spectrograms) if self.crops is None else self._over_crops(spectrograms, self.crops)
        return logits if self.temperature == 1.0 else logits / self.temperature

    def _over_crops(self, spectrograms: Tensor, crops: Crops) -> Tensor:
        starts = crops.starts(spectrograms.shape[2])
        windows = [self._logits(spectrograms[:, :, start : start + crops.frames]) for start in starts]
        return torch.stack([logits.log_softmax(dim=1) for logits in windows]).logsumexp(dim=0) - math.log(len(starts))

    def _logits(self, spectrograms: Tensor) -> Tensor:
        if self.input_mean is not None and self.input_std is not None:
            spectrograms = (spectrograms - self.input_mean) / self.input_std
        x = spectrograms.unsqueeze(1).contiguous(memory_format=torch.channels_last)  # (batch, 1, mels, frames)
        x = self.encoder1(x)  # (batch, 32, mels / 2, frames / 2)
        x = self.encoder2(x)  # (batch, 64, mels / 4, frames / 4)
        x = self.encoder3(x)  # (batch, 128, mels / 8, frames / 16)
        x = (x.to_dense().float() if x.is_mkldnn else x).mean(dim=3)  # over time: (batch, 128, mels / 8)
        x = functional.relu(self.conv1d(x))  # along frequency: (batch, 64, mels / 8)
        x = x.flatten(1)  # (batch, 64 * mels / 8)
        x = self.dropout(functional.relu(self.fc1(x)))  # (batch, 128)
        logits: Tensor = self.fc2(x)
        return logits

    @staticmethod
    def from_pretrained(source: str | Path, fold: int = 0) -> "PretrainedAudioCNN":
        """Trained weights, ready to use, in evaluation mode on the CPU, with `.classes`, `.recipe` and `.header`.

        source: a weights file; or a folder or a repository of the Hub, [hf://]OWNER/NAME[@REVISION], of which `fold`,
        counted from 0, is taken. No code from there is run. Raises audiocnn.errors.UserError.
        """
        from audiocnn.inference.pretrained import load_pretrained

        return load_pretrained(source, fold)
