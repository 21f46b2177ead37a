"""A fold's run: what it is given, its moving parts, and the progress that a checkpoint must hold beside them."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from audiocnn.checkpoint import Stateful, TrainingState
from audiocnn.key import digest
from audiocnn.model import AudioCNN
from audiocnn.params import ModelParams, TrainParams
from audiocnn.prepared import Meta
from audiocnn.weights import WeightsHeader

HISTORY = ("loss", "accuracy", "val_loss", "val_accuracy", "lr")


class Observer(Protocol):
    """Who watches a fold train. Any method may raise, which ends the run; what was committed stays."""

    def say(self, message: str) -> None: ...
    def resumed(self, model: nn.Module, progress: "Progress") -> None: ...
    def batch_done(self, epoch: int, batch: int, batches: int) -> None: ...
    def epoch_done(self, epoch: int, metrics: dict[str, float]) -> None: ...
    def finishing(self) -> None: ...


@dataclass(frozen=True)
class FoldJob:
    """One fold to train: its inputs, and the checkpoint folder it works in. keep_file: names to keep beyond need."""

    fold: int
    key: str
    prepared: Path
    folder: Path
    meta: Meta
    model: ModelParams
    train: TrainParams
    device: str = "cpu"
    keep_file: Callable[[str], bool] = field(default=lambda name: False)


@dataclass
class Progress:
    """Everything the rest of a run depends on beside model, optimizer and scheduler. Epochs count from 0."""

    history: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in HISTORY})
    best_epoch: int = -1
    best_accuracy: float = -1.0
    lowest_val_loss: float = math.inf
    epochs_without_lower_loss: int = 0

    @property
    def epochs_done(self) -> int:
        return len(self.history["loss"])

    def record(self, metrics: dict[str, float]) -> None:
        """Takes an epoch's metrics (by HISTORY's names) into the history, the best so far and the early stop."""
        if metrics["val_accuracy"] > self.best_accuracy:  # the first of equals stays the best
            self.best_epoch, self.best_accuracy = self.epochs_done, metrics["val_accuracy"]
        lower = metrics["val_loss"] < self.lowest_val_loss
        self.lowest_val_loss = min(self.lowest_val_loss, metrics["val_loss"])
        self.epochs_without_lower_loss = 0 if lower else self.epochs_without_lower_loss + 1
        for name in HISTORY:
            self.history[name].append(metrics[name])

    def is_over(self, train: TrainParams) -> bool:
        """Whether the last epoch has been trained, or the early stop reached."""
        return self.epochs_done >= train.epochs or self.epochs_without_lower_loss >= train.early_stopping_patience

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        for name, value in state.items():
            setattr(self, name, value)


class Run:
    """A fold's moving parts, as new: initial weights are a function of (seed, fold)."""

    def __init__(self, job: FoldJob) -> None:
        torch.manual_seed(derived_seed(job, "weights"))
        sizes = job.model.model_dump()
        model = AudioCNN(job.meta.mels, len(job.meta.classes), job.meta.frames, **sizes)
        self.model = model.to(job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=job.train.lr, fused=job.device != "mps")
        self.scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.optimizer, factor=job.train.lr_factor, patience=job.train.lr_patience, min_lr=job.train.min_lr
        )
        self.progress = Progress()
        self.state: TrainingState = {"last_fold": job.fold, "last_epoch": 0, "key": job.key, "files": {}}

    @property
    def parts(self) -> dict[str, Stateful]:
        return {
            "model": self.model,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
            "progress": self.progress,
        }

    def header(self, job: FoldJob, epoch: int) -> WeightsHeader:
        """The header of the weights after `epoch`."""
        return WeightsHeader(
            classes=job.meta.classes,
            mels=job.meta.mels,
            frames=job.meta.frames,
            model=job.model,
            recipe=job.meta.recipe,
            source=job.meta.source,
            fold=job.fold,
            dataset_fold=job.meta.folds[job.fold],
            epoch=epoch,
            accuracy=self.progress.history["val_accuracy"][epoch],
            validation=job.train.validation,
            params_digest=digest(
                {"model": job.model.model_dump(mode="json"), "train": job.train.model_dump(mode="json")}
            ),
        )


def derived_seed(job: FoldJob, purpose: str, epoch: int = -1) -> int:
    """A seed for one purpose, a function of (seed, fold, epoch) alone, so that nothing about randomness is stored."""
    text = f"{job.train.seed}/{job.fold}/{epoch}/{purpose}"
    bits = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    return bits >> 1  # 63 bits: torch takes a signed integer
