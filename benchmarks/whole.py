"""Measures a whole cross-validation: the seconds of `dvc repro` and of the plain loop, and their ratio.

    python -m benchmarks.whole ../shared/data/esc10 --epochs 2 --runs 3

Both train every fold for the same number of epochs on the same arrays. `dvc repro` starts from prepared data, and its
time includes DVC, the checkpoints, the metrics and the plots' tables. The plain loop (benchmarks/plain.py) trains one
fold after the other, with all threads. The runs alternate. Prints a line of a Markdown table: the dataset, its folds,
the epochs, both medians in seconds, their ratio, and the ratio of each pair.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import yaml
from tqdm import tqdm

from benchmarks.timing import run_quietly, seconds
from tests.support.paths import ROOT

PLAIN = """
import sys, tempfile
from pathlib import Path
import numpy as np
from benchmarks.plain import Clips, train_plain
prepared, epochs = Path(sys.argv[1]), int(sys.argv[2])
clips = Clips(np.load(prepared / "features.npy"), np.load(prepared / "labels.npy"))
folds = np.load(prepared / "folds.npy")
for fold in np.unique(folds):
    with tempfile.TemporaryDirectory() as folder:
        train, held_out = np.flatnonzero(folds != fold).tolist(), np.flatnonzero(folds == fold).tolist()
        train_plain(clips, train, held_out, epochs, Path(folder) / "checkpoint.pt")
"""


def main() -> None:
    """Prints one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="a folder with the four pickles")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clone = prepared_clone(Path(folder) / "clone", options)
        plain: list[float] = []
        ours: list[float] = []
        for _ in tqdm(range(options.runs), desc=options.source.name, disable=None, leave=False):
            plain.append(seconds([sys.executable, "-c", PLAIN, f"{clone}/data/prepared", str(options.epochs)], ROOT))
            for name in ("checkpoints", "models", "results", ".dvc/cache/runs"):
                shutil.rmtree(clone / name, ignore_errors=True)
            ours.append(seconds(["dvc", "repro"], clone))
            (clone / "dvc.lock").write_text((clone / "prepared.lock").read_text())
            print(f"{plain[-1]:.0f} s and {ours[-1]:.0f} s", file=sys.stderr)
    a, b = statistics.median(plain), statistics.median(ours)
    pairs = ", ".join(f"{p / o:.2f}" for p, o in zip(plain, ours, strict=True))
    print(f"| {options.source.name} | {options.folds} | {options.epochs} | {a:.0f} | {b:.0f} | {a / b:.2f} | {pairs} |")


def prepared_clone(clone: Path, options: argparse.Namespace) -> Path:
    """A clone of the committed project with the source fetched and prepared, and nothing trained."""
    run_quietly(["git", "clone", "--quiet", str(ROOT), str(clone)], ROOT)
    params = yaml.safe_load((clone / "params.yaml").read_text())
    params["folds"], params["data"] = (
        list(range(options.folds)),
        {"source": str(options.source.resolve()), "sha256": {}},
    )
    params["train"]["epochs"] = options.epochs
    (clone / "params.yaml").write_text(yaml.safe_dump(params))
    (clone / "dvc.lock").unlink(missing_ok=True)
    run_quietly(["dvc", "repro", "prepare"], clone)
    shutil.copy(clone / "dvc.lock", clone / "prepared.lock")
    return clone


if __name__ == "__main__":
    main()
