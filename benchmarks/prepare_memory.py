"""Peak resident memory of prepare at the published size, (8732, 128, 173, 1) float32, by pickle protocol.

    python -m benchmarks.prepare_memory [PROTOCOL ...]

Each protocol runs in a process of its own, in a temporary folder that needs about 2.5 GB and is removed. What is asked
for is at most 1.3 times features.pkl for protocols 3 to 5; protocol 2 holds bytes as text, which has to be decoded.
"""

import pickle
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from audiocnn.data.prepare import prepare
from benchmarks.timing import timed

SHAPE = (8732, 128, 173, 1)
CLASSES = FOLDS = 10


def write_pickles(folder: Path, protocol: int) -> None:
    """A dataset of the published size, of random numbers."""
    rows = np.arange(SHAPE[0])
    features = np.random.default_rng(0).standard_normal(SHAPE, dtype=np.float32)
    values = {"features": features, "labels": rows % CLASSES, "folds": rows // CLASSES % FOLDS}
    for name, value in values.items():
        with (folder / f"{name}.pkl").open("wb") as file:
            pickle.dump(value, file, protocol)


def measure(folder: Path, protocol: int) -> None:
    """Prepares the folder's dataset and prints this process's peak resident memory against features.pkl."""
    seconds, _ = timed(lambda: prepare(folder, folder / "prepared", range(FOLDS)))
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    size = (folder / "features.pkl").stat().st_size
    text = f"features.pkl {size / 1e6:.0f} MB, peak {peak / 1e6:.0f} MB = {peak / size:.3f} times, {seconds:.1f} s"
    print(f"protocol {protocol}: {text}", file=sys.stderr)


def main(protocols: list[str]) -> None:
    """Runs each protocol's two steps as processes of their own, so that one's memory is not counted for another's."""
    for protocol in protocols or ["3", "4", "5"]:
        with tempfile.TemporaryDirectory() as folder:
            for step in ("write", "measure"):
                command = [sys.executable, "-m", "benchmarks.prepare_memory", step, folder, protocol]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    if sys.argv[1:2] == ["write"]:
        write_pickles(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:2] == ["measure"]:
        measure(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main(sys.argv[1:])
