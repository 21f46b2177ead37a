"""Folds that train on tiny data in a second or less, in this process."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from audiocnn.checkpoints.folder import fold_folder, result_names
from audiocnn.checkpoints.key import code_digests
from audiocnn.checkpoints.training_state import load_training_state_json
from audiocnn.config.augment_params import AugmentParams
from audiocnn.config.model_params import ModelParams
from audiocnn.config.train_params import LEVERS, TrainParams
from audiocnn.data.prepared import read_meta
from audiocnn.files import digest
from audiocnn.folds.plan import Plan
from audiocnn.training.loop import train_fold
from audiocnn.training.state import FoldJob, Observer, Progress

MODEL = ModelParams(encoder_channels=(4, 4, 8), conv1d_channels=4, hidden_units=8)
# Patience of 1 and a large factor: the scheduler acts often, so a forgotten one shows.
TRAIN = TrainParams(epochs=6, batch_size=8, lr=0.01, lr_factor=0.5, lr_patience=1, early_stopping_patience=6)

LEVERS_ON = TrainParams(
    **TRAIN.model_dump(exclude=set(LEVERS)),
    optimizer="adamw",
    weight_decay=0.01,
    schedule="cosine",
    warmup_epochs=2,
    label_smoothing=0.1,
    normalise="mel",
    ema_decay=0.9,
    test_crops=3,
    augment=AugmentParams(
        roll=True,
        crop=0.9,
        mel_shift=1,
        equaliser_db=0.5,
        gain_db=0.5,
        mixup_alpha=0.3,
        mel_mask=2,
        frame_mask=2,
    ),
)


def make_job(
    prepared: Path,
    root: Path,
    train: TrainParams = TRAIN,
    fold: int = 0,
    keep_file: Callable[[str], bool] = lambda name: False,
) -> FoldJob:
    """A fold of a folder that write_prepared wrote, with its checkpoints under root."""
    key = digest(train.model_dump())  # not of the code, which may be edited while tests run
    folder = fold_folder(root, fold, key)
    return FoldJob(fold, key, prepared, folder, read_meta(prepared), MODEL, train, keep_file=keep_file)


def make_plan(prepared: Path, root: Path, train: TrainParams = TRAIN) -> Plan:
    """The plan of all folds."""
    return Plan(prepared, root, read_meta(prepared), MODEL, train, "cpu", code_digests())


class InterruptedRunError(Exception):
    """The observer has seen enough."""


class Watcher:
    """An observer that keeps what it is told, and ends the run after an epoch (`stop_after`) when asked to."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.said: list[str] = []
        self.trained: list[int] = []  # epochs
        self.metrics: list[dict[str, float]] = []
        self._stop_after = stop_after

    def say(self, message: str) -> None:
        self.said.append(message)

    def starting(self, model: torch.nn.Module, progress: Progress) -> None:
        pass

    def batch_done(self, epoch: int, batch: int, batches: int) -> None:
        pass

    def epoch_done(self, progress: Progress) -> None:
        epoch = progress.epochs_done - 1
        self.trained.append(epoch)
        self.metrics.append(progress.metrics(epoch))
        if epoch == self._stop_after:
            raise InterruptedRunError

    def finishing(self, progress: Progress) -> None:
        pass


def train_until(
    job: FoldJob, epoch: int | None = None, train: Callable[[FoldJob, Observer], None] = train_fold
) -> Watcher:
    """Trains a fold up to and with an epoch, or to its end."""
    watcher = Watcher(stop_after=epoch)
    with suppress(InterruptedRunError):
        train(job, watcher)
    return watcher


def result_bytes(folder: Path, fold: int = 0) -> dict[str, bytes]:
    """The bytes of the two files that a finished fold leaves, by name."""
    return {name: (folder / name).read_bytes() for name in result_names(fold)}


def same_value(left: Any, right: Any) -> bool:
    """Whether two loaded checkpoints hold the same: tensors bit for bit, in the same type, shape and layout."""
    if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
        return (
            left.dtype == right.dtype
            and left.shape == right.shape
            and left.stride() == right.stride()
            and left.contiguous().numpy().tobytes() == right.contiguous().numpy().tobytes()
        )
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same_value(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same_value, left, right))
    return type(left) is type(right) and bool(left == right)


def epochs_done(root: Path, fold: int = 0) -> int:
    """Committed epochs of the one folder that a fold has under a checkpoint root; 0 where it has none."""
    folders = list(root.glob(f"fold_{fold}-*"))
    return load_training_state_json(folders[0], fold)["last_epoch"] if folders else 0
