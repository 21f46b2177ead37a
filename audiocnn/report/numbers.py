"""What the report shows, from the files in metrics/ alone: scores, curves and predictions of each fold."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from audiocnn.config.outs import METRICS
from audiocnn.evaluation.metrics import Floats, Labels, expected_calibration_error
from audiocnn.evaluation.read import damaged, read_metrics, validation_of
from audiocnn.evaluation.rows import CURVES, MEAN

Table = list[dict[str, str]]


@dataclass(frozen=True)
class Fold:
    """A fold. scores: folds.csv's metrics by name. curves: (epochs, 4) in the order of evaluation.CURVES.

    rows, actual, predicted, confidence: (clips,) of its held-out clips; row in the prepared arrays, labels, and the
    predicted class's probability.
    """

    fold: int
    dataset_fold: int
    best_epoch: int
    epochs: int
    scores: dict[str, float]
    curves: Floats
    rows: Labels
    actual: Labels
    predicted: Labels
    confidence: Floats


@dataclass(frozen=True)
class Run:
    """A cross-validation. names: classes as metrics/ has them, by label. recalls: (folds, classes), NaN for no clips.

    mean: (epochs, 4), curves averaged over folds. classes: classes.csv's rows.
    """

    summary: dict[str, Any]
    names: list[str]
    classes: Table
    folds: list[Fold]
    mean: Floats

    @property
    def tested(self) -> bool:
        """Whether the held-out clips were read once, after training, rather than picked the best epoch."""
        return validation_of(self.folds[0].scores) == "previous_fold"

    @property
    def counts(self) -> Labels:
        """(folds, classes, classes): clips by fold, actual and predicted class."""
        size = len(self.names)
        flat = [np.bincount(fold.actual * size + fold.predicted, minlength=size**2) for fold in self.folds]
        return np.stack(flat).reshape(-1, size, size)

    @property
    def recalls(self) -> Floats:
        """(folds, classes) the share of each class's clips that were recognised; NaN where a fold has none."""
        counts = self.counts
        clips = counts.sum(axis=2)
        right = np.diagonal(counts, axis1=1, axis2=2)
        shares: Floats = np.divide(right, clips, out=np.full(clips.shape, np.nan), where=clips > 0)
        return shares

    @property
    def chance(self) -> float:
        """The accuracy of always naming the most frequent class."""
        clips = self.counts.sum(axis=(0, 2))
        return float(clips.max() / clips.sum())

    @property
    def calibration_error(self) -> float:
        """The expected calibration error over all held-out clips."""
        correct = np.concatenate([fold.actual == fold.predicted for fold in self.folds])
        return expected_calibration_error(np.concatenate([fold.confidence for fold in self.folds]), correct)


class Mistake(NamedTuple):
    """A held-out clip that was taken for another class: its fold, row in the prepared arrays, labels, probability."""

    fold: int
    row: int
    actual: int
    predicted: int
    confidence: float


class Confusion(NamedTuple):
    """How many clips of a class, and which share of all of its clips, were taken for another."""

    actual: int
    predicted: int
    clips: int
    share: float


def read_run(metrics: Path = METRICS) -> Run:
    """The run that metrics/ describes. Raises UserError where files are missing, damaged or of different runs."""
    names = ("summary.json", "folds.csv", "classes.csv", "predictions.csv", "history.csv")
    summary, *tables = (read_metrics(metrics / name) for name in names)
    try:
        return _run(summary, *tables)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        raise damaged(metrics) from None


def worst_mistakes(run: Run, most: int) -> list[Mistake]:
    """The mistakes with the highest probability for the wrong class, the surest first."""
    mistakes = [
        Mistake(fold.fold, *(array[clip].item() for array in (fold.rows, fold.actual, fold.predicted, fold.confidence)))
        for fold in run.folds
        for clip in np.flatnonzero(fold.actual != fold.predicted)
    ]
    return sorted(mistakes, key=lambda mistake: (-mistake.confidence, mistake.fold, mistake.row))[:most]


def frequent_confusions(run: Run, most: int) -> list[Confusion]:
    """The pairs of classes that were confused most often, by clips."""
    counts = run.counts.sum(axis=0)
    clips = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    pairs = [
        Confusion(int(actual), int(predicted), int(count := counts[actual, predicted]), float(count / clips[actual]))
        for actual, predicted in np.argwhere(counts)
    ]
    return sorted(pairs, key=lambda pair: (-pair.clips, -pair.share, pair.actual, pair.predicted))[:most]


def _run(summary: dict[str, Any], folds: Table, classes: Table, predictions: Table, history: Table) -> Run:
    names = [row["class"] for row in classes]
    labels = {name: label for label, name in enumerate(names)}
    fold_names = [row["fold"] for row in folds]
    if {row["fold"] for row in predictions} != set(fold_names) or int(summary["folds"]) != len(folds):
        raise ValueError
    read = [_fold(row, _of(predictions, row["fold"]), _of(history, row["fold"]), labels) for row in folds]
    _finite(
        [[int(row["clips"]), *(float(row[name] or 0) for name in ("recall_mean", "recall_std"))] for row in classes]
    )
    _check_summary(summary, read[0].scores)
    return Run(summary, names, classes, read, _curves(_of(history, MEAN)))


def _check_summary(summary: dict[str, Any], scores: Iterable[str]) -> None:
    """Raises where a number that the report shows is missing, or is none."""
    metrics = [summary[name] for name in scores if name != "macro_f1"]
    if not all(
        {"mean", "std"} <= metric.keys() and ("ci95_low" in metric) == ("ci95_high" in metric) for metric in metrics
    ):
        raise ValueError
    _finite([summary["macro_f1"], *(number for metric in metrics for number in metric.values())])


def _fold(row: dict[str, str], predictions: Table, history: Table, labels: dict[str, int]) -> Fold:
    whole = {name: int(row.pop(name)) for name in ("fold", "dataset_fold", "best_epoch", "epochs")}
    curves = _curves(history)
    if len(curves) != whole["epochs"] or not 0 <= whole["best_epoch"] < whole["epochs"]:
        raise ValueError
    return Fold(
        **whole,
        scores=dict(zip(row, _finite([float(cell) for cell in row.values()]).tolist(), strict=True)),
        curves=curves,
        rows=np.array([int(clip["row"]) for clip in predictions], dtype=np.int64),
        actual=np.array([labels[clip["actual"]] for clip in predictions]),
        predicted=np.array([labels[clip["predicted"]] for clip in predictions]),
        confidence=_finite([float(clip["confidence"]) for clip in predictions]),
    )


def _of(table: Table, fold: str) -> Table:
    return [row for row in table if row["fold"] == fold]


def _curves(history: Table) -> Floats:
    return _finite([[float(row[name]) for name in CURVES] for row in history]).reshape(-1, len(CURVES))


def _finite(numbers: Sequence[Any]) -> Floats:
    """Numbers as an array. Raises ValueError where one is infinite or NaN: the stages write none."""
    array = np.array(numbers, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError
    return array
