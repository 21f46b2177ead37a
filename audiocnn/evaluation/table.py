"""The table of results, from the files in metrics/ alone."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audiocnn.config.outs import METRICS
from audiocnn.data.unequal_folds import unequal_folds
from audiocnn.evaluation.intervals import accuracy_interval, held_out_ratio
from audiocnn.evaluation.metrics import CALIBRATION_BINS, mean_std
from audiocnn.evaluation.read import WHOLE_NUMBERS, damaged, read_metrics, validation_of
from audiocnn.text import aligned, displayed

_RECALL = ("recall_mean", "recall_std", "recall_low", "recall_high")
Table = Sequence[dict[str, str]]


def print_table(metrics: Path = METRICS) -> None:
    """Prints the folds, their mean and std, and each class's recall; nothing where it comes later. Raises UserError."""
    if os.environ.get("AUDIOCNN_TABLE") == "later":  # below 'make repro', which ends with 'audiocnn results'
        return
    names = ("summary.json", "folds.csv", "classes.csv", "predictions.csv")
    summary, *tables = (read_metrics(metrics / name) for name in names)
    try:
        text = _text(summary, *tables)
    except (KeyError, ValueError, TypeError):
        raise damaged(metrics) from None
    print(text)


def _text(summary: dict[str, Any], folds: Table, classes: Table, predictions: Table) -> str:
    return "\n".join(
        [
            f"\n{displayed(_title(summary))}\n",
            aligned([list(folds[0]), *map(_fold_cells, folds), *_mean_and_std(folds)]),
            f"\n{displayed(str(summary['protocol']))}; std is over folds",
            *(_interval(name, folds, len(predictions)) for name in ("val_acc", "test_acc") if name in folds[0]),
            *_if_unequal(folds, predictions),
            *_calibration(summary["calibration"]),
            "",
            aligned([["class", "clips", "recall", "std", "95 % from", "to"], *map(_class_cells, classes)]),
        ]
    )


def _title(summary: dict[str, Any]) -> str:
    warning = ", no measure of real ones" if summary["dataset"].startswith("demo") else ""
    return f"AudioCNN, {summary['folds']} folds, dataset: {summary['dataset']}{warning}"


def _fold_cells(row: dict[str, str]) -> list[str]:
    return [cell if name in WHOLE_NUMBERS else f"{float(cell):.4f}" for name, cell in row.items()]


def _mean_and_std(folds: Table) -> list[list[str]]:
    names = [name for name in folds[0] if name not in WHOLE_NUMBERS]
    means, stds = zip(*(mean_std(float(row[name]) for row in folds) for name in names), strict=True)
    blank = [""] * (len(WHOLE_NUMBERS) - 1)
    return [["mean", *blank, *(f"{mean:.4f}" for mean in means)], ["std", *blank, *(f"{std:.4f}" for std in stds)]]


def _interval(name: str, folds: Table, clips: int) -> str:
    ratio = held_out_ratio((int(row["fold"]) for row in folds), validation_of(folds[0]))
    found = accuracy_interval([float(row[name]) for row in folds], ratio, clips)
    if found is None:
        return f"{name} has no interval: that takes two folds or more"
    return f"{name}'s 95 % interval: {found[0]:.4f} to {found[1]:.4f}, corrected for the clips that folds share"


def _if_unequal(folds: Table, predictions: Table) -> list[str]:
    """The line on folds of very different sizes, where they are."""
    right: dict[str, list[bool]] = {row["fold"]: [] for row in folds}
    for row in predictions:
        right[row["fold"]].append(row["actual"] == row["predicted"])
    note = unequal_folds([sum(fold) for fold in right.values()], [len(fold) for fold in right.values()])
    return [note] if note else []


def _class_cells(row: dict[str, str]) -> list[str]:
    return [row["class"], row["clips"], *(f"{float(cell):.4f}" if (cell := row[name]) else "-" for name in _RECALL)]


def _calibration(numbers: dict[str, Any]) -> list[str]:
    lines = [f"expected calibration error {numbers['error']:.4f} (all held-out clips, {CALIBRATION_BINS} bins)"]
    if "error_uncalibrated" in numbers:
        lines.append(f"  {numbers['error_uncalibrated']:.4f} without the temperatures of train.calibrate")
    if "error_scaled" in numbers:
        lines.append(
            f"  {numbers['error_scaled']:.4f} with logits divided by a temperature, {numbers['temperature']:.2f} on "
            "average, fitted on the other folds"
        )
    return lines
