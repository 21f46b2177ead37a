"""`dvc repro` in parallel mode under random kills of dvc or of workers, each run started again until it ends.

    python -m tests.parallel_kill --runs 20

prints a line a run, and ends with 0 where no run was lost (its dvc.lock and metrics/ are those of an undisturbed one,
byte for byte), none hung, and nothing was alive 10 s after a kill. DVC writes a lock file of its own in place: where a
kill left half of it, the file is removed as the README says, and counted.
"""

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.clones import Project, make_clone

EPOCHS = 12
HANGS_AFTER = 300.0  # seconds, for a run that takes a few tens even on a busy machine
DELAY = 3.0  # seconds; about what dvc, or `import torch`, takes to start
DIES_WITHIN = 10.0  # seconds from a kill to the end of the last process

Kill = Callable[[Project, "Repro"], bool]


class Repro:
    """A `dvc` command that runs in a session of its own, as under a terminal; its output goes to a file.

    prefix: the words of a command that starts it, if there is one.
    """

    def __init__(self, project: Project, *words: str, prefix: Sequence[str] = ()) -> None:
        self.log = project.path / ".dvc/tmp/output.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                **project.command(*prefix, "dvc", *(words or ("repro",))),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for_lines(self, count: int) -> None:
        """Returns once it has printed so many lines, or has ended."""
        while self.is_running() and self.output.count("\n") < count:
            time.sleep(0.05)

    def is_running(self) -> bool:
        return self.process.poll() is None

    def wait_for(self, pattern: str) -> None:
        """Returns once it has printed what the pattern describes. Fails where it ends, or hangs, before."""
        end = time.monotonic() + HANGS_AFTER
        while not re.search(pattern, self.output):
            assert self.is_running(), f"it ended with {self.process.returncode} before {pattern!r}:\n{self.output}"
            assert time.monotonic() < end, f"no {pattern!r} in {HANGS_AFTER} s:\n{self.output}"
            time.sleep(0.01)

    def end(self) -> int:
        """Waits for its end; the exit code."""
        return self.process.wait(timeout=HANGS_AFTER)


def processes_of(project: Project) -> list[psutil.Process]:
    """The processes that work in a clone's folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(project.path):
                found.append(process)
        except psutil.Error:
            continue
    return found


def workers_of(project: Project) -> list[psutil.Process]:
    found = []
    for process in processes_of(project):
        try:
            if "audiocnn.folds.worker" in process.cmdline():
                found.append(process)
        except psutil.Error:
            continue
    return found


def still_alive(project: Project, seconds: float = DIES_WITHIN) -> list[psutil.Process]:
    """The processes in a clone's folder that are alive after that many seconds; returns as soon as there are none."""
    end = time.monotonic() + seconds
    while (alive := processes_of(project)) and time.monotonic() < end:
        time.sleep(0.1)
    return alive


def kill_dvc(signum: signal.Signals) -> Kill:
    def kill(project: Project, repro: Repro) -> bool:
        repro.process.send_signal(signum)
        return True

    return kill


def kill_group(signum: signal.Signals) -> Kill:
    """What Ctrl-C does with SIGINT, and the end of a terminal or of a container with others."""

    def kill(project: Project, repro: Repro) -> bool:
        os.killpg(repro.process.pid, signum)
        return True

    return kill


def kill_worker(signum: signal.Signals) -> Kill:
    def kill(project: Project, repro: Repro) -> bool:
        workers = workers_of(project)
        if workers:
            random.choice(workers).send_signal(signum)
        return bool(workers)

    return kill


KILLS: dict[str, Kill] = {
    f"{signum.name} to {name}": to(signum)
    for name, to in (("dvc", kill_dvc), ("dvc's group", kill_group), ("a worker", kill_worker))
    for signum in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
}


@dataclass
class Outcome:
    """What became of one run.

    alive: kills after which something was alive for too long. rwlock: whether DVC's lock file had to be removed.
    """

    kills: list[str] = field(default_factory=list)
    alive: int = 0
    rwlock: bool = False
    hung: bool = False
    lost: str = ""


def results(project: Project) -> dict[str, bytes]:
    """The bytes that must be those of an undisturbed run."""
    return {name: project.read(name) for name in ("dvc.lock", *(f"metrics/{path}" for path in metrics(project)))}


def metrics(project: Project) -> list[str]:
    return sorted(path.name for path in (project.path / "metrics").iterdir())


def disturbed_run(project: Project, lines: int, kills: int) -> Outcome:
    """Starts `dvc repro` and kills at a random instant, `kills` times over; then lets it end.

    lines: what it prints at most before the instant, which is up to DELAY later. In lines, because time says little of
    how far a run is on a busy machine. Every other time the next one starts while the last one's processes die.
    """
    outcome = Outcome()
    try:
        for _ in range(kills):
            repro = Repro(project)
            repro.wait_for_lines(random.randrange(lines))
            time.sleep(random.uniform(0, DELAY))
            name, kill = random.choice(list(KILLS.items()))
            if repro.is_running() and kill(project, repro):
                outcome.kills.append(name)
            repro.end()
            if random.random() < 0.5:
                outcome.alive += bool(still_alive(project))
        outcome.rwlock = removed_broken_rwlock(project)
        project.dvc("repro")
        project.dvc("repro")
    except (subprocess.TimeoutExpired, AssertionError) as error:
        outcome.hung = isinstance(error, subprocess.TimeoutExpired)
        outcome.lost = str(error)
    finally:
        for process in processes_of(project):  # what hangs, or what Ctrl-C to us does not reach
            process.kill()
    return outcome


def removed_broken_rwlock(project: Project) -> bool:
    """Does what the README says where DVC was killed while it wrote its lock file (dvc issue #7615)."""
    path = project.path / ".dvc/tmp/rwlock"
    try:
        json.loads(path.read_text())
    except FileNotFoundError:
        return False
    except ValueError:
        assert "Unable to read RWLock-file" in project.dvc("repro", expect=None)
        path.unlink()
        return True
    return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--kills", type=int, default=3, help="kills in each run")
    parser.add_argument("--seed", type=int, default=None, help="of the instants and the kinds of kill")
    options = parser.parse_args()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        outcomes = kill_runs(Path(folder), options.runs, options.kills)
    total = sum(len(outcome.kills) for outcome in outcomes)
    lost, hung = sum(bool(o.lost) for o in outcomes), sum(o.hung for o in outcomes)
    alive, rwlock = sum(outcome.alive for outcome in outcomes), sum(outcome.rwlock for outcome in outcomes)
    print(
        f"{len(outcomes)} runs, {total} kills: {lost} lost, {hung} hung, {alive} with something alive after 10 s, "
        f"{rwlock} with DVC's lock file removed by hand"
    )
    return int(bool(lost or alive))


def kill_runs(folder: Path, runs: int, kills: int) -> list[Outcome]:
    """Disturbed runs from the same start, compared with an undisturbed one; prints a line each."""
    start = make_clone(folder / "start")
    start.set_params(train={"epochs": EPOCHS, "early_stopping_patience": EPOCHS})
    start.set_runtime(jobs=2)
    start.dvc("repro", "prepare")
    undisturbed = start.copy(folder / "undisturbed")
    lines = undisturbed.dvc("repro").count("\n") // 2  # a run that resumes prints fewer
    outcomes = []
    for number in range(runs):
        project = start.copy(folder / f"run_{number}")
        outcome = disturbed_run(project, lines, kills)
        if not outcome.lost and results(project) != results(undisturbed):
            outcome.lost = "other bytes than the undisturbed run"
        print(f"run {number}: {', '.join(outcome.kills) or 'no kill'}: {outcome.lost or 'the same bytes'}", flush=True)
        outcomes.append(outcome)
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
