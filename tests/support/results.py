"""Results that are made up: what comes out of training, without it and with the same bytes every time."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from audiocnn.evaluation.fold_results import FoldResult, read_fold_results
from audiocnn.evaluation.write import write_outs
from tests.support.prepared import CLASSES, write_noise


def fold_result(fold: int, classes: list[str] = CLASSES, clips: int = 24, **changes: Any) -> dict[str, Any]:
    """A fold's JSON that is consistent in itself: its logits give its history's accuracy at the best epoch.

    Without validation (`validation="none"`) the last epoch counts, and the history has no val_*.
    """
    generator = np.random.default_rng(fold)
    labels = np.arange(clips) % len(classes)
    logits = generator.normal(size=(clips, len(classes))) + 1.5 * np.eye(len(classes))[labels]
    accuracy = float((logits.argmax(axis=1) == labels).mean())
    epochs = 6 + 2 * fold
    decay = np.exp(-np.arange(epochs) / 4) + generator.normal(size=epochs) / 50
    val_accuracy = np.clip(accuracy - decay / 3 - 0.01, 0, 1)
    val_accuracy[best := epochs - 3] = accuracy
    result: dict[str, Any] = {
        "format": 1,
        "key": f"{fold:064x}",
        "fold": fold,
        "dataset_fold": fold + 1,
        "source": "demo",
        "classes": classes,
        "device": "cpu",
        "torch": "2.13.0",
        "validation": "held_out",
        "best_epoch": best,
        "history": {
            "loss": (2 * np.abs(decay)).tolist(),
            "accuracy": np.clip(1 - decay / 2, 0, 1).tolist(),
            "val_loss": (0.4 + 2 * np.abs(decay)).tolist(),
            "val_accuracy": val_accuracy.tolist(),
            "lr": [1e-3] * epochs,
        },
        "held_out": {
            "rows": list(range(fold * clips, (fold + 1) * clips)),
            "labels": labels.tolist(),
            "logits": logits.tolist(),
        },
    }
    if changes.get("validation") == "none":
        result["best_epoch"] = epochs - 1
        del result["history"]["val_loss"], result["history"]["val_accuracy"]
    return result | changes


def write_fold_results(folder: Path, *results: dict[str, Any]) -> None:
    """Writes results/folds/fold_k.json under a folder for each result."""
    (folder / "results/folds").mkdir(parents=True, exist_ok=True)
    for result in results:
        (folder / f"results/folds/fold_{result['fold']}.json").write_text(json.dumps(result))


def written_and_read(folder: Path, *results: dict[str, Any]) -> list[FoldResult]:
    """Results as the code reads them, after write_fold_results."""
    write_fold_results(folder, *results)
    return read_fold_results([result["fold"] for result in results], folder / "results/folds")


def make_project_with_results(
    root: Path, folds: int = 3, classes: list[str] = CLASSES, clips: int = 24, recipe: bool = True, **changes: Any
) -> Path:
    """Writes params.yaml, results/folds, metrics and data/prepared below `root`. changes: to each fold's result."""
    results = written_and_read(root, *(fold_result(fold, classes, clips, **changes) for fold in range(folds)))
    write_outs(results, root / "metrics", root / "models/all_fold_histories.pkl")
    (root / "params.yaml").write_text(f"folds: {list(range(folds))}\n")
    labels = np.concatenate([result.labels for result in results])
    write_noise(root / "data/prepared", classes, labels, folds, recipe)
    return root
