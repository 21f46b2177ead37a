"""`audiocnn train --all-clips` trains as long as the finished cross-validation says, and resumes as a fold does."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from audiocnn.checkpoints.key import PROJECT
from audiocnn.checkpoints.lock import is_locked
from audiocnn.config.all_clips import ALL_CLIPS
from audiocnn.config.train_params import TrainParams
from audiocnn.errors import UserError
from audiocnn.evaluation.fold_results import FoldResult
from audiocnn.files import sha256_of_file
from audiocnn.folds.all_clips import all_clips_train, read_record
from audiocnn.folds.plan import Plan, code_of
from tests.support.processes import started, wait_until
from tests.support.projects import make_training_project, params_of
from tests.support.results import fold_result, write_fold_results, written_and_read
from tests.support.terminal import CTRL_C, terminal
from tests.support.training import TRAIN, epochs_done, make_plan

FOLDS = (0, 1, 2)
EPOCHS = 150
COMMAND = [sys.executable, "-m", "audiocnn", "train", "--all-clips"]
NETWORK = ("models/model_all_clips.safetensors", "models/model_all_clips.json")


def results_of(folder: Path, **changes: Any) -> list[FoldResult]:
    """Of three folds, whose best epochs are 3, 5 and 7, and whose last ones are 5, 7 and 9."""
    return written_and_read(folder, *(fold_result(fold, **changes) for fold in FOLDS))


@pytest.mark.parametrize(("validation", "epochs"), [("held_out", 6), ("previous_fold", 6), ("none", 8)])
def test_its_epochs_are_the_median_of_those_that_the_folds_weights_took(
    tmp_path: Path, validation: str, epochs: int
) -> None:
    results = results_of(tmp_path, validation=validation)
    train = all_clips_train(TRAIN.model_copy(update={"validation": validation}), results)
    assert train == TRAIN.model_copy(update={"validation": "none", "epochs": epochs})
    assert all_clips_train(TRAIN, results[:2]).epochs == epochs - 1  # halfway between two


def test_it_has_no_temperature_and_keeps_every_other_param(tmp_path: Path) -> None:
    train = TrainParams(validation="previous_fold", calibrate=True, ema_decay=0.9, schedule="cosine", optimizer="adamw")
    own = all_clips_train(train, results_of(tmp_path, validation="previous_fold"))
    assert not own.calibrate
    assert own.model_copy(update={"epochs": 50, "validation": "previous_fold", "calibrate": True}) == train


def test_a_warm_up_that_is_longer_than_all_its_epochs_is_a_sentence(tmp_path: Path) -> None:
    train = TrainParams(schedule="cosine", warmup_epochs=6)
    with pytest.raises(UserError, match=r"would train for 6 epochs.*train.warmup_epochs in params.yaml is 6"):
        all_clips_train(train, results_of(tmp_path))


def test_its_key_is_also_of_its_own_code_and_a_folds_is_not() -> None:
    code, own = {"model.py": "0"}, "audiocnn/training/all_clips.py"
    assert code_of(0, code) == code
    assert code_of(ALL_CLIPS, code) == {**code, own: sha256_of_file(PROJECT / own)}


# --- Projects with a cross-validation that is made up, and whose KEYs are true ---


def plan_of(folder: Path) -> Plan:
    return make_plan(folder / "data/prepared", folder / "checkpoints", params_of(folder))


def write_cross_validation(folder: Path, epochs: int) -> None:
    """Results of folds that trained for so many epochs and chose nothing, as DVC restores them, without checkpoints."""
    history = {"loss": [1.0] * epochs, "accuracy": [0.5] * epochs, "lr": [1e-3] * epochs}
    results = [
        fold_result(
            fold, key=plan_of(folder).key(fold), validation="none", best_epoch=epochs - 1, history=history, clips=20
        )
        for fold in FOLDS
    ]
    write_fold_results(folder, *results)


def project_in(folder: Path, epochs: int = EPOCHS) -> dict[str, Any]:
    setting = make_training_project(folder, epochs)
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["train"]["validation"] = "none"
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    write_cross_validation(folder, epochs)
    return setting


def train(setting: dict[str, Any], expect: int = 0) -> str:
    done = subprocess.run(COMMAND, **setting, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    assert done.returncode == expect, done.stdout
    return str(done.stdout)


def stopped_midway(setting: dict[str, Any], number: signal.Signals) -> tuple[int, str]:
    """Ends it by a signal some epochs later; its exit code and what it printed, once its worker is gone too."""
    checkpoints, log = Path(setting["cwd"]) / "checkpoints", Path(setting["cwd"]) / "log"
    before = epochs_done(checkpoints, ALL_CLIPS)
    with started(setting, *COMMAND, log=log) as process:
        wait_until(lambda: epochs_done(checkpoints, ALL_CLIPS) > before + 2)
        process.send_signal(number)
        code = process.wait(timeout=60)
    wait_until(lambda: not any(map(is_locked, checkpoints.glob("fold_*"))))
    return code, log.read_text()


def network(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in NETWORK]


def test_without_a_finished_cross_validation_of_these_params_it_is_refused(tmp_path: Path) -> None:
    setting = project_in(tmp_path)
    params = (tmp_path / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(params.replace("lr: 0.01", "lr: 0.02"))
    error = "error: results/folds/fold_0.json is of other params, data or code than these: run 'dvc repro' first.\n"
    assert train(setting, expect=1) == error
    (tmp_path / "results/folds/fold_0.json").unlink()
    assert "error: fold 0 has no result" in train(setting, expect=1)
    assert not (tmp_path / "models").exists()


@pytest.mark.slow
def test_killed_and_stopped_midway_it_ends_in_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "project"
    printed = train(project_in(undisturbed))
    assert f"all 60 clips; epochs: {EPOCHS}, the median" in printed
    assert "no clip was held out, so it has no accuracy of its own: the cross-validation's is" in printed
    setting = project_in(folder)
    assert stopped_midway(setting, signal.SIGKILL)[0] == -signal.SIGKILL
    code, printed = stopped_midway(setting, signal.SIGINT)
    assert (code, printed.splitlines()[-1]) == (130, "stopped by SIGINT: run the same command again to resume.")
    assert not (folder / "models").exists()
    assert "all clips: resuming after epoch" in train(setting)
    assert network(folder) == network(undisturbed)


@pytest.mark.slow
def test_a_terminal_has_a_line_on_the_run_and_a_bar_and_ctrl_c_stops_it(tmp_path: Path) -> None:
    both = re.compile(r"^all clips, \d+/2000 epochs.*\nall clips: epoch \d+ of at most 2000 ", re.MULTILINE)
    with terminal(project_in(tmp_path, epochs=2000), *COMMAND) as screen:
        screen.read_until(lambda: both.search(screen.shown()))
        screen.press(CTRL_C)
        assert screen.read_to_end() == 130
        assert screen.shown().splitlines()[-1] == "stopped by SIGINT: run the same command again to resume."


@pytest.mark.slow
def test_status_and_clean_know_it_and_nothing_of_it_is_uploaded(tmp_path: Path) -> None:
    setting = project_in(tmp_path, epochs=2)
    runtime = yaml.safe_load((tmp_path / "runtime.yaml").read_text())
    (tmp_path / "runtime.yaml").write_text(yaml.safe_dump({**runtime, "hub": {"model_repo": "owner/net"}}))
    printed = train(setting)
    assert "hub:" not in printed
    assert re.search(r"^all +finished +2$", printed, re.MULTILINE)
    assert not list((tmp_path / "checkpoints").glob("fold_*/uploaded.json"))
    record = read_record(tmp_path / "models")
    assert (record.clips, record.epochs) == (60, 2)
    assert record.folds == {fold: plan_of(tmp_path).key(fold) for fold in FOLDS}
    assert record.weights == sha256_of_file(tmp_path / NETWORK[0])
    cleaning = [sys.executable, "-m", "audiocnn", "clean"]
    kept = subprocess.run(cleaning, **setting, capture_output=True, text=True).stdout
    assert kept.splitlines() == ["       0.0 MB  of checkpoints that nothing resumes from; --remove deletes them"]
    write_cross_validation(tmp_path, epochs=3)  # which another network follows
    left = subprocess.run(cleaning, **setting, capture_output=True, text=True).stdout
    assert "checkpoints/fold_-1-" in left


def test_a_record_that_is_missing_or_damaged_is_a_sentence(tmp_path: Path) -> None:
    for content in (None, "{}", "["):
        if content is not None:
            (tmp_path / "model_all_clips.json").write_text(content)
        with pytest.raises(UserError, match=r"is missing or damaged: run 'audiocnn train --all-clips' again"):
            read_record(tmp_path)
