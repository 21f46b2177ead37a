"""The published procedure, written straightforwardly: the reference that speed and gradients are compared with.

A DataLoader of single clips as float32 tensors, NCHW, conv - bn - relu - pool - dropout, `.item()` at every step, a
checkpoint after every epoch. Nothing of audiocnn is used.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Subset


class PlainBlock(nn.Module):
    """Conv2d, BatchNorm2d, ReLU, MaxPool2d, Dropout."""

    def __init__(self, in_channels: int, out_channels: int, pool: tuple[int, int], dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding="same")
        self.bn = nn.BatchNorm2d(out_channels)
        self.pool = nn.MaxPool2d(pool)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.dropout(self.pool(functional.relu(self.bn(self.conv(x)))))
        return output


class PlainAudioCNN(nn.Module):
    """AudioCNN as DESIGN describes it, with the published parameter names."""

    def __init__(self, n_mels: int, num_classes: int, dropout: float = 0.2, head_dropout: float = 0.5) -> None:
        super().__init__()
        self.encoder1 = PlainBlock(1, 32, (2, 2), dropout)
        self.encoder2 = PlainBlock(32, 64, (2, 2), dropout)
        self.encoder3 = PlainBlock(64, 128, (2, 4), dropout)
        self.conv1d = nn.Conv1d(128, 64, 3, padding="same")
        self.fc1 = nn.Linear(64 * (n_mels // 8), 128)
        self.dropout = nn.Dropout(head_dropout)
        self.fc2 = nn.Linear(128, num_classes)

    def forward(self, spectrograms: Tensor) -> Tensor:
        x = self.encoder3(self.encoder2(self.encoder1(spectrograms.unsqueeze(1))))
        x = functional.relu(self.conv1d(x.mean(dim=3)))
        logits: Tensor = self.fc2(self.dropout(functional.relu(self.fc1(x.flatten(1)))))
        return logits


class Clips(Dataset[tuple[Tensor, Tensor]]):
    """One clip at a time, as tensors: (mels, frames) float32 and () int64."""

    def __init__(self, features: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> None:
        self.features, self.labels = torch.tensor(features), torch.tensor(labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return self.features[row], self.labels[row]


def train_plain(
    clips: Clips,
    train: Sequence[int],
    validation: Sequence[int],
    epochs: int,
    checkpoint: Path,
    steps: int | None = None,
) -> list[float]:
    """Trains for some epochs (each of at most `steps` batches); returns the seconds that each training step took."""
    model = PlainAudioCNN(clips.features.shape[1], int(clips.labels.max()) + 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.2, patience=5, min_lr=1e-5)
    loader = DataLoader(Subset(clips, train), batch_size=32, shuffle=True)
    held_out = DataLoader(Subset(clips, validation), batch_size=32)
    seconds: list[float] = []
    for epoch in range(epochs):
        model.train()
        start = time.perf_counter()
        for step, (features, labels) in enumerate(loader):
            if steps is not None and step >= steps:
                break
            loss = functional.cross_entropy(model(features), labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            loss.item()
            seconds.append(time.perf_counter() - start)
            start = time.perf_counter()
        scheduler.step(plain_loss(model, held_out))
        torch.save({"epoch": epoch, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, checkpoint)
    return seconds


def plain_loss(model: nn.Module, loader: DataLoader[tuple[Tensor, Tensor]]) -> float:
    """Mean cross-entropy over a loader's clips, in evaluation mode."""
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for features, labels in loader:
            total += functional.cross_entropy(model(features), labels, reduction="sum").item()
            count += len(labels)
    return total / max(count, 1)
