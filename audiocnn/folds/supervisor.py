"""Getting the folds of a plan trained: which ones must train, those that another process trains, those forced again."""

from collections.abc import Sequence

from audiocnn.checkpoints.failure import error_of
from audiocnn.checkpoints.folder import TRAINED_BY, empty_folder
from audiocnn.checkpoints.lock import fold_lock, holder_of, is_locked, require_writable
from audiocnn.config.all_clips import fold_words
from audiocnn.config.runtime import Runtime, job_count
from audiocnn.files import write_atomically
from audiocnn.folds.dvc import current_session, dvc_has
from audiocnn.folds.engines import ENGINES
from audiocnn.folds.memory import fold_memory
from audiocnn.folds.plan import Plan
from audiocnn.folds.pool import WorkerJob
from audiocnn.folds.uploads import uploads
from audiocnn.processes import StopSignal
from audiocnn.text import displayed


def train_folds(plan: Plan, folds: Sequence[int], runtime: Runtime, stop: StopSignal) -> None:
    """Trains the given folds that are not finished, side by side; waits for those that another process trains.

    A fold that fails leaves its error in its folder (error_of) and does not keep the others from training.
    """
    session = current_session()
    memory = fold_memory(plan)
    jobs = job_count(runtime, plan.device, plan.train.threads, memory)
    train = ENGINES[runtime.engine.kind]
    waiting = [fold for fold in folds if plan.results(fold) is None]
    for fold in waiting:
        require_writable(plan.folder(fold))
        write_atomically(plan.folder(fold) / TRAINED_BY, session.encode())
    with uploads(runtime.hub, plan.root, {fold: plan.folder(fold) for fold in waiting}):
        while waiting:
            keys = {fold: plan.key(fold) for fold in waiting}
            train(WorkerJob.of(plan, keys, session, runtime, len(folds) - len(waiting)), jobs, memory, stop)
            waiting = [f for f in waiting if plan.results(f) is None and error_of(plan.folder(f), session) is None]
            for fold in waiting:
                _wait_for_other(plan, fold, stop)


def _wait_for_other(plan: Plan, fold: int, stop: StopSignal) -> None:
    folder = plan.folder(fold)
    if not is_locked(folder):
        return
    print(f"{fold_words(fold)}: waiting for {displayed(holder_of(folder))}, which trains it", flush=True)
    while True:
        stop.check()
        with fold_lock(folder, timeout=1) as is_free:
            if is_free:
                return


def start_over_if_forced(plan: Plan, folds: Sequence[int]) -> None:
    """Empties the folders of finished folds that `dvc repro -f` asks for again, once a dvc run."""
    session = current_session()
    for fold in folds:
        folder, results = plan.folder(fold), plan.results(fold)
        trained_by = folder / TRAINED_BY
        is_new = trained_by.exists() and trained_by.read_bytes() == session.encode()
        if results is None or is_new or not dvc_has(fold, results):
            continue
        with fold_lock(folder, timeout=-1):
            empty_folder(folder)
        print(f"fold {fold}: training again, as asked by --force", flush=True)
