"""The rows of the tables in metrics/, their summary and the histories, from the results of folds."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from audiocnn.evaluation import rows as tables
from tests.support.prepared import CLASSES
from tests.support.results import fold_result, written_and_read


def test_summary_takes_mean_and_population_std_over_folds_at_their_best_epochs(tmp_path: Path) -> None:
    folds = [fold_result(0), fold_result(1), fold_result(2)]
    summary = tables.summary(written_and_read(tmp_path, *folds))
    losses = [fold["history"]["val_loss"][fold["best_epoch"]] for fold in folds]
    assert summary["folds"] == 3
    assert summary["val_loss"] == {"mean": round(np.mean(losses), 6), "std": round(np.std(losses), 6)}
    assert "test_acc" not in summary
    assert summary["dataset"] == "demo (synthetic sounds)"
    assert summary["protocol"] == "val_acc is selected on the fold it reports"


def test_previous_fold_adds_the_tested_fold(tmp_path: Path) -> None:
    folds = [fold_result(fold, validation="previous_fold", source="hub") for fold in (0, 1)]
    results = written_and_read(tmp_path, *folds)
    summary = tables.summary(results)
    accuracies = [(result.predictions == result.labels).mean() for result in results]
    assert summary["test_acc"]["mean"] == round(np.mean(accuracies), 6)
    assert summary["test_loss"]["std"] >= 0
    assert set(summary["test_acc"]) == set(summary["val_acc"]) == {"mean", "std", "ci95_low", "ci95_high"}
    assert set(summary["test_loss"]) == set(summary["val_loss"]) == {"mean", "std"}
    assert summary["dataset"] == "hub"


def test_without_validation_only_the_held_out_fold_is_measured(tmp_path: Path) -> None:
    folds = [fold_result(fold, validation="none", source="hub") for fold in (0, 1)]
    results = written_and_read(tmp_path, *folds)
    summary = tables.summary(results)
    assert summary.keys() == {"dataset", "protocol", "folds", "test_acc", "test_loss", "macro_f1", "calibration"}
    assert summary["test_acc"]["mean"] == round(np.mean([result.test_accuracy for result in results]), 6)
    assert summary["protocol"] == "test_acc is read once, after a fixed number of epochs"
    names = ["fold", "dataset_fold", "best_epoch", "epochs", "test_acc", "test_loss", "macro_f1"]
    assert list(tables.fold_row(results[0])) == names
    assert pickle.loads(tables.histories(results))[0].keys() == {"loss", "accuracy"}


def test_without_validation_its_cells_of_the_curves_are_empty_and_plots_find_their_columns(tmp_path: Path) -> None:
    results = written_and_read(tmp_path, *(fold_result(fold, validation="none") for fold in (0, 1)))
    for row in tables.history_rows(results):
        assert row["val_acc"] == row["val_loss"] == ""
        assert isinstance(row["train_acc"], float)


def test_the_mean_curve_keeps_a_stopped_folds_last_value(tmp_path: Path) -> None:
    results = written_and_read(tmp_path, fold_result(0), fold_result(1))  # 6 and 8 epochs
    rows = [row for row in tables.history_rows(results) if row["fold"] == "mean"]
    short, long = (result.history.series["val_loss"] for result in results)
    assert [row["epoch"] for row in rows] == list(range(8))
    assert rows[2]["val_loss"] == pytest.approx((short[2] + long[2]) / 2)
    assert rows[7]["val_loss"] == pytest.approx((short[5] + long[7]) / 2)


def test_a_class_that_no_listed_fold_holds_has_no_recall(tmp_path: Path) -> None:
    fold = fold_result(0, validation="previous_fold")
    fold["held_out"]["labels"] = [label % 2 for label in fold["held_out"]["labels"]]
    rows = tables.class_rows(written_and_read(tmp_path, fold))
    recall = dict.fromkeys(("recall_mean", "recall_std", "recall_low", "recall_high"), "")
    assert rows[2] == {"class": CLASSES[2], "clips": 0, **recall}


def test_histories_are_lists_by_fold_and_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    folds = [fold_result(0), fold_result(1)]
    content = tables.histories(written_and_read(tmp_path, *folds))
    names = ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert pickle.loads(content) == [{name: fold["history"][name] for name in names} for fold in folds]
    code = (
        "import sys; from pathlib import Path; from audiocnn.evaluation import fold_results, rows;"
        "results = fold_results.read_fold_results([1, 0], Path('results/folds'));"
        "sys.stdout.buffer.write(rows.histories(results)); assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True).stdout == content


def test_csv_has_six_decimals_and_quotes_names_that_hold_commas() -> None:
    text = tables.csv_text([{"class": "engine, idling", "clips": 3, "recall": 1 / 3, "zero": -0.0}])
    assert text == 'class,clips,recall,zero\n"engine, idling",3,0.333333,0.000000\n'
