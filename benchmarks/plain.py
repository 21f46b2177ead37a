"""The published training procedure, written plainly: the loop that audiocnn's training is compared with.

A DataLoader of single clips as float32 tensors, the plain network, `.item()` at every step, a checkpoint after every
epoch. Nothing of audiocnn is used. It measures nothing but the seconds of its steps; benchmarks.step and
benchmarks.whole run it.
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

from tests.support.plain_network import PlainAudioCNN


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
