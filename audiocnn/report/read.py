"""A cross-validation read from the files in metrics/, and from them alone. What is read there is checked."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audiocnn.evaluation.metrics import Floats
from audiocnn.evaluation.read import WHOLE_NUMBERS, damaged, read_metrics
from audiocnn.evaluation.rows import CURVES, MEAN
from audiocnn.report.numbers import CrossValidation, Fold

_Table = list[dict[str, str]]


def read_cross_validation(metrics: Path) -> CrossValidation:
    """The cross-validation in `metrics`. Raises UserError where files are missing, damaged or of different runs."""
    names = ("summary.json", "folds.csv", "classes.csv", "predictions.csv", "history.csv")
    summary, *tables = (read_metrics(metrics / name) for name in names)
    try:
        return _cross_validation(summary, *tables)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        raise damaged(metrics) from None


def _cross_validation(
    summary: dict[str, Any], folds: _Table, classes: _Table, predictions: _Table, history: _Table
) -> CrossValidation:
    """The tables' rows as a CrossValidation. Raises KeyError, ValueError and others where they do not fit together."""
    names = [row["class"] for row in classes]
    labels = {name: label for label, name in enumerate(names)}
    if {row["fold"] for row in predictions} != {row["fold"] for row in folds} or int(summary["folds"]) != len(folds):
        raise ValueError
    read = [_fold(row, _of(predictions, row["fold"]), _of(history, row["fold"]), labels) for row in folds]
    _check_classes(classes)
    _check_summary(summary, read[0].scores)
    return CrossValidation(summary, names, classes, read, _curves(_of(history, MEAN)))


def _check_classes(classes: _Table) -> None:
    """Raises where a number that the report shows is missing or not finite. A class without clips has no recall."""
    for row in classes:
        _finite([int(row["clips"]), float(row["recall_mean"] or 0), float(row["recall_std"] or 0)])


def _check_summary(summary: dict[str, Any], scores: Iterable[str]) -> None:
    """Raises where a number that the report shows is missing or not finite. scores: the names of metrics."""
    _finite([summary["macro_f1"]])
    for name in scores:
        if name == "macro_f1":  # a mean alone, checked above
            continue
        metric = summary[name]
        if not {"mean", "std"} <= metric.keys() or ("ci95_low" in metric) != ("ci95_high" in metric):
            raise ValueError
        _finite(list(metric.values()))


def _fold(row: dict[str, str], predictions: _Table, history: _Table, labels: dict[str, int]) -> Fold:
    """A fold, from its row of folds.csv and its rows of the other tables. labels: by class name."""
    whole = {name: int(row[name]) for name in WHOLE_NUMBERS}
    scores = {name: float(cell) for name, cell in row.items() if name not in WHOLE_NUMBERS}
    _finite(list(scores.values()))
    curves = _curves(history)
    if len(curves) != whole["epochs"] or not 0 <= whole["best_epoch"] < whole["epochs"]:
        raise ValueError
    return Fold(
        **whole,
        scores=scores,
        curves=curves,
        rows=np.array([int(clip["row"]) for clip in predictions], dtype=np.int64),
        actual=np.array([labels[clip["actual"]] for clip in predictions], dtype=np.int64),
        predicted=np.array([labels[clip["predicted"]] for clip in predictions], dtype=np.int64),
        confidence=_finite([float(clip["confidence"]) for clip in predictions]),
    )


def _of(table: _Table, fold: str) -> _Table:
    return [row for row in table if row["fold"] == fold]


def _curves(history: _Table) -> Floats:
    """(epochs, 4) float64: history.csv's metrics in the order of CURVES; NaN for val_* where all cells are empty."""
    columns = [[row[name] for row in history] for name in CURVES]
    absent = [name.startswith("val_") and not any(cells) for name, cells in zip(CURVES, columns, strict=True)]
    curves = [[float(cell or "nan") for cell in cells] for cells in columns]
    _finite([cells for cells, is_absent in zip(curves, absent, strict=True) if not is_absent])
    return np.array(curves, dtype=np.float64).T


def _finite(numbers: Sequence[Any]) -> Floats:
    """Numbers as a float64 array. Raises ValueError where one is infinite or NaN: the stages write only finite ones."""
    array = np.array(numbers, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError
    return array
