"""A `dvc repro` that has nothing to do: ours, and DVC's own floor, the same pipeline with `true` for every command.

    python -m benchmarks.noop_repro --runs 5

makes a clone with ten folds on the tiny dataset, trains an epoch of each, and prints the median seconds of both.
"""

import argparse
import re
import statistics
import tempfile
from pathlib import Path

from benchmarks.timing import timed
from tests.support.clones import Project, make_clone, stages_run, write_dataset

FOLDS = 10


def main() -> None:
    """Prints a line for each of the two, measured in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ours = finished_project(Path(folder) / "ours")
        floor = bare_project(ours, Path(folder) / "floor")
        times = [(noop_seconds(ours), noop_seconds(floor)) for _ in range(options.runs)]
    ours_median, floor_median = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"no-op dvc repro, {FOLDS} folds: {ours_median:.2f} s")
    print(f"the same pipeline, each command `true`: {floor_median:.2f} s")
    print(f"ratio of medians: {ours_median / floor_median:.2f} (n = {options.runs})")


def finished_project(path: Path) -> Project:
    """A clone in which every stage has run."""
    project = make_clone(path)
    write_dataset(path / "ten_folds", FOLDS)
    project.set_params(folds=list(range(FOLDS)), data={"source": "ten_folds"}, train={"epochs": 1})
    project.dvc("repro")
    return project


def bare_project(project: Project, path: Path) -> Project:
    """The same stages, deps, params and outs, as far as DVC sees: every command is `true`, and the outs lie there."""
    bare = project.copy(path)
    pipeline = path / "dvc.yaml"
    pipeline.write_text(re.sub(r"^( *cmd:).*$", r"\1 'true'", pipeline.read_text(), flags=re.MULTILINE))
    bare.dvc("commit", "-f")
    return bare


def noop_seconds(project: Project) -> float:
    """The seconds of a `dvc repro` that runs nothing."""
    took, output = timed(lambda: project.dvc("repro"))
    assert stages_run(output) == [], output
    return took


if __name__ == "__main__":
    main()
