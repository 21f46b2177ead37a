"""A fold in training: the job it is given, and the state that changes with each epoch."""

import copy
import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from audiocnn.checkpoints.pytorch import Stateful
from audiocnn.checkpoints.training_state import TrainingState
from audiocnn.config.model_params import ModelParams
from audiocnn.config.train_params import TrainParams, params_digest
from audiocnn.data.prepared import Meta
from audiocnn.model.crops import crops_of
from audiocnn.model.network import AudioCNN
from audiocnn.model.normalisation import Normalisation
from audiocnn.model.weights import WeightsHeader
from audiocnn.training.optimizer import make_optimizer


class Observer(Protocol):
    """Who watches a fold train. Any method may raise, which ends the training; what was committed stays."""

    def say(self, message: str) -> None:
        """Takes a line for people."""

    def starting(self, model: nn.Module, progress: "Progress") -> None:
        """The training starts or resumes from here."""

    def batch_done(self, epoch: int, batch: int, batches: int) -> None:
        """So many batches of an epoch's are trained on."""

    def epoch_done(self, progress: "Progress") -> None:
        """The last epoch of the history is committed."""

    def finishing(self, progress: "Progress") -> None:
        """The results are next to be written."""


@dataclass(frozen=True)
class FoldJob:
    """One fold to train: its inputs, and the checkpoint folder it works in.

    keep_file: whether a file of the folder, by name, is kept longer than resuming needs it.
    """

    fold: int
    key: str
    prepared: Path
    folder: Path
    meta: Meta
    model: ModelParams
    train: TrainParams
    device: str = "cpu"
    keep_file: Callable[[str], bool] = field(default=lambda name: False)

    def seed(self, purpose: str, epoch: int = -1) -> int:
        """A seed for one purpose, a function of (seed, fold, epoch) alone: nothing about randomness is stored."""
        text = f"{self.train.seed}/{self.fold}/{epoch}/{purpose}"
        bits = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
        return bits >> 1  # 63 bits: torch takes a signed integer


@dataclass
class Progress:
    """What the rest of the training depends on beside model, optimizer and scheduler. Epochs count from 0.

    history: one value an epoch of loss, accuracy and lr, and where clips validate of val_loss and val_accuracy.
    best_epoch: the one whose weights count; where nothing validates, the last one. best_accuracy: -1 without one.
    best_before: what best_epoch was before the last record; -1 before there was one.
    """

    history: dict[str, list[float]] = field(default_factory=dict)
    best_epoch: int = -1
    best_accuracy: float = -1.0
    lowest_val_loss: float = math.inf
    epochs_without_lower_loss: int = 0
    best_before = -1  # without a type it is no field: no checkpoint holds it, as each epoch records before it commits

    @property
    def epochs_done(self) -> int:
        """How many epochs are trained, which is also the number of the next one."""
        return len(self.history.get("loss", ()))

    def metrics(self, epoch: int) -> dict[str, float]:
        """An epoch's metrics by the history's names."""
        return {name: values[epoch] for name, values in self.history.items()}

    def record(self, metrics: dict[str, float], ties_by_loss: bool = False) -> None:
        """Takes an epoch's metrics (by the history's names) into the history, the best so far and the early stop.

        ties_by_loss: of epochs with equal accuracy the one of lowest loss is the best, instead of the first.
        """
        self.best_before = self.best_epoch
        if "val_loss" in metrics:
            self._choose(metrics["val_loss"], metrics["val_accuracy"], ties_by_loss)
        else:
            self.best_epoch = self.epochs_done
        for name, value in metrics.items():
            self.history.setdefault(name, []).append(value)

    def _choose(self, val_loss: float, val_accuracy: float, ties_by_loss: bool) -> None:
        equal = val_accuracy == self.best_accuracy
        if val_accuracy > self.best_accuracy or (
            ties_by_loss and equal and val_loss < self.history["val_loss"][self.best_epoch]
        ):
            self.best_epoch, self.best_accuracy = self.epochs_done, val_accuracy
        lower = val_loss < self.lowest_val_loss
        self.lowest_val_loss = min(self.lowest_val_loss, val_loss)
        self.epochs_without_lower_loss = 0 if lower else self.epochs_without_lower_loss + 1

    def is_over(self, train: TrainParams) -> bool:
        """Whether the last epoch has been trained, or the early stop reached."""
        return self.epochs_done >= train.epochs or self.epochs_without_lower_loss >= train.early_stopping_patience

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """From the checkpoint."""
        for name, value in state.items():
            setattr(self, name, value)


class FoldState:
    """A fold's job and everything that training it changes.

    model, optimizer, scheduler, progress, and the average where there is one: what a checkpoint holds. average: the
    averaged weights, where train.ema_decay asks for them. committed: training_state.json as written last.
    As new, its weights are a function of (seed, fold).
    """

    def __init__(self, job: FoldJob) -> None:
        self.job = job
        torch.manual_seed(job.seed("weights"))
        sizes = job.model.model_dump()
        model = AudioCNN(job.meta.mels, len(job.meta.classes), job.meta.frames, **sizes)
        model.crops = crops_of(job.train, job.meta.frames)
        self.model: AudioCNN = model.to(job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.model) if job.train.ema_decay else None
        self.optimizer = make_optimizer(self.model, job.train, job.device)
        self.scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.optimizer, factor=job.train.lr_factor, patience=job.train.lr_patience, min_lr=job.train.min_lr
        )
        self.progress = Progress()
        self.normalisation: Normalisation | None = None
        self.committed: TrainingState = {"last_fold": job.fold, "last_epoch": 0, "key": job.key, "files": {}}

    def normalise_input(self, normalisation: Normalisation | None) -> None:
        """Has the network normalise its input so. A function of the data: no checkpoint holds it."""
        self.normalisation = normalisation
        self.model.normalise_input(normalisation)
        self.measured.normalise_input(normalisation)

    @property
    def measured(self) -> AudioCNN:
        """The network that is evaluated and kept: the average where there is one."""
        return self.model if self.average is None else self.average

    @property
    def measured_part(self) -> str:
        """The name of `measured` among the parts."""
        return "model" if self.average is None else "average"

    @property
    def parts(self) -> dict[str, Stateful]:
        """What a checkpoint holds, by name."""
        return {
            "model": self.model,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
            "progress": self.progress,
            self.measured_part: self.measured,
        }

    def header(self, epoch: int) -> WeightsHeader:
        """The header of the weights after `epoch`."""
        job = self.job
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
            accuracy=self.progress.metrics(epoch).get("val_accuracy"),
            validation=job.train.validation,
            params_digest=params_digest(job.model, job.train),
            normalisation=self.normalisation,
            crops=self.model.crops,
            temperature=None if self.measured.temperature == 1.0 else self.measured.temperature,
        )
