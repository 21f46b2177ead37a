"""The numbers that the results are made of, against values worked out by hand or by another library."""

import numpy as np
import pytest

from audiocnn.evaluation import metrics


def test_cross_entropy_of_even_logits_is_the_log_of_the_number_of_classes_even_where_exp_would_overflow() -> None:
    for logit in (0.0, 5000.0, -5000.0):
        logits = np.full((3, 4), logit)
        assert metrics.cross_entropy(logits, np.array([0, 1, 3])) == pytest.approx(np.log(4), abs=1e-15)


def test_cross_entropy_agrees_with_scikit_learn() -> None:
    from sklearn.metrics import log_loss

    generator = np.random.default_rng(0)
    logits, labels = generator.normal(size=(50, 4)), generator.integers(0, 4, 50)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert metrics.cross_entropy(logits, labels) == pytest.approx(log_loss(labels, probabilities, labels=range(4)))


def test_calibration_error_is_the_clip_weighted_gap_of_each_bin() -> None:
    confidence = np.array([0.95, 0.97, 0.45, 0.55, 1.0])
    correct = np.array([True, False, True, False, True])
    # Two bins: (0, 0.5] holds 0.45 (right), (0.5, 1] the others (2 of 4 right, mean confidence 0.8675).
    expected = 1 / 5 * (1 - 0.45) + 4 / 5 * (0.8675 - 0.5)
    assert metrics.expected_calibration_error(confidence, correct, bins=2) == pytest.approx(expected)
    assert metrics.expected_calibration_error(np.array([1.0, 1.0]), np.array([True, True])) == 0


def test_recall_counts_each_class_by_itself_and_is_not_a_number_for_a_class_without_clips() -> None:
    recalls = metrics.class_recalls(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 0]), classes=3)
    np.testing.assert_allclose(recalls, [2 / 3, 0, np.nan])


def test_confusion_counts_are_clips_by_actual_and_predicted_class() -> None:
    counts = metrics.confusion_counts(np.array([0, 0, 0, 1]), np.array([0, 2, 2, 1]), classes=4)
    assert counts.tolist() == [[1, 0, 2, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_macro_f1_ignores_classes_that_a_fold_does_not_have() -> None:
    assert metrics.macro_f1(np.array([0, 0, 4]), np.array([0, 0, 4])) == 1
    assert metrics.macro_f1(np.array([0, 0]), np.array([0, 1])) == pytest.approx((2 / 3 + 0) / 2)
