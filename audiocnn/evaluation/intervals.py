"""95 % intervals of means over the folds of a cross-validation, which share training clips. No torch here."""

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.special import ndtri, stdtrit  # quantiles of the normal and of Student's t; scipy.stats takes 2 s to import

_LEVEL = 0.95

Interval = tuple[float, float]


def interval(values: Sequence[float], ratio: float) -> Interval | None:
    """The 95 % interval of the mean of one value a fold, or of one difference a fold; None with fewer than two folds.

    Student's t over k folds takes them for independent. They are trained on mostly the same clips, so the variance of
    their mean is not s^2 / k but about (1/k + ratio) s^2, with k - 1 degrees of freedom: Nadeau and Bengio, "Inference
    for the Generalization Error", Machine Learning 52, 2003. s^2 has ddof 1; ratio is held_out_ratio's.
    """
    count = len(values)
    if count < 2:
        return None
    variance = (1 / count + ratio) * np.var(values, ddof=1)
    half = float(stdtrit(count - 1, (1 + _LEVEL) / 2) * np.sqrt(variance))
    mean = float(np.mean(values))
    return mean - half, mean + half


def accuracy_interval(values: Sequence[float], ratio: float) -> Interval | None:
    """The same for accuracies, cut off at 0 and 1, beyond which there are none."""
    found = interval(values, ratio)
    return None if found is None else (max(found[0], 0.0), min(found[1], 1.0))


def held_out_ratio(folds: Iterable[int], validation: str) -> float:
    """n_test/n_train: held-out clips for each clip that trains, on average over folds.

    Of the dataset's K folds one is tested, and `previous_fold` keeps another from training: 1 / (K - 1) or 1 / (K - 2),
    whatever the folds' sizes, when each is tested once. Results do not tell K; the highest index among `folds` counts
    as the dataset's last. Where only lower ones were tested, as in a quick try, the interval is wider than need be.
    """
    training = max(folds) + 1 - (2 if validation == "previous_fold" else 1)
    return 1 / max(training, 1)


def share_interval(count: int, total: int) -> Interval:
    """The 95 % interval of a share, `count` of `total` (at least 1) clips, taken for independent.

    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22, 1927: within 0 and 1, and
    with a width where the share is 0 or 1.
    """
    share, z = count / total, float(ndtri((1 + _LEVEL) / 2))
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * float(np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2)))
    return max(centre - half, 0.0), min(centre + half, 1.0)
