"""Kills training again and again, and compares what comes out with a run that was never disturbed.

    python -m tests.kill --rounds 100 --seed 0
    python -m tests.kill --rounds 20 --levers      (all levers of params.yaml on, validation none)
    python -m tests.kill --rounds 20 --native      (train.arithmetic native)

A round trains one fold with the worker process that the pipeline uses. Each attempt is killed with SIGKILL, after a
random time or at a random step of its writes (a file opened, half written, written, fsynced, renamed, deleted), and
the same command starts again, until one attempt ends by itself. Then the results and all other weights must be the same
bytes as the undisturbed run's, and the .pt files the same values; and no attempt may have lost a committed epoch.

To start quickly, an attempt is a fork of this process, which has imported torch but has never run a second thread.
"""

import argparse
import os
import random
import runpy
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import torch

from audiocnn.checkpoints.folder import BEST_MODEL, TRAINING_STATE
from audiocnn.checkpoints.training_state import load_training_state_json
from audiocnn.checkpoints.verified import DamagedCheckpointError, read_verified
from audiocnn.config.runtime import read_runtime
from audiocnn.config.train_params import TrainParams
from audiocnn.folds.plan import Plan
from audiocnn.folds.pool import WorkerJob
from tests.support.fatal_writes import Steps
from tests.support.prepared import write_prepared
from tests.support.training import LEVERS_ON, TRAIN, make_plan, same_value
from tests.support.worker_environment import start_as_worker

PUBLISHED = TrainParams(**{**TRAIN.model_dump(), "epochs": 10})  # one of the folds stops early
LEVERS = TrainParams(**{**LEVERS_ON.model_dump(), "epochs": 10, "validation": "none"})
FOLDS = 3
_LEFT_OVER = {"lock", "holder.json", "progress.json", ".progress.json.tmp"}  # who worked last, and when
_PARAMS = "train.json"
_NEVER = 1 << 60


@dataclass
class Tally:
    """What a kill test has done."""

    rounds: int = 0
    kills: int = 0
    in_writes: int = 0
    failures: int = 0

    def __str__(self) -> str:
        return (
            f"{self.rounds} rounds, {self.kills} kills ({self.in_writes} of them inside a write), "
            f"{self.failures} failures"
        )


@dataclass(frozen=True)
class Reference:
    """An undisturbed run of a fold: its folder, its duration in seconds, and the steps of its writes."""

    folder: Path
    seconds: float
    steps: int


def kill_test(rounds: int, seed: int, folder: Path, params: TrainParams = PUBLISHED) -> Tally:
    """Runs the test in an empty folder; prints a line for each failure."""
    warm_up()
    write_prepared(folder / "prepared", folds=FOLDS, frames=24)
    (folder / "runtime.yaml").write_text("wandb: {mode: disabled}\n")
    (folder / _PARAMS).write_text(params.model_dump_json())
    references = [undisturbed(folder, fold) for fold in range(FOLDS)]
    tally, dice = Tally(), random.Random(seed)
    for number in range(rounds):
        fold = number % FOLDS
        try:
            one_round(folder / f"round_{number}", fold, references[fold], dice, tally)
        except (AssertionError, DamagedCheckpointError) as error:
            tally.failures += 1
            print(f"round {number} of seed {seed}, fold {fold}, in {folder}: {error}", flush=True)
        tally.rounds += 1
    return tally


def warm_up() -> None:
    """Imports now what every attempt needs: torch's optimizers import 2 s more when the first one is made."""
    torch.set_num_threads(1)
    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])


def undisturbed(folder: Path, fold: int) -> Reference:
    root = folder / "reference"
    start = time.monotonic()
    attempt = Attempt(root, fold, _NEVER)
    assert attempt.ended() == 0, attempt.log.read_text()
    steps = int((root / "steps").read_text())
    return Reference(fold_folder(root, fold), time.monotonic() - start, steps)


def one_round(root: Path, fold: int, reference: Reference, dice: random.Random, tally: Tally) -> None:
    """Kills a fold until it is trained. Raises AssertionError where anything is not as undisturbed."""
    committed, code = 0, -1
    while code != 0:
        in_write = dice.random() < 0.5
        attempt = Attempt(root, fold, dice.randint(1, reference.steps // 4) if in_write else _NEVER)
        code = attempt.ended(None if in_write else dice.uniform(0, reference.seconds / 2))
        assert code in (0, -signal.SIGKILL), f"ended with {code}: {attempt.log.read_text()}"
        tally.kills += code != 0
        tally.in_writes += code != 0 and in_write
        committed = check_committed(root, fold, committed, attempt.log.read_text())
    compare(fold_folder(root, fold), reference.folder)


def check_committed(root: Path, fold: int, before: int, log: str) -> int:
    """The number of committed epochs: never fewer than before, all usable, none found to be damaged."""
    folder = fold_folder(root, fold)
    state = load_training_state_json(folder, fold)
    assert state["last_epoch"] >= before, f"{before} epochs were committed, now {state['last_epoch']}"
    for name, sha256 in state.get("files", {}).items():
        if name != BEST_MODEL:  # overwritten before the next commit: epoch_E.pt holds the best one then
            read_verified(folder / name, sha256)
    assert not any(word in log for word in ("damage", "missing", "starts over", "Traceback")), log
    assert not before or "epoch" not in log or f"resuming after epoch {before - 1}" in log, log
    return state["last_epoch"]


def compare(folder: Path, reference: Path) -> None:
    """Raises AssertionError where two finished folders differ in more than .pt files' bytes."""
    assert names(folder) == names(reference), f"{names(folder)} instead of {names(reference)}"
    for name in names(folder) - {TRAINING_STATE}:
        ours, theirs = (folder / name).read_bytes(), (reference / name).read_bytes()
        if name.endswith(".pt"):
            loaded = [torch.load(path / name, weights_only=True) for path in (folder, reference)]
            assert same_value(*loaded), f"{name} holds other values"
        else:
            assert ours == theirs, f"{name} has other bytes"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - _LEFT_OVER


def fold_folder(root: Path, fold: int) -> Path:
    return plan_of(root).folder(fold)


def plan_of(root: Path) -> Plan:
    """The plan of all folds, by the params that the test runs with."""
    params = TrainParams.model_validate_json((root.parent / _PARAMS).read_text())
    return make_plan(root.parent / "prepared", root, params)


class Attempt:
    """A training process, in a process group of its own, that kills itself at a given step of its writes."""

    def __init__(self, root: Path, fold: int, fatal_step: int) -> None:
        root.mkdir(exist_ok=True)
        self.log = root / "log"
        self.log.write_text("")  # here: the process may be killed before it gets to it
        plan = plan_of(root)
        job = WorkerJob.of(plan, {fold: plan.key(fold)}, session="kill test", runtime=read_runtime())
        self._pid = os.fork()
        if self._pid == 0:
            train(job, self.log, fatal_step)

    def ended(self, kill_after: float | None = None) -> int:
        """Waits for the end, forced after some seconds if given. Returns the exit code, negative for a signal."""
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(self._pid, signal.SIGKILL)  # does nothing to one that has ended, which waits for us as a zombie
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def train(job: WorkerJob, log: Path, fatal_step: int) -> NoReturn:
    """The forked process: `python -m audiocnn.folds.worker JOB`, with its output in a file."""
    code: Any = 1
    try:
        os.setpgid(0, 0)
        os.chdir(Path(job.prepared).parent)
        for stream in (1, 2):
            os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND), stream)
        steps = Steps(fatal_step)
        sys.argv = ["worker", job.model_dump_json()]
        try:
            runpy.run_module("audiocnn.folds.worker", run_name="__main__", alter_sys=True)
        except SystemExit as end:
            code = end.code
        (Path(job.root) / "steps").write_text(str(steps.taken))
    finally:
        sys.stdout.flush()
        os._exit(code)


def main() -> int:
    """The command line. Exit code 1 where there were failures; their folders stay then."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--levers", action="store_true", help="with all levers on, and validation none")
    parser.add_argument("--native", action="store_true", help="with the CPU's own arithmetic, not the portable one")
    options = parser.parse_args()
    arithmetic: Literal["native", "portable"] = "native" if options.native else "portable"
    start_as_worker(arithmetic)  # its forks inherit this process's libraries, which have read their variables by now
    start = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="kill_test_"))
    params = (LEVERS if options.levers else PUBLISHED).model_copy(update={"arithmetic": arithmetic})
    tally = kill_test(options.rounds, options.seed, folder, params)
    print(f"{tally}, {time.monotonic() - start:.0f} s, seed {options.seed}")
    if not tally.failures:
        shutil.rmtree(folder)
    return min(tally.failures, 1)


if __name__ == "__main__":
    sys.exit(main())
