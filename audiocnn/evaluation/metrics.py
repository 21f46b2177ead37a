"""Numbers from fold results: metrics of the held-out clips. No torch here."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

CALIBRATION_BINS = 15  # Guo et al. 2017, "On Calibration of Modern Neural Networks"


def mean_std(values: Iterable[float]) -> tuple[float, float]:
    """Mean and standard deviation (ddof 0) over folds, in float64."""
    array = np.fromiter(values, dtype=np.float64)
    return float(array.mean()), float(array.std())


def cross_entropy(logits: Floats, labels: Labels) -> float:
    """Mean cross-entropy in nats of (clips, classes) logits for (clips,) labels."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def confidences(logits: Floats) -> Floats:
    """(clips,) the probability of the predicted class."""
    probability: Floats = np.exp(log_softmax(logits, axis=1).max(axis=1))
    return probability


def expected_calibration_error(
    confidence: Floats, correct: npt.NDArray[np.bool_], bins: int = CALIBRATION_BINS
) -> float:
    """|accuracy - mean confidence| in bins of equal width, weighted by their clips (Guo et al. 2017).

    Bins are open to the left: a confidence of 1/15 is in the first. scikit-learn has no such metric.
    """
    index = np.ceil(confidence * bins).astype(np.int64).clip(1, bins) - 1
    gaps = np.bincount(index, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def macro_f1(labels: Labels, predictions: Labels) -> float:
    """The mean of F1 over the classes that occur as label or prediction."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predictions, average="macro", zero_division=0))


def class_recalls(labels: Labels, predictions: Labels, classes: int) -> Floats:
    """(classes,) the share of each class's clips that were recognised; NaN for a class without clips."""
    from sklearn.metrics import recall_score

    recalls = recall_score(labels, predictions, labels=np.arange(classes), average=None, zero_division=np.nan)
    return np.asarray(recalls, dtype=np.float64)
