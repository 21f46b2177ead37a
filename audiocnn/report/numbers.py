"""The numbers of a cross-validation that the report shows: scores, curves, confusions and mistakes."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from audiocnn.data.unequal_folds import unequal_folds
from audiocnn.evaluation.metrics import Floats, Labels, class_recalls, confusion_counts, expected_calibration_error
from audiocnn.evaluation.read import validation_of


@dataclass(frozen=True)
class Fold:
    """One fold of a cross-validation.

    scores: folds.csv's metrics at the best epoch, by name. curves: (epochs, 4) float64 in the order of rows.CURVES,
    NaN for validation where there is none.
    rows, actual, predicted, confidence: (clips,), of the held-out clips: the row in the prepared arrays (int64), the
    labels (int64), and the probability of the predicted class (float64).
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
class CrossValidation:
    """What metrics/ holds.

    summary: summary.json. class_names: by label. class_rows: classes.csv's rows, by label. mean_curves: (epochs, 4)
    float64, the curves averaged over folds.
    """

    summary: dict[str, Any]
    class_names: list[str]
    class_rows: list[dict[str, str]]
    folds: list[Fold]
    mean_curves: Floats

    @property
    def validation(self) -> str:
        """train.validation of params.yaml: `held_out`, `previous_fold` or `none`."""
        return validation_of(self.folds[0].scores)

    @property
    def has_test(self) -> bool:
        """Whether the held-out clips were read once, after training; otherwise they picked the best epoch."""
        return self.validation != "held_out"

    @property
    def is_chosen(self) -> bool:
        """Whether validation chose each fold's epoch; otherwise the last one counts."""
        return self.validation != "none"

    @property
    def clips(self) -> int:
        """The number of held-out clips of all folds."""
        return sum(len(fold.rows) for fold in self.folds)

    @property
    def confusion_counts(self) -> Labels:
        """(classes, classes) int64: held-out clips of all folds by actual (row) and predicted (column) class."""
        actual = np.concatenate([fold.actual for fold in self.folds])
        predicted = np.concatenate([fold.predicted for fold in self.folds])
        return confusion_counts(actual, predicted, len(self.class_names))

    @property
    def recalls(self) -> Floats:
        """(folds, classes) float64: the recall of each class in each fold; NaN where the fold has no clip of it."""
        return np.stack([class_recalls(fold.actual, fold.predicted, len(self.class_names)) for fold in self.folds])

    @property
    def chance_level(self) -> float:
        """The accuracy, from 0 to 1, of always predicting the most frequent class."""
        clips = self.confusion_counts.sum(axis=1)
        return float(clips.max() / clips.sum())

    @property
    def doubts(self) -> list[str]:
        """What keeps the mean over folds from being the whole story, a sentence each."""
        correct = [int((fold.actual == fold.predicted).sum()) for fold in self.folds]
        note = unequal_folds(correct, [len(fold.rows) for fold in self.folds])
        return [f"{note}."] if note else []

    @property
    def calibration_error(self) -> float:
        """The expected calibration error, from 0 to 1, over all held-out clips."""
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
    """How many clips of one class were taken for another, and which share (0 to 1) that is of all clips of the class.

    actual, predicted: labels.
    """

    actual: int
    predicted: int
    clips: int
    share: float


def all_mistakes(crossval: CrossValidation) -> list[Mistake]:
    """All mistakes: those with the highest probability for the wrong class first."""
    mistakes = []
    for fold in crossval.folds:
        columns = (fold.rows, fold.actual, fold.predicted, fold.confidence)
        wrong = fold.actual != fold.predicted
        clips = zip(*(column[wrong].tolist() for column in columns), strict=True)
        mistakes += [Mistake(fold.fold, *clip) for clip in clips]
    return sorted(mistakes, key=lambda mistake: (-mistake.confidence, mistake.fold, mistake.row))


def most_frequent_confusions(crossval: CrossValidation, most: int) -> list[Confusion]:
    """At most `most` pairs of classes: those that were confused most often, by clips."""
    counts = crossval.confusion_counts
    clips = counts.sum(axis=1)
    confusions = []
    for actual, predicted in np.argwhere(counts).tolist():
        if actual != predicted:
            count = int(counts[actual, predicted])
            confusions.append(Confusion(actual, predicted, count, float(count / clips[actual])))
    return sorted(confusions, key=lambda pair: (-pair.clips, -pair.share, pair.actual, pair.predicted))[:most]
