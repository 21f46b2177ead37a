"""The 95 % interval over folds is the one that Nadeau and Bengio's corrected variance gives, worked out here anew."""

from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest, t

from audiocnn.evaluation.fold_results import read_fold_results
from audiocnn.evaluation.intervals import accuracy_interval, held_out_ratio, interval, share_interval
from audiocnn.evaluation.rows import summary
from tests.support.results import fold_result, write_fold_results


def test_the_interval_of_three_folds_is_the_one_worked_out_by_hand() -> None:
    low, high = interval([0.6, 0.7, 0.8], 1 / 2) or (0.0, 0.0)
    # s^2 = 0.01; 1/3 + 1/2 instead of 1/3; t(0.975, 2) = 4.302653 (any table).
    half = 4.302653 * sqrt((1 / 3 + 1 / 2) * 0.01)
    assert (low, high) == pytest.approx((0.7 - half, 0.7 + half), abs=1e-7)


def test_it_is_wider_than_students_by_the_share_of_clips_that_folds_have_in_common() -> None:
    values = np.random.default_rng(0).normal(size=10)
    low, high = interval(values.tolist(), 1 / 9) or (0.0, 0.0)
    plain = t.interval(0.95, 9, loc=values.mean(), scale=values.std(ddof=1) / sqrt(10))
    assert (high - low) / (plain[1] - plain[0]) == pytest.approx(sqrt(1 + 10 / 9))
    assert (high + low) / 2 == pytest.approx(values.mean())


@pytest.mark.parametrize(
    ("folds", "validation", "ratio"),
    [
        (range(10), "held_out", 1 / 9),
        (range(10), "previous_fold", 1 / 8),
        ([7, 9], "held_out", 1 / 9),  # two of ten folds: each was trained on nine
        ([0, 1], "held_out", 1),  # how many there are is unknown: as if there were two
        ([0, 1], "previous_fold", 1),
        (range(10), "none", 1 / 9),
    ],
)
def test_clips_that_train_are_counted_from_the_datasets_folds(folds: list[int], validation: str, ratio: float) -> None:
    assert held_out_ratio(folds, validation) == pytest.approx(ratio)


def test_it_covers_the_true_mean_of_correlated_folds_where_students_does_not() -> None:
    """Simulated folds with the correlation n_test / (n_test + n_train) that the correction assumes."""
    generator, rho, trials = np.random.default_rng(0), 1 / 10, 2000
    shared, own = generator.normal(size=(trials, 1)), generator.normal(size=(trials, 10))
    values = sqrt(rho) * shared + sqrt(1 - rho) * own
    found = [interval(row.tolist(), 1 / 9) or (0.0, 0.0) for row in values]
    plain = [t.interval(0.95, 9, loc=row.mean(), scale=row.std(ddof=1) / sqrt(10)) for row in values]
    assert 0.94 < np.mean([low <= 0 <= high for low, high in found]) < 0.96
    assert np.mean([low <= 0 <= high for low, high in plain]) < 0.90


def test_an_accuracys_interval_ends_at_0_and_1() -> None:
    assert accuracy_interval([0.5, 1.0], 1) == (0.0, 1.0)


def test_one_fold_has_no_interval(tmp_path: Path) -> None:
    write_fold_results(tmp_path, fold_result(0))
    assert interval([0.5], 1) is None
    assert set(summary(read_fold_results([0], tmp_path / "results/folds"))["val_acc"]) == {"mean", "std"}


@pytest.mark.parametrize("validation", ["held_out", "previous_fold"])
def test_the_summary_holds_the_interval_of_the_protocol(tmp_path: Path, validation: str) -> None:
    write_fold_results(tmp_path, *(fold_result(fold, validation=validation) for fold in range(4)))
    results = read_fold_results(range(4), tmp_path / "results/folds")
    values = [result.val_accuracy or 0.0 for result in results]
    half = t.ppf(0.975, 3) * sqrt((1 / 4 + 1 / (3 if validation == "held_out" else 2)) * np.var(values, ddof=1))
    found = summary(results)["val_acc"]
    assert found["ci95_low"] == pytest.approx(max(np.mean(values) - half, 0), abs=1e-6)
    assert found["ci95_high"] == pytest.approx(min(np.mean(values) + half, 1), abs=1e-6)


def test_the_interval_of_a_share_stays_within_0_and_1_and_has_a_width_at_both_ends() -> None:
    # scipy.stats.binomtest(...).proportion_ci(method="wilson") has the same, and takes seconds to import elsewhere.
    for count, total in ((0, 40), (27, 40), (400, 400), (1, 1)):
        low, high = binomtest(count, total).proportion_ci(method="wilson")
        assert share_interval(count, total) == pytest.approx((low, high), abs=1e-12)
    assert share_interval(400, 400) == pytest.approx((0.990487, 1.0), abs=1e-6)
