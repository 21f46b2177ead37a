"""Temperature scaling: one number that logits are divided by, so that probabilities are as sure as they are right.

Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2. No torch here.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

_WIDEST = np.log(20.0)  # temperatures from 1/20 to 20: where all clips are recognised, there is no best one


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """The temperature of the least cross-entropy, to four decimals, of (clips, classes) logits and (clips,) labels."""
    from scipy.optimize import minimize_scalar

    def cross_entropy(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), axis=1)[np.arange(len(labels)), labels].mean())

    found = minimize_scalar(
        cross_entropy,
        bounds=(-_WIDEST, _WIDEST),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return round(float(np.exp(found.x)), 4)


def temperatures_of_other_folds(logits: Sequence[Floats], labels: Sequence[Labels]) -> list[float]:
    """For each of two folds or more, the temperature of all other folds' held-out clips together.

    Each clip is answered by the network that was not trained on it: a fold's own answers decide nothing of its
    temperature, though its clips trained networks of the other folds.
    """
    folds = range(len(logits))
    return [
        fit_temperature(
            np.concatenate([logits[other] for other in folds if other != fold]),
            np.concatenate([labels[other] for other in folds if other != fold]),
        )
        for fold in folds
    ]
