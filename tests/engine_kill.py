"""Folds on a Ray cluster under random kills of machines, training processes and the command, started again until done.

    python -m tests.engine_kill --rounds 20

A round is three folds through `dvc repro` on two machines. At random instants a machine is killed with its disk (and
another one joins), a machine is frozen for longer than it may be silent, a training process is killed, or the command,
or the process that speaks with Ray, by SIGKILL, SIGTERM or SIGINT. Then the same command runs until it ends well.
Prints the seed and a line a round; ends with 0 where no round was lost (its dvc.lock and metrics/ are those of a local
run, byte for byte), none hung, and nothing of the command was alive 10 s after it was killed. Takes root, for the
network namespace.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.parallel_kill import (
    DIES_WITHIN,
    HANGS_AFTER,
    Repro,
    processes_of,
    removed_broken_rwlock,
    results,
    still_alive,
)
from tests.support.clones import Project, make_clone
from tests.support.cluster import ADDRESS, Cluster, why_not

EPOCHS = 60
DELAY = 6.0  # seconds from the first fold's begin, or the kill before, to a kill, at most
_TRIES = 12  # starts of the command in a round
ENGINE = {"kind": "ray", "address": ADDRESS, "ship_every": 1, "lost_after": 6}


@dataclass
class Outcome:
    """What became of a round."""

    kills: list[str] = field(default_factory=list)
    alive: int = 0
    lost: str = ""


class Round:
    """One clone, and what happens while its folds train."""

    def __init__(self, cluster: Cluster, project: Project, dice: random.Random) -> None:
        self._cluster, self._project, self._dice = cluster, project, dice
        self._next = max(cluster.machines, default=1) + 1
        self._tries = 0
        self.outcome = Outcome()

    def run(self, kills: int) -> Outcome:
        """Kills so often, starting the command again where it has ended; then lets it end."""
        try:
            repro = self._start()
            for _ in range(kills):
                self._wait_for_training(repro)
                time.sleep(self._dice.uniform(0, DELAY))
                if not repro.is_running():
                    break
                name = self._dice.choice(list(self._kinds()))
                self.outcome.kills.append(name)
                self._kinds()[name](repro)
                if not repro.is_running():
                    repro = self._start()
            while repro.end() != 0:
                assert self.outcome.kills, repro.output
                assert "Traceback" not in repro.output, repro.output
                repro = self._start()
        except (subprocess.TimeoutExpired, AssertionError) as error:
            self.outcome.lost = f"{type(error).__name__}: {error}"[-3000:]
        finally:
            for process in processes_of(self._project):
                process.kill()
        return self.outcome

    def _start(self) -> Repro:
        removed_broken_rwlock(self._project)
        self._tries += 1
        assert self._tries <= _TRIES, "it ends badly again and again"
        return Repro(self._project, prefix=self._cluster.prefix)

    def _wait_for_training(self, repro: Repro) -> None:
        end = time.monotonic() + HANGS_AFTER
        while repro.is_running() and ": trains on " not in repro.output:
            assert time.monotonic() < end, f"nothing trains:\n{repro.output}"
            time.sleep(0.1)

    def _kinds(self) -> dict[str, Callable[[Repro], None]]:
        signals = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
        command = {f"{s.name} to dvc's group": lambda repro, s=s: self._end_command(repro, s) for s in signals}
        return {
            "a machine": self._kill_machine,
            "a machine ": self._kill_machine,
            "frozen": self._freeze,
            "a training process": self._kill_training,
            "a training process ": self._kill_training,
            "the client": self._kill_client,
            **command,
        }

    def _kill_machine(self, repro: Repro) -> None:
        self._cluster.kill(self._dice.choice(list(self._cluster.machines)))
        self._cluster.start(self._next)
        self._next += 1

    def _freeze(self, repro: Repro) -> None:
        number = self._dice.choice(list(self._cluster.machines))
        self._cluster.machines[number].freeze()
        time.sleep(ENGINE["lost_after"] + self._dice.uniform(0, 6))  # type: ignore[operator]
        self._cluster.machines[number].thaw()
        self._cluster.kill(number)  # Ray may have given it up by now
        self._cluster.start(self._next)
        self._next += 1

    def _kill_training(self, repro: Repro) -> None:
        training = [process for machine in self._cluster.machines.values() for process in machine.training()]
        if training:
            self._dice.choice(training).kill()

    def _kill_client(self, repro: Repro) -> None:
        for process in processes_of(self._project):
            if "audiocnn.folds.ray_client" in process.cmdline():
                process.kill()
        repro.end()
        self._count_alive()

    def _end_command(self, repro: Repro, signum: signal.Signals) -> None:
        os.killpg(repro.process.pid, signum)
        repro.end()
        self._count_alive()

    def _count_alive(self) -> None:
        """Counts where something of the command is alive, here or on a machine, after the time that it may take."""
        end = time.monotonic() + DIES_WITHIN
        alive: list[psutil.Process] = still_alive(self._project)
        for machine in self._cluster.machines.values():
            while (training := machine.training()) and time.monotonic() < end:
                time.sleep(0.1)
            alive += training
        self.outcome.alive += bool(alive)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--kills", type=int, default=3, help="in each round")
    parser.add_argument("--seed", type=int, default=None, help="of the instants and the kinds of kill")
    options = parser.parse_args()
    if reason := why_not():
        print(f"error: {reason}", file=sys.stderr)
        return 1
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        outcomes = rounds(Path(folder), options.rounds, options.kills, seed)
    kills, lost = sum(len(outcome.kills) for outcome in outcomes), sum(bool(outcome.lost) for outcome in outcomes)
    hung = sum("TimeoutExpired" in outcome.lost for outcome in outcomes)
    alive = sum(outcome.alive for outcome in outcomes)
    print(f"{len(outcomes)} rounds, {kills} kills: {lost} lost, {hung} hung, {alive} with something alive after 10 s")
    return int(bool(lost or alive))


def rounds(folder: Path, count: int, kills: int, seed: int) -> list[Outcome]:
    """Disturbed rounds from the same start, compared with a local run; prints a line each."""
    (folder / "hidden").mkdir()
    start = make_clone(folder / "start")
    start.set_params(train={"epochs": EPOCHS, "early_stopping_patience": EPOCHS})
    start.dvc("repro", "prepare")
    local = start.copy(folder / "local")
    local.dvc("repro")
    outcomes: list[Outcome] = []
    cluster = Cluster(folder / "hidden")
    try:
        cluster.start_head()
        cluster.only(2, 3)
        for number in range(count):
            began = time.monotonic()
            project = start.copy(folder / f"hidden/{number}", **cluster.variables)
            project.set_runtime(device="cpu", engine=ENGINE)
            outcome = Round(cluster, project, random.Random(f"{seed}/{number}")).run(kills)
            if not outcome.lost and results(project) != results(local):
                outcome.lost = "other bytes than the local run"
            what = outcome.lost or "the same bytes"
            alive = f", {outcome.alive} alive" if outcome.alive else ""
            print(
                f"round {number}: {', '.join(map(str.strip, outcome.kills)) or 'no kill'}: {what}{alive}, "
                f"{time.monotonic() - began:.0f} s",
                flush=True,
            )
            outcomes.append(outcome)
    finally:
        cluster.close()
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
