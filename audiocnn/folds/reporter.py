"""The Observer of a worker: shows how its fold trains, and stops it after a signal or where its code has changed."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from audiocnn.checkpoints.folder import fold_folder
from audiocnn.checkpoints.key import code_digests, fold_key
from audiocnn.checkpoints.progress import write_history, write_progress
from audiocnn.config.all_clips import fold_words
from audiocnn.config.runtime import WandbSettings
from audiocnn.config.train_params import effective_params
from audiocnn.data.prepared import read_meta
from audiocnn.errors import UserError
from audiocnn.folds.plan import code_of
from audiocnn.folds.pool import WorkerJob
from audiocnn.processes import StopSignal
from audiocnn.text import displayed
from audiocnn.tracking.tracker import FoldTracker, fold_tracker

if TYPE_CHECKING:
    from torch import nn

    from audiocnn.training.state import Progress

_EPOCH_LINE = {"loss": "  loss", "accuracy": " acc", "val_loss": "  val", "val_accuracy": ""}
_WRITE_EVERY = 0.5  # seconds between two writes of progress.json


def keys_are_current(job: WorkerJob) -> bool:
    """Whether the code and the data here are what the KEYs were made of."""
    meta, code = read_meta(Path(job.prepared)), code_digests()
    return all(
        fold_key(fold, job.model, job.train, meta, job.device, code_of(fold, code)) == key
        for fold, key in job.keys.items()
    )


def check_keys(job: WorkerJob) -> None:
    """Raises UserError where the code or data is no longer what the KEYs were made of."""
    if not keys_are_current(job):
        raise UserError("the code or the data changed while folds trained: run the same command again.")


class Reporter:
    """Shows a fold as it trains: a line an epoch, progress.json, W&B. Leaving the context ends the W&B run."""

    def __init__(self, job: WorkerJob, fold: int, stop: StopSignal, settings: WandbSettings) -> None:
        self._job, self._fold, self._stop, self._settings = job, fold, stop, settings
        self._folder = fold_folder(Path(job.root), fold, job.keys[fold])
        self._tracker: FoldTracker | None = None
        self._best_accuracy = -1.0
        self._epoch_start = time.monotonic()
        self._seconds_per_epoch = 0.0
        self._last_write = 0.0

    def __enter__(self) -> "Reporter":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._tracker is not None:
            self._tracker.finish()

    def say(self, message: str) -> None:
        print(displayed(f"{fold_words(self._fold)}: {message}"), flush=True)

    def starting(self, model: "nn.Module", progress: "Progress") -> None:
        self._best_accuracy = progress.best_accuracy
        self._write_history(progress)
        self._tracker = fold_tracker(
            self._settings,
            group=self._job.group,
            fold=self._fold,
            key=self._job.keys[self._fold],
            config=effective_params(self._job.model, self._job.train),
            root=Path(self._job.root),
            say=self.say,
        )
        if self._tracker is not None:
            self._tracker.watch(model)
            for epoch in range(progress.epochs_done):  # what a kill kept from being sent; what is there, it drops
                self._tracker.log_epoch(epoch, progress.metrics(epoch))
        self._epoch_start = time.monotonic()

    def batch_done(self, epoch: int, batch: int, batches: int) -> None:
        self._stop.check()
        if time.monotonic() - self._last_write > _WRITE_EVERY:
            self._last_write = time.monotonic()
            self._write_progress(epoch, batch, batches)

    def epoch_done(self, progress: "Progress") -> None:
        epoch = progress.epochs_done - 1
        metrics = progress.metrics(epoch)
        self._best_accuracy = progress.best_accuracy
        self._seconds_per_epoch = time.monotonic() - self._epoch_start
        self._epoch_start = time.monotonic()
        self._write_progress(epoch + 1, 0, 1)
        self._write_history(progress)
        if self._tracker is not None:
            self._tracker.log_epoch(epoch, metrics)
        numbers = "".join(f"{label} {metrics[name]:.4f}" for name, label in _EPOCH_LINE.items() if name in metrics)
        self.say(f"epoch {epoch:2d}{numbers}  lr {metrics['lr']:.0e}  {self._seconds_per_epoch:.1f} s")  # 80 columns

    def finishing(self, progress: "Progress") -> None:
        check_keys(self._job)
        epoch, accuracy = progress.best_epoch, progress.best_accuracy
        chosen = accuracy >= 0
        self.say(f"finished, best epoch {epoch} with val_acc {accuracy:.4f}" if chosen else f"finished, epoch {epoch}")

    def _write_history(self, progress: "Progress") -> None:
        if self._job.remote:  # its W&B run is where the command runs
            write_history(self._folder, progress.history)

    def _write_progress(self, epoch: int, batch: int, batches: int) -> None:
        write_progress(
            self._folder,
            {
                "epoch": epoch,
                "batch": batch,
                "batches": batches,
                "best_accuracy": self._best_accuracy,
                "seconds_per_epoch": self._seconds_per_epoch,
                "time": time.time(),
            },
        )
