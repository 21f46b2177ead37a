"""Measures a whole cross-validation: the seconds of the plain loop and of `dvc repro`, native and portable.

    python -m benchmarks.whole ../shared/data/esc10 --epochs 2 --runs 3

Both train every fold for the same number of epochs on the same arrays. `dvc repro` starts from prepared data, and its
time includes DVC, the checkpoints, the metrics and the plots' tables. The plain loop (benchmarks/plain.py) trains one
fold after the other, with all threads. The runs alternate: plain, then train.arithmetic `native`, then `portable`, then
`native` with train.precision `bf16`.
Prints a line of a Markdown table: the dataset, its folds, the epochs, the four medians in seconds, and the median and
range of the ratios plain / native, plain / portable, portable / native, plain / bf16 and native / bf16.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import yaml
from tqdm import tqdm

from benchmarks.run import KINDS, RATIOS
from benchmarks.step import settings
from benchmarks.timing import ratio, run_quietly, seconds
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
        runs: list[dict[str, float]] = []
        for _ in tqdm(range(options.runs), desc=options.source.name, disable=None, leave=False):
            plain = [sys.executable, "-c", PLAIN, f"{clone}/data/prepared", str(options.epochs)]
            runs.append({"plain": seconds(plain, ROOT)})
            runs[-1] |= {kind: repro(clone, kind) for kind in KINDS if kind != "plain"}
            print(" ".join(f"{kind} {value:.0f} s" for kind, value in runs[-1].items()), file=sys.stderr)
    medians = [f"{statistics.median(run[kind] for run in runs):.0f}" for kind in KINDS]
    times = {kind: [run[kind] for run in runs] for kind in KINDS}
    ratios = [ratio(times[above], times[below]) for above, below in RATIOS]
    print(f"| {' | '.join([options.source.name, str(options.folds), str(options.epochs), *medians, *ratios])} |")


def repro(clone: Path, kind: str) -> float:
    """The seconds of `dvc repro` from prepared data, with nothing trained before."""
    params = yaml.safe_load((clone / "params.yaml").read_text())
    params["train"] |= {"precision": "float32", **settings(kind)}
    (clone / "params.yaml").write_text(yaml.safe_dump(params))
    for name in ("checkpoints", "models", "results", ".dvc/cache/runs"):
        shutil.rmtree(clone / name, ignore_errors=True)
    (clone / "dvc.lock").write_text((clone / "prepared.lock").read_text())
    return seconds(["dvc", "repro"], clone)


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
