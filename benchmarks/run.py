"""Measures a training step: its seconds, the seconds until the first one, and the peak memory.

    python -m benchmarks.run --rounds 5 --steps 6

`make bench` starts it. Each round is four processes of benchmarks.step, one after the other: the plain loop, then
audiocnn's own training with train.arithmetic `native`, `portable`, and `native` with train.precision `bf16`. All with
batches of 32 clips and one thread.
Prints the machine, and a Markdown table with a line a dataset: UrbanSound8K's (128, 173), generated; ESC-10 and the
spoken digits where ../shared/data has them.
Nothing passes or fails.
"""

import argparse
import contextlib
import json
import os
import pickle
import platform
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
from tqdm import tqdm

from audiocnn.data.prepare import prepare
from audiocnn.folds.pool import worker_environment
from benchmarks.step import settings
from benchmarks.timing import ratio
from tests.support.paths import ROOT, SHARED

KINDS = ("plain", "native", "portable", "bf16")
RATIOS = (("plain", "native"), ("plain", "portable"), ("portable", "native"), ("plain", "bf16"), ("native", "bf16"))
PUBLISHED = (400, 128, 173)  # clips, mels, frames: UrbanSound8K's spectrograms, enough of them for some steps


def main() -> None:
    """Prints the machine and the table of steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6)
    options = parser.parse_args()
    print(f"{machine()}\n")
    print(
        "| data | plain step, s | native, s | portable, s | bf16, s | plain / native | plain / portable "
        "| portable / native | plain / bf16 | native / bf16 | start to first step, s | peak MB |"
    )
    print("|---" * 12 + "|")
    with tempfile.TemporaryDirectory() as folder:
        for name, prepared in datasets(Path(folder)):
            print(row(name, prepared, options.rounds, options.steps), flush=True)


def machine() -> str:
    """Processor and versions, in a line."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next(
            line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        )
    return f"{cpu}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {version('torch')}, one thread"


def datasets(folder: Path) -> list[tuple[str, Path]]:
    """Names and prepared folders of what there is to train on."""
    raw = folder / "published"
    raw.mkdir()
    generator = np.random.Generator(np.random.PCG64(0))
    clips = PUBLISHED[0]
    arrays = {
        "features": generator.uniform(-80, 0, PUBLISHED).astype(np.float32),
        "labels": np.arange(clips) % 10,
        "folds": np.arange(clips) // 10 % 4 + 1,
    }
    for name, array in arrays.items():
        (raw / f"{name}.pkl").write_bytes(pickle.dumps(array, protocol=4))
    sources = [
        ("(128, 173), generated", raw, 4),
        ("ESC-10 (128, 216)", SHARED / "data/esc10", 5),
        ("digits (64, 63)", SHARED / "data/fsdd", 10),
    ]
    present = [(name, source, folds) for name, source, folds in sources if source.exists()]
    for name, source, folds in present:
        with contextlib.redirect_stdout(sys.stderr):  # its tables are not this one
            prepare(source, folder / f"prepared_{name}", range(folds))
    return [(name, folder / f"prepared_{name}") for name, _, _ in present]


def row(name: str, prepared: Path, rounds: int, steps: int) -> str:
    """A line of the table: medians of the seconds, medians and ranges of the ratios, for each kind of step in turn."""
    runs = [
        {kind: measure(kind, prepared, steps) for kind in KINDS}
        for _ in tqdm(range(rounds), desc=name, disable=None, leave=False)
    ]
    medians = {
        (kind, what): statistics.median(run[kind][what] for run in runs)
        for kind in KINDS
        for what in ("step", "first", "peak_mb")
    }
    steps_cells = [f"{medians[kind, 'step']:.3f}" for kind in KINDS]
    steps_of = {kind: [run[kind]["step"] for run in runs] for kind in KINDS}
    ratios = [ratio(steps_of[above], steps_of[below]) for above, below in RATIOS]
    first = " / ".join(f"{medians[kind, 'first']:.1f}" for kind in KINDS)
    memory = " / ".join(f"{medians[kind, 'peak_mb']:.0f}" for kind in KINDS)
    return f"| {' | '.join([name, *steps_cells, *ratios, first, memory])} |"


def measure(kind: str, prepared: Path, steps: int) -> dict[str, float]:
    """What one process of benchmarks.step printed."""
    command = [sys.executable, "-m", "benchmarks.step", kind, str(prepared), "--steps", str(steps)]
    variables = dict(os.environ) if kind == "plain" else worker_environment(settings(kind)["arithmetic"])
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


if __name__ == "__main__":
    main()
