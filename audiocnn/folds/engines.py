"""The engines that folds are handed to, by their kind in runtime.yaml: the one place where one is chosen.

Another engine is a module with a function like these, its line here, and its kind in config/runtime.py. It may train
the folds wherever it likes: what counts is that their folders here end up finished under their KEYs.
"""

from collections.abc import Callable

from audiocnn.folds.pool import WorkerJob, run_workers
from audiocnn.folds.ray_engine import run_on_cluster
from audiocnn.processes import StopSignal

# (job, how many folds side by side at most, bytes of memory that a fold takes, stop). Trains the folds of a job whose
# lock is free, and returns when each is finished, has failed (record_error) or is another process's. Raises Stopped
# after a signal, once nothing trains any more, and UserError where the engine itself fails.
Engine = Callable[[WorkerJob, int, int, StopSignal], None]


def _local(job: WorkerJob, jobs: int, memory: int, stop: StopSignal) -> None:
    run_workers(job, jobs, stop)


ENGINES: dict[str, Engine] = {"local": _local, "ray": run_on_cluster}
