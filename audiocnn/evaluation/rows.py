"""The tables and files in metrics/, as text: rows from fold results, the summary, the histories. No torch here."""

import csv
import io
import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np

from audiocnn.evaluation.calibration import temperatures_of_other_folds
from audiocnn.evaluation.fold_results import FoldResult
from audiocnn.evaluation.intervals import accuracy_interval, held_out_ratio, share_interval
from audiocnn.evaluation.metrics import (
    Floats,
    class_recalls,
    confidences,
    cross_entropy,
    expected_calibration_error,
    macro_f1,
    mean_std,
)

Row = dict[str, str | int | float]

DECIMALS = 6
CURVES = ("train_acc", "val_acc", "train_loss", "val_loss")  # history.csv's metrics; no val_* where none validates
MEAN = "mean"  # the name in history.csv's fold column of the rows that average over folds
_PICKLE_PROTOCOL = 4  # fixed: the default rises with the Python version, and the bytes with it


def fold_row(result: FoldResult) -> Row:
    """folds.csv's row: the fold at its best epoch. `test_*` only where the held-out clips did not select that epoch."""
    best, labels = result.best_epoch, result.labels
    row: Row = {
        "fold": result.fold,
        "dataset_fold": result.dataset_fold,
        "best_epoch": best,
        "epochs": len(result.history.loss),
    }
    if result.history.val_accuracy is not None and result.history.val_loss is not None:
        row |= {"val_acc": result.history.val_accuracy[best], "val_loss": result.history.val_loss[best]}
    if result.validation != "held_out":
        row["test_acc"] = result.test_accuracy
        row["test_loss"] = cross_entropy(result.logits, labels)
    return row | {"macro_f1": macro_f1(labels, result.predictions)}


def history_rows(results: Sequence[FoldResult]) -> list[Row]:
    """history.csv's rows: every epoch of every fold, then the mean over folds.

    A fold that stopped early counts in the mean with its last epoch's values: leaving it out instead would let
    the curve jump, since the folds that train longer are not a random choice. The cells of val_* are empty where
    nothing validates: 'dvc plots' asks for these columns.
    """
    folds = [_curves(result) for result in results]
    longest = max(len(curves) for curves in folds)
    padded = np.stack([np.pad(curves, ((0, longest - len(curves)), (0, 0)), mode="edge") for curves in folds])
    rows: list[Row] = []
    names: list[int | str] = [*(result.fold for result in results), MEAN]
    for name, curves in zip(names, [*folds, padded.mean(axis=0)], strict=True):
        for epoch, values in enumerate(curves.tolist()):
            place: Row = {"source": results[0].source, "fold": name, "epoch": epoch}
            cells = ("" if np.isnan(value) else value for value in values)
            rows.append(place | dict(zip(CURVES, cells, strict=True)))
    return rows


def _curves(result: FoldResult) -> Floats:
    """(epochs, 4) float64: the history's columns in the order of CURVES; NaN where there is none."""
    history = result.history
    absent = [np.nan] * len(history.loss)
    return np.array([history.accuracy, history.val_accuracy or absent, history.loss, history.val_loss or absent]).T


def prediction_rows(results: Sequence[FoldResult]) -> list[Row]:
    """predictions.csv's rows: every held-out clip's row in the prepared arrays, its class, the predicted class and
    that one's probability.
    """
    rows: list[Row] = []
    for result in results:
        clips = zip(
            result.held_out.rows, result.labels, result.predictions, confidences(result.logits).tolist(), strict=True
        )
        for clip, label, predicted, confidence in clips:
            names = {"actual": result.classes[label], "predicted": result.classes[predicted]}
            rows.append({"source": result.source, "fold": result.fold, "row": clip, **names, "confidence": confidence})
    return rows


def class_rows(results: Sequence[FoldResult]) -> list[Row]:
    """classes.csv's rows: each class's held-out clips, mean and std of its recall over the folds that have it, and the
    95 % interval of the recall over all of its clips.
    """
    classes = results[0].classes
    recalls = np.stack([class_recalls(result.labels, result.predictions, len(classes)) for result in results])
    labels = np.concatenate([result.labels for result in results])
    predictions = np.concatenate([result.predictions for result in results])
    clips = np.bincount(labels, minlength=len(classes)).tolist()
    recognised = np.bincount(labels[labels == predictions], minlength=len(classes)).tolist()
    rows: list[Row] = []
    for name, count, right, column in zip(classes, clips, recognised, recalls.T, strict=True):
        mean, std = mean_std(column[~np.isnan(column)]) if count else ("", "")
        low, high = share_interval(right, count) if count else ("", "")
        row: Row = {"class": name, "clips": count, "recall_mean": mean, "recall_std": std}
        rows.append(row | {"recall_low": low, "recall_high": high})
    return rows


def summary(results: Sequence[FoldResult]) -> dict[str, Any]:
    """summary.json: mean and std over the folds at their best epochs, accuracies' 95 % intervals, calibration."""
    rows = [fold_row(result) for result in results]
    ratio = held_out_ratio((result.fold for result in results), results[0].validation)
    clips = sum(len(result.labels) for result in results)
    numbers: dict[str, Any] = {
        name: _numbers([float(row[name]) for row in rows], ratio if name.endswith("acc") else None, clips)
        for name in ("val_acc", "val_loss", "test_acc", "test_loss")
        if name in rows[0]
    }
    numbers["macro_f1"] = _rounded(mean_std(float(row["macro_f1"]) for row in rows)[0])
    numbers["calibration"] = {name: _rounded(number) for name, number in calibration(results).items()}
    return {"dataset": dataset_words(results[0]), "protocol": _protocol_words(results[0]), "folds": len(rows)} | numbers


def calibration(results: Sequence[FoldResult]) -> dict[str, float]:
    """The expected calibration error over all held-out clips; under train.calibrate also that of the logits before they
    were divided by their fold's temperature; with two folds or more also that with each fold's logits divided by the
    temperature of the others, and the mean of these temperatures.
    """
    numbers = {"error": _calibration_error(results)}
    own = [temperature for result in results if (temperature := result.held_out.temperature) is not None]
    if own:
        numbers["error_uncalibrated"] = _calibration_error(results, [1 / temperature for temperature in own])
    if len(results) < 2:
        return numbers
    temperatures = temperatures_of_other_folds([r.logits for r in results], [r.labels for r in results])
    numbers["error_scaled"] = _calibration_error(results, temperatures)
    return numbers | {"temperature": mean_std(temperatures)[0]}


def _calibration_error(results: Sequence[FoldResult], temperatures: Sequence[float] | None = None) -> float:
    """The expected calibration error over all held-out clips, of logits that are divided by a temperature per fold."""
    scales = temperatures or [1.0] * len(results)
    logits = np.concatenate([result.logits / scale for result, scale in zip(results, scales, strict=True)])
    correct = np.concatenate([result.predictions == result.labels for result in results])
    return expected_calibration_error(confidences(logits), correct)


def _numbers(values: Sequence[float], ratio: float | None, clips: int) -> dict[str, float]:
    """Mean and std, and with a ratio the 95 % interval, which fewer than two folds have not."""
    mean, std = mean_std(values)
    numbers = {"mean": mean, "std": std}
    if ratio is not None and (ci95 := accuracy_interval(values, ratio, clips)):
        numbers |= {"ci95_low": ci95[0], "ci95_high": ci95[1]}
    return {name: _rounded(number) for name, number in numbers.items()}


def dataset_words(result: FoldResult) -> str:
    """The kind of dataset, with a warning where its numbers say nothing about real sounds."""
    return "demo (synthetic sounds)" if result.source == "demo" else result.source


def _protocol_words(result: FoldResult) -> str:
    """How far the numbers can be trusted, in a few words."""
    return {
        "held_out": "val_acc is selected on the fold it reports",
        "previous_fold": "test_acc is read once, after training",
        "none": "test_acc is read once, after a fixed number of epochs",
    }[result.validation]


def histories(results: Sequence[FoldResult]) -> bytes:
    """all_fold_histories.pkl: a list, one dict a fold, of lists loss, accuracy, and where clips validate val_loss,
    val_accuracy.
    """
    curves = [
        {name: list(values) for name, values in result.history.series.items() if name != "lr"} for result in results
    ]
    return pickle.dumps(curves, protocol=_PICKLE_PROTOCOL)


def csv_text(rows: Sequence[Row]) -> str:
    """Rows with the same keys as CSV: a header, six decimals, newlines of one byte."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(value: str | int | float) -> str | int:
    return f"{_rounded(value):.{DECIMALS}f}" if isinstance(value, float) else value


def _rounded(value: float) -> float:
    return round(value, DECIMALS) + 0.0  # + 0.0: no minus zero
