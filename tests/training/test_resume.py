"""A run that was interrupted goes on as itself: nothing that the rest of it depends on is forgotten."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load

from audiocnn.config.train_params import TrainParams
from audiocnn.training.loop import train_fold
from audiocnn.training.state import FoldJob, FoldState, Progress
from tests.support.prepared import write_prepared
from tests.support.training import TRAIN, Watcher, make_job, result_bytes, same_value, train_until

LONG = TrainParams(**{**TRAIN.model_dump(), "epochs": 10})
Results = dict[str, bytes]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    write_prepared(folder)
    return folder


@pytest.fixture(scope="module")
def undisturbed(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Fold 0, never interrupted: its first epoch is its best, its learning rate falls twice, and it stops early."""
    job = make_job(prepared, tmp_path_factory.mktemp("undisturbed"), LONG)
    train_fold(job, Watcher())
    result = fold_json(job)
    assert result["best_epoch"] == 0
    assert len(set(result["history"]["lr"])) == 3
    assert len(result["history"]["loss"]) < LONG.epochs
    return result_bytes(job.folder)


def fold_json(job: FoldJob) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((job.folder / "fold_0.json").read_text())
    return value


def goes_on_each_time(job: FoldJob, interruptions: Sequence[int], undisturbed: Results) -> bool:
    """Trains a fold in several runs. Returns whether no epoch was trained twice and the bytes are the same."""
    trained = [epoch for last in (*interruptions, LONG.epochs) for epoch in train_until(job, last).trained]
    return trained == list(range(len(trained))) and result_bytes(job.folder) == undisturbed


def test_a_run_interrupted_after_every_epoch_trains_none_twice_and_ends_in_the_same_bytes(
    prepared: Path, undisturbed: Results, tmp_path: Path
) -> None:
    job = make_job(prepared, tmp_path, LONG)
    assert goes_on_each_time(job, range(LONG.epochs), undisturbed)


def goes_unnoticed(job: FoldJob, undisturbed: Results) -> bool:
    """Whether a run that forgets something when it goes on ends as an undisturbed one all the same."""
    try:
        return goes_on_each_time(job, (1, 4), undisturbed)
    except (KeyError, IndexError):
        return False  # the run fell over what was missing


@pytest.mark.parametrize("part", ["optimizer", "scheduler", "progress"])
def test_a_run_that_forgot_a_part_of_its_state_would_not_pass_the_test_above(
    part: str, prepared: Path, undisturbed: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_parts = vars(FoldState)["parts"].fget
    fewer_parts = property(lambda state: {k: v for k, v in all_parts(state).items() if k != part})
    monkeypatch.setattr(FoldState, "parts", fewer_parts)
    assert not goes_unnoticed(make_job(prepared, tmp_path, LONG), undisturbed)


@pytest.mark.parametrize("field", ["best_accuracy", "best_epoch", "history", "epochs_without_lower_loss"])
def test_nor_would_one_that_forgot_a_field_of_its_progress(
    field: str, prepared: Path, undisturbed: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Progress.state_dict
    monkeypatch.setattr(Progress, "state_dict", lambda self: {k: v for k, v in whole(self).items() if k != field})
    assert not goes_unnoticed(make_job(prepared, tmp_path, LONG), undisturbed)


def test_a_later_and_worse_epoch_does_not_replace_the_best_model_after_a_restart(
    prepared: Path, undisturbed: Results, tmp_path: Path
) -> None:
    job = make_job(prepared, tmp_path, LONG)
    train_until(job, 1)
    first = load((job.folder / "epoch_0.safetensors").read_bytes())
    train_until(job)
    assert fold_json(job)["best_epoch"] == 0
    assert same_value(load(result_bytes(job.folder)["model_fold_0_best.safetensors"]), first)


def test_a_fold_that_stopped_early_does_not_train_on_after_a_restart(
    prepared: Path, undisturbed: Results, tmp_path: Path
) -> None:
    last = len(json.loads(undisturbed["fold_0.json"])["history"]["loss"]) - 1
    job = make_job(prepared, tmp_path, LONG)
    train_until(job, last)
    assert not (job.folder / "fold_0.json").exists()
    assert train_until(job).trained == []
    assert result_bytes(job.folder) == undisturbed


def test_the_history_of_a_resumed_run_holds_the_epochs_before_it(
    prepared: Path, undisturbed: Results, tmp_path: Path
) -> None:
    job = make_job(prepared, tmp_path, LONG)
    before = train_until(job, 2)
    after = train_until(job)
    assert after.said == ["resuming after epoch 2"]
    for name, values in fold_json(job)["history"].items():
        assert values == [metrics[name] for metrics in before.metrics + after.metrics]


def test_the_last_two_epochs_and_the_best_are_kept_at_every_moment(prepared: Path, tmp_path: Path) -> None:
    job = make_job(prepared, tmp_path, LONG)
    for last in range(7):
        train_until(job, last)
        kept = {path.name for path in job.folder.glob("epoch_*")}
        epochs = {0, max(0, last - 1), last}  # 0 is the best
        assert kept == {f"epoch_{epoch}.{ending}" for epoch in epochs for ending in ("pt", "safetensors")}


def test_every_epoch_is_kept_where_the_runtime_says_so(prepared: Path, tmp_path: Path) -> None:
    job = make_job(prepared, tmp_path, LONG, keep_file=lambda name: True)
    for last in (2, LONG.epochs):  # the first ones survive a restart, too
        train_until(job, last)
    epochs = range(len(fold_json(job)["history"]["loss"]))
    kept = {path.name for path in job.folder.glob("epoch_*")}
    assert kept == {f"epoch_{epoch}.{ending}" for epoch in epochs for ending in ("pt", "safetensors")}


def test_weights_that_wait_for_their_upload_are_kept(prepared: Path, tmp_path: Path) -> None:
    job = make_job(prepared, tmp_path, LONG, keep_file=lambda name: name == "epoch_1.safetensors")
    train_fold(job, Watcher())
    assert (job.folder / "epoch_1.safetensors").exists()
    assert not (job.folder / "epoch_1.pt").exists()


def test_files_that_a_kill_kept_from_being_deleted_are_deleted_by_the_next_run(prepared: Path, tmp_path: Path) -> None:
    job = make_job(prepared, tmp_path, LONG)
    train_until(job, 6)  # the last epoch: no commit follows
    (job.folder / "epoch_3.pt").write_bytes(b"of no use any more")
    train_until(job)
    assert {path.name for path in job.folder.glob("epoch_*.pt")} == {"epoch_0.pt", "epoch_5.pt", "epoch_6.pt"}
