"""Metrics of predictions: cross-entropy, calibration, F1, recall, confusion counts. No torch here.

scikit-learn is imported where it is used: it takes a second, and some commands need none of its metrics.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

CALIBRATION_BINS = 15  # Guo et al. 2017, "On Calibration of Modern Neural Networks"


def mean_std(values: Iterable[float]) -> tuple[float, float]:
    """Mean and population standard deviation (ddof 0) of values over folds, computed in float64."""
    array = np.fromiter(values, dtype=np.float64)
    return float(array.mean()), float(array.std())


def cross_entropy(logits: Floats, labels: Labels) -> float:
    """Mean cross-entropy, in nats, of (clips, classes) float64 logits for (clips,) int64 labels."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def confidences(logits: Floats) -> Floats:
    """(clips,) float64: the probability of the predicted class, from (clips, classes) logits."""
    probability: Floats = np.exp(log_softmax(logits, axis=1).max(axis=1))
    return probability


def expected_calibration_error(
    confidence: Floats, correct: npt.NDArray[np.bool_], bins: int = CALIBRATION_BINS
) -> float:
    """|accuracy - mean confidence| in bins of equal width, weighted by their number of clips (Guo et al. 2017).

    confidence: (clips,) float64, from 0 to 1. correct: (clips,) bool. Bins are open to the left: with 15 bins a
    confidence of 1/15 is in the first. scikit-learn does not have this metric.
    """
    index = np.ceil(confidence * bins).astype(np.int64).clip(1, bins) - 1
    gaps = np.bincount(index, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def macro_f1(actual: Labels, predicted: Labels) -> float:
    """The mean of F1 over the classes that occur among the (clips,) actual or predicted labels."""
    from sklearn.metrics import f1_score

    return float(f1_score(actual, predicted, average="macro", zero_division=0))


def class_recalls(actual: Labels, predicted: Labels, classes: int) -> Floats:
    """(classes,) float64: the share of each class's clips that were recognised; NaN for a class without clips."""
    from sklearn.metrics import recall_score

    recalls = recall_score(actual, predicted, labels=np.arange(classes), average=None, zero_division=np.nan)
    return np.asarray(recalls, dtype=np.float64)


def confusion_counts(actual: Labels, predicted: Labels, classes: int) -> Labels:
    """(classes, classes) int64: the number of clips by actual (row) and predicted (column) class."""
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(actual, predicted, labels=np.arange(classes))
    return np.asarray(counts, dtype=np.int64)
