"""Projects as the stages leave them, made up for tests of the report: no training, the same bytes every time."""

from pathlib import Path
from typing import Any

import numpy as np

from audiocnn.aggregation import write_outs
from audiocnn.files import sha256_of_file, write_json
from audiocnn.fold_results import read_fold_results
from audiocnn.prepared import ARRAYS, META, Meta
from tests.fold_fabric import CLASSES, fold_result, write_fold_results

RECIPE = {"rate": 8000, "seconds": 1.0, "n_fft": 512, "hop_length": 500, "n_mels": 12}


def make_project(
    root: Path, folds: int = 3, classes: list[str] = CLASSES, clips: int = 24, recipe: bool = True, **changes: Any
) -> Path:
    """Writes params.yaml, results/folds, metrics and data/prepared below `root`. changes: to each fold's result."""
    results = [fold_result(fold, classes, clips, **changes) for fold in range(folds)]
    write_fold_results(root, *results)
    read = read_fold_results(range(folds), root / "results/folds")
    write_outs(read, root / "metrics", root / "models/all_fold_histories.pkl")
    (root / "params.yaml").write_text(f"folds: {list(range(folds))}\n")
    labels = np.concatenate([result.labels for result in read])
    write_prepared(root / "data/prepared", classes, labels, folds, recipe)
    return root


def write_prepared(
    folder: Path, classes: list[str], labels: np.ndarray[Any, Any], folds: int, recipe: bool = True
) -> None:
    """What prepare writes: (clips, 12, 16) noise, as many clips in each fold."""
    generator = np.random.default_rng(0)
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "features": generator.uniform(-80, 0, size=(len(labels), 12, 16)).astype(np.float32),
        "labels": labels,
        "folds": 1 + np.arange(len(labels)) * folds // len(labels),
    }
    folder.mkdir(parents=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    digests = {name: sha256_of_file(folder / f"{name}.npy") for name in ARRAYS}
    sizes: dict[str, Any] = {"clips": len(labels), "mels": 12, "frames": 16, "folds": list(range(1, folds + 1))}
    meta = Meta(source="demo", classes=classes, digests=digests, recipe=RECIPE if recipe else None, **sizes)
    write_json(folder / META, meta.model_dump())
