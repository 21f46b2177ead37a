"""`audiocnn results`: the table of results, from the files in metrics/ alone, and how it compares with git HEAD."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audiocnn.committed import comparison
from audiocnn.errors import UserError
from audiocnn.evaluation import CALIBRATION_BINS, expected_calibration_error, mean_std

METRICS = Path("metrics")
_WHOLE = ("fold", "dataset_fold", "best_epoch", "epochs")  # folds.csv's columns that are no metrics
_RECALL = ("recall_mean", "recall_std")


def print_results(root: Path = Path()) -> None:
    """Prints the table, then the comparison with the committed results. Raises UserError where there are none."""
    print_table(root / METRICS)
    print(f"\n{comparison(root)}")


def print_table(metrics: Path = METRICS) -> None:
    """Prints the folds, their mean and std, and each class's recall."""
    summary, folds, classes, predictions = (
        _read(metrics / name) for name in ("summary.json", "folds.csv", "classes.csv", "predictions.csv")
    )
    print(f"\n{_title(summary)}\n")
    print(_aligned([list(folds[0]), *map(_fold_cells, folds), *_mean_and_std(folds)]))
    print(f"\n{summary['protocol']}; std is over folds")
    error = _calibration_error(predictions)
    print(f"expected calibration error {error:.4f} (all held-out clips, {CALIBRATION_BINS} bins)\n")
    print(_aligned([["class", "clips", "recall", "std"], *map(_class_cells, classes)]))


def _read(path: Path) -> Any:
    """A JSON file's value, or a CSV file's rows as dictionaries of text."""
    try:
        text = path.read_text(encoding="utf-8")
        return _summary(text) if path.suffix == ".json" else _rows(text)
    except FileNotFoundError:
        raise UserError(f"{path} is not here: run 'dvc repro', or restore it with 'git checkout metrics'.") from None
    except ValueError:
        raise UserError(f"{path} is damaged: restore it with 'git checkout metrics', or run 'dvc repro'.") from None


def _summary(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict) or not {"dataset", "folds", "protocol"} <= value.keys():
        raise ValueError
    return value


def _rows(text: str) -> list[dict[str, str]]:
    rows = list(csv.DictReader(io.StringIO(text)))
    if not rows or any(None in row or None in row.values() for row in rows):  # too many cells, or too few
        raise ValueError
    return rows


def _title(summary: dict[str, Any]) -> str:
    warning = ", no measure of real ones" if summary["dataset"].startswith("demo") else ""
    return f"AudioCNN, {summary['folds']} folds, dataset: {summary['dataset']}{warning}"


def _fold_cells(row: dict[str, str]) -> list[str]:
    return [cell if name in _WHOLE else f"{float(cell):.4f}" for name, cell in row.items()]


def _mean_and_std(folds: Sequence[dict[str, str]]) -> list[list[str]]:
    names = [name for name in folds[0] if name not in _WHOLE]
    means, stds = zip(*(mean_std(float(row[name]) for row in folds) for name in names), strict=True)
    blank = [""] * (len(_WHOLE) - 1)
    return [["mean", *blank, *(f"{mean:.4f}" for mean in means)], ["std", *blank, *(f"{std:.4f}" for std in stds)]]


def _class_cells(row: dict[str, str]) -> list[str]:
    return [row["class"], row["clips"], *(f"{float(cell):.4f}" if (cell := row[name]) else "-" for name in _RECALL)]


def _calibration_error(predictions: Sequence[dict[str, str]]) -> float:
    confidence = np.array([float(row["confidence"]) for row in predictions])
    correct = np.array([row["actual"] == row["predicted"] for row in predictions])
    return expected_calibration_error(confidence, correct)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as text, each column as wide as its widest cell: words to the left in the first, all else to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
