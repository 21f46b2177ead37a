"""A worker process: takes folds whose lock is free and trains them, one after another. `import torch` is paid once."""

import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from audiocnn import checkpoint
from audiocnn.allocator import keep_large_blocks
from audiocnn.console import FoldProgress, write_progress
from audiocnn.errors import Stopped, UserError, run_command, sentence_of
from audiocnn.hub import must_stay
from audiocnn.key import code_digests, fold_key
from audiocnn.locking import fold_lock
from audiocnn.prepared import read_meta
from audiocnn.runtime import WandbSettings, read_runtime
from audiocnn.signals import StopSignal, die_with
from audiocnn.tracking import NullTracker, Tracker, fold_tracker
from audiocnn.workers import WorkerJob, error_of, forget_error, record_error

if TYPE_CHECKING:
    from torch import nn

    from audiocnn.run import Progress


def main() -> None:
    """Trains what the JSON on the command line says (WorkerJob)."""
    job = WorkerJob.model_validate_json(sys.argv[1])
    stop = StopSignal()
    die_with(psutil.Process(job.supervisor))
    keep_large_blocks()
    check_keys(job)
    import audiocnn.training  # noqa: F401  # only now, between two looks at the code that it is made of

    check_keys(job)
    for patience in (0, 1):  # seconds; the second round is for folds whose lock was only looked at, or is free by now
        for fold in job.keys:
            stop.check()
            take_fold(job, fold, patience, stop)


def take_fold(job: WorkerJob, fold: int, patience: float, stop: StopSignal) -> None:
    """Trains a fold, unless another process has it, or it is finished, or it has failed in this run."""
    folder = checkpoint.fold_folder(Path(job.root), fold, job.keys[fold])
    with fold_lock(folder, timeout=patience) as is_ours:
        finished = checkpoint.read_finished(folder, fold, job.keys[fold]) is not None
        if is_ours and not finished and error_of(folder, job.session) is None:
            try_fold(job, fold, folder, stop)


def check_keys(job: WorkerJob) -> None:
    """Raises UserError where the code or data is no longer what the KEYs were made of."""
    meta, code = read_meta(Path(job.prepared)), code_digests()
    for fold, key in job.keys.items():
        if fold_key(fold, job.model, job.train, meta, job.device, code) != key:
            raise UserError("the code or the data changed while folds trained: run the same command again.")


def try_fold(job: WorkerJob, fold: int, folder: Path, stop: StopSignal) -> None:
    """Trains a fold; an error ends this fold alone, and stays in its folder for its own stage to report."""
    from audiocnn.run import FoldJob
    from audiocnn.training import train_fold

    runtime = read_runtime()
    forget_error(folder)
    fold_job = FoldJob(
        fold=fold,
        key=job.keys[fold],
        prepared=Path(job.prepared),
        folder=folder,
        meta=read_meta(Path(job.prepared)),
        model=job.model,
        train=job.train,
        device=job.device,
        keep_file=lambda name: runtime.checkpoints.keep == "all" or must_stay(name, folder, runtime.hub),
    )
    reporter = Reporter(job, fold, folder, stop, runtime.wandb)
    try:
        train_fold(fold_job, reporter)
    except Stopped:
        raise
    except Exception as error:  # noqa: BLE001  # the boundary of a fold: the others go on
        sentence = sentence_of(error)
        if sentence is None:
            traceback.print_exc()
            sentence = f"fold {fold} failed with {type(error).__name__}: {error}"
        record_error(folder, job.session, sentence)
        print(f"fold {fold}: {sentence}", flush=True)
    finally:
        reporter.tracker.finish()


class Reporter:
    """Watches a fold train: a line an epoch, progress.json, W&B; stops on a signal, rechecks the KEY."""

    def __init__(self, job: WorkerJob, fold: int, folder: Path, stop: StopSignal, settings: WandbSettings) -> None:
        self._job, self._fold, self._folder, self._stop, self._settings = job, fold, folder, stop, settings
        self.tracker: Tracker = NullTracker()
        self._best = (-1, -1.0)  # epoch, accuracy
        self._epoch_start = time.monotonic()
        self._last_write = 0.0
        self._seconds = 0.0

    def say(self, message: str) -> None:
        print(f"fold {self._fold}: {message}", flush=True)

    def resumed(self, model: "nn.Module", progress: "Progress") -> None:
        self._best = (progress.best_epoch, progress.best_accuracy)
        self.tracker = self._open_tracker()
        self.tracker.watch(model)
        for epoch in range(progress.epochs_done):  # what a kill kept from being sent; the tracker drops what is there
            self.tracker.log_epoch(epoch, {name: values[epoch] for name, values in progress.history.items()})
        self._epoch_start = time.monotonic()

    def batch_done(self, epoch: int, batch: int, batches: int) -> None:
        self._stop.check()
        if time.monotonic() - self._last_write > 0.5:
            self._last_write = time.monotonic()
            write_progress(self._folder, self._progress(epoch, batch, batches))

    def epoch_done(self, epoch: int, metrics: dict[str, float]) -> None:
        self._seconds = time.monotonic() - self._epoch_start
        self._epoch_start = time.monotonic()
        if metrics["val_accuracy"] > self._best[1]:
            self._best = (epoch, metrics["val_accuracy"])
        write_progress(self._folder, self._progress(epoch + 1, 0, 1))
        self.tracker.log_epoch(epoch, metrics)
        self.say(
            f"epoch {epoch:2d}  train_loss {metrics['loss']:.4f}  train_acc {metrics['accuracy']:.4f}  "
            f"val_loss {metrics['val_loss']:.4f}  val_acc {metrics['val_accuracy']:.4f}  lr {metrics['lr']:.0e}  "
            f"{self._seconds:.1f} s"
        )

    def finishing(self) -> None:
        check_keys(self._job)
        self.say(f"finished, best epoch {self._best[0]} with val_acc {self._best[1]:.4f}")

    def _open_tracker(self) -> Tracker:
        job = self._job
        return fold_tracker(
            self._settings,
            group=job.group,
            fold=self._fold,
            key=job.keys[self._fold],
            config={"model": job.model.model_dump(mode="json"), "train": job.train.model_dump(mode="json")},
            root=Path(job.root),
            say=self.say,
        )

    def _progress(self, epoch: int, batch: int, batches: int) -> FoldProgress:
        return {
            "epoch": epoch,
            "batch": batch,
            "batches": batches,
            "best_accuracy": self._best[1],
            "seconds_per_epoch": self._seconds,
            "time": time.time(),
        }


if __name__ == "__main__":
    sys.exit(run_command(main))
