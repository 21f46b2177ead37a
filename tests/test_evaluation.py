"""The numbers that the results are made of, against values worked out by hand or by another library."""

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiocnn import evaluation
from audiocnn.errors import UserError
from audiocnn.fold_results import FoldResult, delete_unlisted, mixture, read_fold_result, read_fold_results
from tests.fold_fabric import CLASSES, fold_result, write_fold_results


def read(folder: Path, *results: dict[str, Any]) -> list[FoldResult]:
    write_fold_results(folder, *results)
    return read_fold_results([result["fold"] for result in results], folder / "results/folds")


def test_cross_entropy_of_even_logits_is_the_log_of_the_number_of_classes_even_where_exp_would_overflow() -> None:
    for logit in (0.0, 5000.0, -5000.0):
        logits = np.full((3, 4), logit)
        assert evaluation.cross_entropy(logits, np.array([0, 1, 3])) == pytest.approx(np.log(4), abs=1e-15)


def test_cross_entropy_agrees_with_scikit_learn() -> None:
    from sklearn.metrics import log_loss

    generator = np.random.default_rng(0)
    logits, labels = generator.normal(size=(50, 4)), generator.integers(0, 4, 50)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert evaluation.cross_entropy(logits, labels) == pytest.approx(log_loss(labels, probabilities, labels=range(4)))


def test_calibration_error_is_the_clip_weighted_gap_of_each_bin() -> None:
    confidence = np.array([0.95, 0.97, 0.45, 0.55, 1.0])
    correct = np.array([True, False, True, False, True])
    # Two bins: (0, 0.5] holds 0.45 (right), (0.5, 1] the others (2 of 4 right, mean confidence 0.8675).
    expected = 1 / 5 * (1 - 0.45) + 4 / 5 * (0.8675 - 0.5)
    assert evaluation.expected_calibration_error(confidence, correct, bins=2) == pytest.approx(expected)
    assert evaluation.expected_calibration_error(np.array([1.0, 1.0]), np.array([True, True])) == 0


def test_recall_counts_each_class_by_itself_and_is_not_a_number_for_a_class_without_clips() -> None:
    recalls = evaluation.class_recalls(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 0]), classes=3)
    np.testing.assert_allclose(recalls, [2 / 3, 0, np.nan])


def test_macro_f1_ignores_classes_that_a_fold_does_not_have() -> None:
    assert evaluation.macro_f1(np.array([0, 0, 4]), np.array([0, 0, 4])) == 1
    assert evaluation.macro_f1(np.array([0, 0]), np.array([0, 1])) == pytest.approx((2 / 3 + 0) / 2)


def test_summary_takes_mean_and_population_std_over_folds_at_their_best_epochs(tmp_path: Path) -> None:
    folds = [fold_result(0), fold_result(1), fold_result(2)]
    summary = evaluation.summary(read(tmp_path, *folds))
    losses = [fold["history"]["val_loss"][fold["best_epoch"]] for fold in folds]
    assert summary["folds"] == 3
    assert summary["val_loss"] == {"mean": round(np.mean(losses), 6), "std": round(np.std(losses), 6)}
    assert "test_acc" not in summary
    assert summary["dataset"] == "demo (synthetic sounds)"
    assert summary["protocol"] == "val_acc is selected on the fold it reports"


def test_previous_fold_adds_the_tested_fold(tmp_path: Path) -> None:
    folds = [fold_result(fold, validation="previous_fold", source="hub") for fold in (0, 1)]
    results = read(tmp_path, *folds)
    summary = evaluation.summary(results)
    accuracies = [(result.predictions == result.labels).mean() for result in results]
    assert summary["test_acc"]["mean"] == round(np.mean(accuracies), 6)
    assert summary["test_loss"]["std"] >= 0
    assert set(summary["test_acc"]) == set(summary["val_acc"]) == {"mean", "std", "ci95_low", "ci95_high"}
    assert set(summary["test_loss"]) == set(summary["val_loss"]) == {"mean", "std"}
    assert summary["dataset"] == "hub"


def test_the_mean_curve_keeps_a_stopped_folds_last_value(tmp_path: Path) -> None:
    results = read(tmp_path, fold_result(0), fold_result(1))  # 6 and 8 epochs
    rows = [row for row in evaluation.history_rows(results) if row["fold"] == "mean"]
    short, long = (result.history.val_loss for result in results)
    assert [row["epoch"] for row in rows] == list(range(8))
    assert rows[2]["val_loss"] == pytest.approx((short[2] + long[2]) / 2)
    assert rows[7]["val_loss"] == pytest.approx((short[5] + long[7]) / 2)


def test_a_class_that_no_listed_fold_holds_has_no_recall(tmp_path: Path) -> None:
    fold = fold_result(0, validation="previous_fold")
    fold["held_out"]["labels"] = [label % 2 for label in fold["held_out"]["labels"]]
    rows = evaluation.class_rows(read(tmp_path, fold))
    assert rows[2] == {"class": CLASSES[2], "clips": 0, "recall_mean": "", "recall_std": ""}


def test_histories_are_lists_by_fold_and_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    folds = [fold_result(0), fold_result(1)]
    content = evaluation.histories(read(tmp_path, *folds))
    names = ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert pickle.loads(content) == [{name: fold["history"][name] for name in names} for fold in folds]
    code = (
        "import sys; from pathlib import Path; from audiocnn import evaluation, fold_results;"
        "results = fold_results.read_fold_results([1, 0], Path('results/folds'));"
        "sys.stdout.buffer.write(evaluation.histories(results)); assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True).stdout == content


def test_csv_has_six_decimals_and_quotes_names_that_hold_commas() -> None:
    text = evaluation.csv_text([{"class": "engine, idling", "clips": 3, "recall": 1 / 3, "zero": -0.0}])
    assert text == 'class,clips,recall,zero\n"engine, idling",3,0.333333,0.000000\n'


def test_a_missing_fold_is_named_with_what_to_do(tmp_path: Path) -> None:
    write_fold_results(tmp_path, fold_result(0))
    with pytest.raises(UserError, match=r"fold 3 has no result, .*fold_3.json is not here: run 'dvc repro'"):
        read_fold_results([0, 3], tmp_path / "results/folds")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "format"),
        ({"extra": 1}, "extra"),
        ({"best_epoch": 6}, "best_epoch below the 6 epochs"),
        ({"classes": ["a", "b"]}, "labels and logits for 2 classes"),
        ({"history": {"loss": [1.0]}}, "history.accuracy"),
        ({"fold": 1}, "holds fold 1"),
    ],
)
def test_a_damaged_fold_is_refused_with_the_reason(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    (tmp_path / "fold_0.json").write_text(json.dumps(fold_result(0) | change))
    with pytest.raises(UserError, match=words) as error:
        read_fold_result(0, tmp_path)
    assert "dvc repro -f train_fold@0" in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"format": NaN}'])
def test_a_file_that_is_no_fold_result_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "fold_0.json").write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        read_fold_result(0, tmp_path)


def test_logits_that_contradict_the_history_are_refused_by_fold(tmp_path: Path) -> None:
    fold = fold_result(2)
    fold["held_out"]["labels"] = fold["held_out"]["labels"][1:] + fold["held_out"]["labels"][:1]
    write_fold_results(tmp_path, fold)
    with pytest.raises(UserError, match="fold 2's logits classify"):
        read_fold_result(2, tmp_path / "results/folds")


@pytest.mark.parametrize(
    "change", [{"source": "hub"}, {"classes": ["a", "b", "c"]}, {"validation": "previous_fold"}], ids=str
)
def test_folds_of_different_datasets_or_protocols_are_not_averaged(tmp_path: Path, change: dict[str, Any]) -> None:
    write_fold_results(tmp_path, fold_result(0), fold_result(1, **change))
    with pytest.raises(UserError, match=f"folds 0 and 1 differ in {next(iter(change))}"):
        read_fold_results([0, 1], tmp_path / "results/folds")


def test_mixed_devices_are_said_and_equal_ones_are_not(tmp_path: Path) -> None:
    mixed = mixture(read(tmp_path, fold_result(0), fold_result(1, device="cuda")))
    assert mixed is not None
    assert "cpu with torch 2.13.0 and on cuda with torch 2.13.0" in mixed
    assert mixture(read(tmp_path, fold_result(0), fold_result(1))) is None


def test_only_results_of_unlisted_folds_are_deleted(tmp_path: Path) -> None:
    for name in ("fold_0.json", "fold_7.json", "fold_10.json", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in delete_unlisted([0, 1], tmp_path)] == ["fold_10.json", "fold_7.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fold_0.json", "notes.txt"]
