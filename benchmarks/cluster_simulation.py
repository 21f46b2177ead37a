"""How long a sweep takes on a cluster, simulated: python -m benchmarks.cluster_simulation.

Discrete events. An experiment first takes the head's processor (dvc, fetch, prepare), then its folds wait for slots,
first come first served, and when all are trained it takes the head's processor again (aggregate, dvc's commits). At
most `in_flight` experiments are between the two ends. A fold takes a slot for its start and its epochs; before a slot's
first fold, the data comes over the head's network, one slot after the other. A preempted slot loses the epochs since
the last commit that was shipped, and comes back after a pause; its fold is the next to get a slot.

Epochs of each fold are those of metrics/history.csv. What they cost was measured: benchmarks/RESULTS.md.
"""

import argparse
import csv
import heapq
import math
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import NamedTuple

from tests.support.paths import ROOT

SLOTS = (1, 10, 100, 1000)
SEEDS = 50


@dataclass(frozen=True)
class Costs:
    """Seconds, unless said otherwise. head: processor time of an experiment, half before its folds and half after."""

    epoch: float = 0.24
    start: float = 4.0
    head: float = 9.0
    head_cores: int = 2
    data_mb: float = 1.2
    network_mb: float = 110.0  # MB a second, of the head: 1 Gbit/s
    ship_every: float = 10.0
    preempted_every: float = math.inf  # on average, a slot
    requeue: float = 120.0


class Outcome(NamedTuple):
    """wall: seconds. busy: the share of the slots' time that trains epochs which count. preempted: how often."""

    wall: float
    busy: float
    preempted: int


@dataclass
class _Fold:
    experiment: int
    epochs: int  # still to train


@dataclass
class _Cluster:
    """The state between two events, and what happens at each."""

    costs: Costs
    slots: int
    in_flight: int
    waiting: deque[list[int]]
    random: random.Random
    now: float = 0.0
    running: int = 0
    preempted: int = 0
    has_data: int = 0  # slots are alike: the first that are used get the data first
    network_free: float = 0.0
    head: list[float] = field(default_factory=list)
    folds: deque[_Fold] = field(default_factory=deque)
    left: dict[int, int] = field(default_factory=dict)
    events: list[tuple[float, int, str, object]] = field(default_factory=list)
    order: "count[int]" = field(default_factory=count)
    numbers: "count[int]" = field(default_factory=count)

    def at(self, time: float, what: str, of: object) -> None:
        heapq.heappush(self.events, (time, next(self.order), what, of))

    def on_head(self, what: str, of: object) -> None:
        """Half of an experiment's work on the first of the head's cores that is free."""
        begin = max(self.now, heapq.heappop(self.head))
        end = begin + self.costs.head / 2
        heapq.heappush(self.head, end)
        self.at(end, what, of)

    def start_experiment(self) -> None:
        if self.waiting:
            self.on_head("prepared", self.waiting.popleft())

    def fill_slots(self) -> None:
        while self.slots and self.folds:
            self.slots -= 1
            self.train(self.folds.popleft())

    def train(self, fold: _Fold) -> None:
        begin = self.now
        self.running += 1
        if self.running > self.has_data:
            self.has_data += 1
            begin = max(begin, self.network_free) + self.costs.data_mb / self.costs.network_mb
            self.network_free = begin
        end = begin + self.costs.start + fold.epochs * self.costs.epoch
        rate = 1 / self.costs.preempted_every
        lost = self.now + self.random.expovariate(rate) if rate else math.inf
        if lost >= end:
            self.at(end, "trained", fold)
            return
        shipped = lost - (lost - begin - self.costs.start) % self.costs.ship_every
        done = max(0, math.floor((shipped - begin - self.costs.start) / self.costs.epoch))
        self.at(lost, "preempted", replace(fold, epochs=fold.epochs - done))

    def handle(self, what: str, of: object) -> None:
        if what == "prepared" and isinstance(of, list):
            experiment = next(self.numbers)
            self.left[experiment] = len(of)
            self.folds.extend(_Fold(experiment, epochs) for epochs in of)
        elif what == "trained" and isinstance(of, _Fold):
            self.slots += 1
            self.running -= 1
            self.left[of.experiment] -= 1
            if not self.left[of.experiment]:
                self.on_head("finished", None)
        elif what == "preempted" and isinstance(of, _Fold):
            self.running -= 1
            self.preempted += 1
            self.folds.appendleft(of)
            self.at(self.now + self.costs.requeue, "back", None)
        elif what == "back":
            self.slots += 1
        else:  # finished
            self.start_experiment()
        self.fill_slots()


def simulate(epochs: Sequence[Sequence[int]], slots: int, in_flight: int, costs: Costs, seed: int = 0) -> Outcome:
    """A sweep. epochs: of each fold of each experiment."""
    experiments = deque(list(folds) for folds in epochs)
    cluster = _Cluster(costs, slots, in_flight, experiments, random.Random(seed), head=[0.0] * costs.head_cores)
    for _ in range(in_flight):
        cluster.start_experiment()
    wall = 0.0
    while cluster.events:
        cluster.now, _, what, of = heapq.heappop(cluster.events)
        wall = cluster.now if what != "back" else wall
        cluster.handle(what, of)
    work = sum(map(sum, epochs)) * costs.epoch
    return Outcome(wall, work / (wall * slots), cluster.preempted)


def rule(slots: int, folds: int) -> int:
    """N of `dvc queue start -j N`: half as many folds again as there are slots, so that none waits for a long fold."""
    return math.ceil(1.5 * slots / folds)


def check() -> None:
    """Outcomes that are known without simulating. Raises AssertionError."""
    free = Costs(epoch=1, start=0, head=0, data_mb=0)
    folds = [[3, 5, 4], [2, 2, 7]]
    assert simulate(folds, 1, 1, free).wall == 23  # one slot: the sum
    assert simulate(folds, 1, 2, free).wall == 23
    assert simulate(folds, 6, 2, free).wall == 7  # a slot a fold: the longest
    assert simulate(folds, 6, 1, free).wall == 5 + 7  # one experiment after the other
    assert simulate(folds, 6, 2, replace(free, head=4, head_cores=1)).wall == 2 * 2 + 7 + 2  # head: 2, 2; then 7; 2
    assert simulate([[3]], 1, 1, replace(free, data_mb=10, network_mb=5)).wall == 2 + 3
    assert simulate([[100]], 1, 1, replace(free, preempted_every=30, requeue=10)).wall > 110  # at least one pause
    assert simulate([[100]], 1, 1, replace(free, preempted_every=30)).preempted > 0


def measured_epochs() -> list[int]:
    """How many epochs each fold of the committed results took."""
    with (ROOT / "metrics/history.csv").open() as file:
        names = [row["fold"] for row in csv.DictReader(file)]
    return [names.count(fold) for fold in sorted({*names} - {"mean"}, key=int)]


def main() -> None:
    """Prints the tables, for short folds and for long ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="experiments (default: %(default)s)")
    options = parser.parse_args()
    check()
    folds = measured_epochs()
    epochs = [folds] * options.seeds
    hour = Costs(epoch=3600 / (sum(folds) / len(folds)), data_mb=773)
    kinds = {
        "the demo": Costs(),
        "folds of an hour, 773 MB of data": hour,
        "the same, each slot preempted every 6 hours": replace(hour, preempted_every=6 * 3600),
    }
    for name, costs in kinds.items():
        print(f"\n{name}: {options.seeds} experiments of {len(folds)} folds, {sum(folds)} epochs each\n")
        print("| slots | ideal s | -j 1 s | rule | s by the rule | all in flight s | busy by the rule | preempted |")
        print("|---:|---:|---:|---:|---:|---:|---:|---:|")
        for slots in SLOTS:
            number = min(rule(slots, len(folds)), options.seeds)
            ideal = sum(map(sum, epochs)) * costs.epoch / slots
            one, ruled, everything = (simulate(epochs, slots, j, costs) for j in (1, number, options.seeds))
            walls = f"{one.wall:.0f} | -j {number} | {ruled.wall:.0f} | {everything.wall:.0f}"
            print(f"| {slots} | {ideal:.0f} | {walls} | {ruled.busy:.0%} | {ruled.preempted} |")


if __name__ == "__main__":
    main()
