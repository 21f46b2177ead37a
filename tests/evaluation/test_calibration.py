"""Temperature scaling finds the temperature that a fold's other folds ask for, and leaves the classes alone."""

import json

import numpy as np
import pytest
from scipy.special import log_softmax

from audiocnn.evaluation.calibration import fit_temperature, temperatures_of_other_folds
from audiocnn.evaluation.fold_results import FoldResult
from audiocnn.evaluation.rows import summary
from tests.support.results import fold_result


def sampled(temperature: float, clips: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `temperature` times too large for labels that are drawn by their probabilities."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(clips, 5)) * 2
    probabilities = np.exp(log_softmax(logits, axis=1))
    labels = np.array([generator.choice(5, p=row) for row in probabilities])
    return logits * temperature, labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_by_which_logits_are_too_large_is_found(temperature: float) -> None:
    assert fit_temperature(*sampled(temperature)) == pytest.approx(temperature, rel=0.05)


def test_where_every_clip_is_recognised_it_is_small_and_above_its_bound() -> None:
    assert 1 / 20 <= fit_temperature(np.eye(4) * 5, np.arange(4)) < 1 / 4


def test_a_folds_own_answers_do_not_decide_its_temperature() -> None:
    folds = [sampled(3.0, 500, 1), sampled(3.0, 500, 2), sampled(0.2, 500, 3)]
    found = temperatures_of_other_folds([logits for logits, _ in folds], [labels for _, labels in folds])
    assert found[2] == pytest.approx(3.0, rel=0.15)
    folds[2] = (folds[2][0], (folds[2][1] + 1) % 5)
    again = temperatures_of_other_folds([logits for logits, _ in folds], [labels for _, labels in folds])
    assert again[2] == found[2]
    assert again[0] != found[0]


def overconfident(fold: int) -> FoldResult:
    logits, labels = sampled(4.0, 300, fold)
    values = fold_result(fold)
    held_out = {"rows": list(range(300)), "labels": labels.tolist(), "logits": logits.tolist()}
    values |= {"held_out": held_out, "classes": [f"c{label}" for label in range(5)]}
    return FoldResult.model_validate_json(json.dumps(values))


def test_the_summary_says_how_far_probabilities_are_off_before_and_after() -> None:
    numbers = summary([overconfident(0), overconfident(1)])["calibration"]
    assert numbers["temperature"] == pytest.approx(4.0, rel=0.2)
    assert numbers["error_scaled"] < numbers["error"] / 2
    assert summary([overconfident(0)])["calibration"].keys() == {"error"}


def test_under_a_temperature_of_its_own_the_summary_says_how_far_they_were_off_without() -> None:
    results = [overconfident(0), overconfident(1)]
    numbers, scaled = summary(results)["calibration"], summary([divided(result, 4.0) for result in results])
    assert scaled["calibration"]["error_uncalibrated"] == pytest.approx(numbers["error"], abs=1e-6)
    assert scaled["calibration"]["error"] < numbers["error"] / 2


def divided(result: FoldResult, temperature: float) -> FoldResult:
    """The result of the same network with a temperature."""
    held_out = result.held_out.model_dump(mode="json") | {"temperature": temperature}
    held_out["logits"] = (result.logits / temperature).tolist()
    return FoldResult.model_validate_json(json.dumps(result.model_dump(mode="json") | {"held_out": held_out}))
