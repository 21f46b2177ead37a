"""Results of folds are read whole and of one kind, or refused in a sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from audiocnn.errors import UserError
from audiocnn.evaluation.fold_results import delete_unlisted, mixture, read_fold_result, read_fold_results
from tests.support.results import fold_result, write_fold_results, written_and_read


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
        (
            {"history": {name: [1e308] * 6 for name in ("loss", "accuracy", "lr")}},
            "history.loss.0: Input should be less",
        ),
        ({"validation": "none"}, "val_loss and val_accuracy in history unless validation is none"),
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
    mixed = mixture(written_and_read(tmp_path, fold_result(0), fold_result(1, device="cuda")))
    assert mixed is not None
    assert "cpu with torch 2.13.0 and on cuda with torch 2.13.0" in mixed
    assert mixture(written_and_read(tmp_path, fold_result(0), fold_result(1))) is None


def test_only_results_of_unlisted_folds_are_deleted(tmp_path: Path) -> None:
    for name in ("fold_0.json", "fold_7.json", "fold_10.json", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in delete_unlisted([0, 1], tmp_path)] == ["fold_10.json", "fold_7.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fold_0.json", "notes.txt"]
