"""Handing folds out to worker processes on this machine: the one place that knows how work reaches a processor.

Every worker gets the whole list and takes the folds whose lock is free, so a fast one takes more of them. All they tell
each other and us goes through the checkpoint folders; another engine (a cluster's) only has to start the same worker
elsewhere.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING

from audiocnn.console import FoldBars
from audiocnn.errors import UserError
from audiocnn.files import write_json
from audiocnn.params import ModelParams, TrainParams
from audiocnn.runtime import visible_gpus
from audiocnn.settings import Settings
from audiocnn.signals import StopSignal
from audiocnn.tracking import experiment_group

if TYPE_CHECKING:
    from audiocnn.crossval import Plan

_POLL = 0.2  # seconds between two looks at the workers
_ERROR = "error.json"


class WorkerJob(Settings):
    """What a worker process is told, as JSON on its command line: the folds with their KEYs, and their inputs."""

    keys: dict[int, str]
    prepared: str
    root: str
    model: ModelParams
    train: TrainParams
    device: str
    session: str
    group: str
    supervisor: int

    @classmethod
    def of(cls, plan: "Plan", keys: Mapping[int, str], session: str) -> "WorkerJob":
        return cls(
            keys=dict(keys),
            prepared=str(plan.prepared),
            root=str(plan.root),
            model=plan.model,
            train=plan.train,
            device=plan.device,
            session=session,
            group=experiment_group(plan.model, plan.train, plan.meta.digests),
            supervisor=os.getpid(),
        )


def run_workers(job: WorkerJob, jobs: int, stop: StopSignal) -> None:
    """Runs up to `jobs` workers until each has found no more folds to take, showing what they do.

    Raises Stopped after a signal, once all have ended, and UserError where a worker died without a word.
    """
    count = min(jobs, len(job.keys))
    logs = Path(job.root) / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    paths = [logs / f"worker_{os.getpid()}_{index}.log" for index in range(count)]
    with ExitStack() as stack:
        gpus = visible_gpus(job.device)
        workers = [
            stack.enter_context(_Worker(job, path, {"CUDA_VISIBLE_DEVICES": gpus[index % len(gpus)]} if gpus else {}))
            for index, path in enumerate(paths)
        ]
        bars = stack.enter_context(FoldBars(Path(job.root), job.keys, job.train.epochs))
        while any(worker.is_running() for worker in workers):
            if stop.received is not None:
                for worker in workers:
                    worker.stop()
            for worker in workers:
                bars.say(worker.new_lines())
            bars.update()
            time.sleep(_POLL)
        for worker in workers:
            bars.say(worker.new_lines())
    if stop.received is not None:
        for path in paths:
            path.unlink()
        stop.check()
    for worker, path in zip(workers, paths, strict=True):
        if worker.exit_code != 0:
            unexplained = f"a training process ended with code {worker.exit_code}: its last words are in {path}."
            raise UserError(worker.error or unexplained)
        path.unlink()


class _Worker:
    """A worker process, its log and what its environment has beside ours. Leaving the context ends it."""

    def __init__(self, job: WorkerJob, log: Path, environment: Mapping[str, str]) -> None:
        self._output = log.open("wb")
        self._log: IO[str] = log.open(encoding="utf-8", errors="replace")
        self._rest = ""
        self.error: str | None = None  # the sentence that it ended with
        self._asked = False
        # A process group of its own: Ctrl-C reaches us alone, and we pass it on once.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "audiocnn.worker", job.model_dump_json()],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *exception: object) -> None:
        if self.is_running():
            self._process.kill()
            self._process.wait()
        self._output.close()
        self._log.close()

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode

    def is_running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        if not self._asked and self.is_running():
            self._process.terminate()
        self._asked = True

    def new_lines(self) -> list[str]:
        *lines, self._rest = (self._rest + self._log.read()).split("\n")
        for line in lines:
            self.error = line.removeprefix("error: ") if line.startswith("error: ") else self.error
        return [line for line in lines if not line.startswith(("error: ", "stopped by "))]  # ours to say, once


def record_error(folder: Path, session: str, message: str) -> None:
    """Leaves a fold's error in its folder, for the stage of that fold to report."""
    write_json(folder / _ERROR, {"session": session, "message": message})


def error_of(folder: Path, session: str) -> str | None:
    """The error that a fold ended with in this dvc run, if it did."""
    try:
        error = json.loads((folder / _ERROR).read_text())
    except (OSError, ValueError):
        return None
    return str(error["message"]) if error.get("session") == session else None


def forget_error(folder: Path) -> None:
    """Forgets a fold's error, before it is tried again."""
    (folder / _ERROR).unlink(missing_ok=True)
