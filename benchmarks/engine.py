"""Measures the demo's ten folds through `dvc repro` on this machine and on a Ray cluster of two machines, in turn.

    python -m benchmarks.engine --runs 3

The cluster is a head and two machines of one core on loopback, which share nothing; the local run has two jobs of one
thread. `dvc repro` starts from prepared data. Wall time is the command's, processor time that of all its processes and
of the cluster's, daemons included; starting the cluster counts in neither. Prints lines of a Markdown table: the
medians, and the median and range of the ratios Ray / local. Fails where the two give other bytes. Takes root, for the
network namespace.
"""

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import psutil
from tqdm import tqdm

from benchmarks.timing import ratio, timed
from tests.support.clones import Project, make_clone
from tests.support.cluster import ADDRESS, Cluster, why_not
from tests.support.paths import ROOT

_LOOK = 0.2  # seconds
Times = tuple[float, float]  # wall and processor time in seconds


def main() -> int:
    """Prints two lines. Exit code 1 where no cluster can be started here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    if reason := why_not():
        print(f"error: {reason}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        local, ray = measure(Path(folder), options.runs)
    for which, name in enumerate(("wall", "processor")):
        ours, theirs = ([times[which] for times in runs] for runs in (ray, local))
        print(f"| {name} | {statistics.median(theirs):.1f} | {statistics.median(ours):.1f} | {ratio(ours, theirs)} |")
    return 0


def measure(folder: Path, runs: int) -> tuple[list[Times], list[Times]]:
    """The times of local runs and of runs on the cluster, one of each in turn."""
    (folder / "hidden").mkdir()
    start = make_clone(folder / "start")
    shutil.copy(ROOT / "params.yaml", start.path)
    start.dvc("repro", "prepare")
    cluster = Cluster(folder / "hidden")
    local: list[Times] = []
    ray: list[Times] = []
    try:
        cluster.start_head()
        cluster.only(2, 3)
        for number in tqdm(range(runs), disable=None, leave=False):
            here = start.copy(folder / f"local_{number}")
            here.set_runtime(device="cpu", jobs=2)
            there = start.copy(folder / f"hidden/{number}", **cluster.variables)
            there.set_runtime(device="cpu", engine={"kind": "ray", "address": ADDRESS})
            local.append(repro(here, [], None))
            ray.append(repro(there, cluster.prefix, cluster))
            assert here.lock() == there.lock(), "the cluster gave other bytes"
    finally:
        cluster.close()
    return local, ray


def repro(project: Project, prefix: list[str], cluster: Cluster | None) -> Times:
    """The times of a `dvc repro`, the cluster's processes included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with _Watched(cluster) as watched:
        wall, _ = timed(
            lambda: subprocess.run(**project.command(*prefix, "dvc", "repro"), check=True, capture_output=True)
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime + watched.seconds


class _Watched:
    """The processor seconds of a cluster's processes within the context.

    They are looked at every _LOOK seconds: Ray does not wait for its processes, so nobody inherits their times.
    """

    def __init__(self, cluster: Cluster | None) -> None:
        self._machines = [cluster.head, *cluster.machines.values()] if cluster else []
        self._begin = self._times()
        self._now: dict[psutil.Process, float] = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "_Watched":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._is_over.set()
        self._thread.join()

    @property
    def seconds(self) -> float:
        return sum(self._now.values()) - sum(self._begin.get(process, 0.0) for process in self._now)

    def _look(self) -> None:
        while not self._is_over.wait(_LOOK):
            self._now |= self._times()

    def _times(self) -> dict[psutil.Process, float]:
        found = {}
        for process in (process for machine in self._machines if machine for process in machine.processes()):
            with suppress(psutil.Error):
                times = process.cpu_times()
                found[process] = times.user + times.system
        return found


if __name__ == "__main__":
    sys.exit(main())
