"""The local engine: folds are handed out to worker processes on this machine.

Every worker gets the whole list and takes the folds whose lock is free, so a fast one takes more of them. All they tell
each other and us goes through the checkpoint folders.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from audiocnn.checkpoints.folder import fold_folder
from audiocnn.checkpoints.training_state import read_finished
from audiocnn.config.all_clips import ALL_CLIPS
from audiocnn.config.arithmetic import with_arithmetic
from audiocnn.config.model_params import ModelParams
from audiocnn.config.runtime import Runtime, check_device, unused_gpu, visible_gpus
from audiocnn.config.settings import Settings
from audiocnn.config.train_params import TrainParams
from audiocnn.data.prepared import read_meta
from audiocnn.errors import UserError
from audiocnn.folds.bars import FoldBars
from audiocnn.folds.plan import Plan
from audiocnn.processes import StopSignal
from audiocnn.tracking.tracker import experiment_group

_POLL = 0.2  # seconds between two looks at the workers
# glibc's settings, read when a process starts: keep large blocks instead of handing them back at every free. A step's
# activations of some 100 MB would otherwise be mapped and page-faulted anew each time, a third of the step. Other C
# libraries ignore them.
KEEP_LARGE_BLOCKS = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
    "MALLOC_TOP_PAD_": str(64 << 20),  # bytes that the heap grows by
}


def worker_environment(arithmetic: str, gpu: str | None = None) -> dict[str, str]:
    """This process's environment with what a worker needs when it starts. gpu: the only one that it sees."""
    variables = {**os.environ, **KEEP_LARGE_BLOCKS, **({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu})}
    return with_arithmetic(variables, arithmetic)


class WorkerJob(Settings):
    """What a worker process is told, as JSON on its command line: the folds with their KEYs, and their inputs.

    root: the checkpoint root. session: the dvc run. group: the W&B group. supervisor: the process id of its parent.
    done: how many of the run's folds were finished before.
    remote: whether it trains for another machine, which holds the folds' locks and shows them.
    """

    keys: dict[int, str]
    prepared: str
    root: str
    model: ModelParams
    train: TrainParams
    device: str
    session: str
    group: str
    supervisor: int
    runtime: Runtime
    done: int = 0
    remote: bool = False

    @classmethod
    def of(cls, plan: Plan, keys: Mapping[int, str], session: str, runtime: Runtime, done: int = 0) -> "WorkerJob":
        """The job of some of a plan's folds."""
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
            runtime=runtime,
            done=done,
        )


def run_workers(job: WorkerJob, jobs: int, stop: StopSignal) -> None:
    """Runs up to `jobs` workers until each has found no more folds to take, showing what they do.

    Raises Stopped after a signal, once all have ended, and UserError where a worker failed and folds are not finished:
    the others may have finished its own.
    """
    jobs = min(jobs, len(job.keys))
    check_device(job.device)
    for line in beginning(job, jobs):
        print(line, flush=True)
    logs = _log_files(Path(job.root), jobs)
    bars = FoldBars(Path(job.root), job.keys, job.train.epochs, job.done, where=(job.device,))
    with ExitStack() as stack:
        workers = [stack.enter_context(_Worker(job, log, gpu)) for log, gpu in zip(logs, _gpus(job, logs), strict=True)]
        _watch(workers, stack.enter_context(bars), stop)
    if stop.received is not None:
        for log in logs:
            log.unlink()
        stop.check()
    for worker, log in zip(workers, logs, strict=True):
        if worker.exit_code != 0 and not all(_is_finished(job, fold) for fold in job.keys):
            raise UserError(worker.error or _why_it_ended(worker.exit_code, log, len(workers)))
        log.unlink()


def beginning(job: WorkerJob, jobs: int) -> list[str]:
    """The run's first lines: where and how many folds train, on what, what is done already, and how to follow."""
    meta, folds = read_meta(Path(job.prepared)), job.done + len(job.keys)
    cached = f", {job.done} of them finished before" if job.done else ""
    what = f"{jobs} {'folds' if jobs > 1 else 'fold'} at a time; folds: {folds}{cached}"
    lines = [
        f"training on {job.device}, {'one network' if ALL_CLIPS in job.keys else what}",
        f"data: {meta.source}, {meta.clips} clips, {len(meta.classes)} classes",
        "in another terminal, 'audiocnn status --watch' follows",
    ]
    return [*lines, *filter(None, [unused_gpu(job.runtime, job.device)])]


def _is_finished(job: WorkerJob, fold: int) -> bool:
    return read_finished(fold_folder(Path(job.root), fold, job.keys[fold]), fold, job.keys[fold]) is not None


def _why_it_ended(exit_code: int | None, log: Path, workers: int) -> str:
    """A sentence on a training process that ended without one of its own."""
    if exit_code != -signal.SIGKILL:
        return f"a training process ended with code {exit_code}: its last words are in {log}."
    fewer = f"set jobs: {workers - 1} in runtime.yaml" if workers > 1 else "set a smaller train.batch_size"
    return (
        "a training process was killed (SIGKILL), most likely because memory was full: end other programs or "
        f"{fewer}, then run the command again, which resumes."
    )


def _log_files(root: Path, count: int) -> list[Path]:
    folder = root / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return [folder / f"worker_{os.getpid()}_{index}.log" for index in range(count)]


def _gpus(job: WorkerJob, logs: Sequence[Path]) -> list[str | None]:
    """The GPU of each worker, in turn; None where folds train on none."""
    gpus = visible_gpus(job.device)
    return [gpus[index % len(gpus)] if gpus else None for index in range(len(logs))]


def _watch(workers: Sequence["_Worker"], bars: FoldBars, stop: StopSignal) -> None:
    """Shows what the workers say until all have ended; a signal is passed on to them."""
    while any(worker.is_running() for worker in workers):
        if stop.received is not None:
            bars.wipe()
            for worker in workers:
                worker.stop()
        for worker in workers:
            bars.say(worker.new_lines())
        bars.update()
        time.sleep(_POLL)
    for worker in workers:
        bars.say(worker.new_lines())


class _Worker:
    """A worker process, its log and its GPU. Leaving the context ends it."""

    def __init__(self, job: WorkerJob, log: Path, gpu: str | None) -> None:
        log.unlink(missing_ok=True)
        self._output = log.open("xb")  # never through a link that somebody put there
        self._log: IO[str] = log.open(encoding="utf-8", errors="replace")
        self._rest = ""
        self.error: str | None = None  # the sentence of errors.run_command, where it ended with one
        self._asked = False
        # A process group of its own: Ctrl-C reaches us alone, and we pass it on once.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "audiocnn.folds.worker", job.model_dump_json()],
            env=worker_environment(job.train.arithmetic, gpu),
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
            self._process.send_signal(signal.SIGCONT)  # one that was stopped (SIGSTOP) would never see the other
        self._asked = True

    def new_lines(self) -> list[str]:
        *lines, self._rest = (self._rest + self._log.read()).split("\n")
        for line in lines:
            self.error = line.removeprefix("error: ") if line.startswith("error: ") else self.error
        # How errors.run_command ends a worker. Every worker may print these, and the command prints them once.
        return [line for line in lines if not line.startswith(("error: ", "stopped by "))]
