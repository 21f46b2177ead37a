"""The Ray engine as the stage sees it: folds are handed to a cluster's machines by a process of its own."""

import os
import time
from pathlib import Path

from audiocnn.config.settings import Settings
from audiocnn.folds.bars import FoldBars
from audiocnn.folds.pool import WorkerJob
from audiocnn.folds.ray_process import RayProcess, ray_process
from audiocnn.processes import StopSignal

_POLL = 0.2  # seconds between two looks at the process


class ClusterJob(Settings):
    """What the process is told, as JSON on its command line. jobs: folds at once, at most. memory: bytes a fold."""

    job: WorkerJob
    jobs: int
    memory: int


def run_on_cluster(job: WorkerJob, jobs: int, memory: int, stop: StopSignal) -> None:
    """Trains a job's folds on the Ray cluster of runtime.yaml: an engine (audiocnn.folds.engines)."""
    root = Path(job.root)
    text = ClusterJob(job=job, jobs=jobs, memory=memory).model_dump_json()
    with (
        ray_process(job.runtime.engine, text, root / "logs" / f"ray_{os.getpid()}.log") as process,
        FoldBars(root, job.keys, job.train.epochs, job.done) as bars,
    ):
        asked = False
        while process.is_running():
            if stop.received is not None and not asked:
                process.stop()
                asked = True
            _show(process, bars)
            time.sleep(_POLL)
        _show(process, bars)
    stop.check()
    process.check()


def _show(process: RayProcess, bars: FoldBars) -> None:
    for event in process.events():
        if "say" in event:
            bars.say([event["say"]])
        if "cluster" in event:
            bars.show_cluster(event["cluster"])
    bars.update()
