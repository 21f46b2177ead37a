"""A worker process: takes folds whose lock is free and trains them, one after another. `import torch` is paid once."""

import sys
import traceback
from pathlib import Path

import psutil

from audiocnn.checkpoints.failure import error_of, forget_error, record_error
from audiocnn.checkpoints.folder import fold_folder
from audiocnn.checkpoints.lock import fold_lock
from audiocnn.checkpoints.training_state import read_finished
from audiocnn.config.all_clips import ALL_CLIPS, fold_words
from audiocnn.data.prepared import read_meta
from audiocnn.errors import Stopped, run_command, sentence_of
from audiocnn.folds.ledger import must_stay
from audiocnn.folds.pool import WorkerJob
from audiocnn.folds.reporter import Reporter, check_keys
from audiocnn.processes import StopSignal, end_with

_WAITS = (0, 1)  # seconds to wait for a lock, in the first round and in the second: somebody may only have looked at it


def main() -> None:
    """Trains what the JSON on the command line says (WorkerJob)."""
    job = WorkerJob.model_validate_json(sys.argv[1])
    stop = StopSignal()
    end_with(psutil.Process(job.supervisor))
    check_keys(job)
    import audiocnn.training.all_clips  # noqa: F401  # only now, between two looks at the code that it is made of

    check_keys(job)
    for seconds in _WAITS:
        for fold in job.keys:
            stop.check()
            _take_fold(job, fold, seconds, stop)


def _take_fold(job: WorkerJob, fold: int, seconds: float, stop: StopSignal) -> None:
    """Trains a fold, unless another process has it, or it is finished, or it has failed in this dvc run."""
    folder = fold_folder(Path(job.root), fold, job.keys[fold])
    with fold_lock(folder, timeout=seconds) as is_ours:
        is_finished = read_finished(folder, fold, job.keys[fold]) is not None
        if is_ours and not is_finished and error_of(folder, job.session) is None:
            _try_fold(job, fold, folder, stop)


def _try_fold(job: WorkerJob, fold: int, folder: Path, stop: StopSignal) -> None:
    """Trains a fold; an error ends this fold alone, and stays in its folder for its own stage to report."""
    from audiocnn.training.all_clips import train_all_clips
    from audiocnn.training.loop import train_fold
    from audiocnn.training.state import FoldJob

    runtime = job.runtime
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
    with Reporter(job, fold, stop, runtime.wandb) as reporter:
        try:
            train = train_all_clips if fold == ALL_CLIPS else train_fold
            train(fold_job, reporter)
        except Stopped:
            raise
        except Exception as error:  # the boundary of a fold: the others go on
            if job.remote and isinstance(error, OSError):
                raise  # that machine's trouble and not the fold's, which goes on elsewhere
            sentence = sentence_of(error)
            if sentence is None:
                traceback.print_exc()
                sentence = f"{fold_words(fold)} failed with {type(error).__name__}: {error}"
            record_error(folder, job.session, sentence)
            reporter.say(sentence)


if __name__ == "__main__":
    sys.exit(run_command(main))
