"""The real `dvc` on a tiny folder dataset in temporary clones: what runs again, what comes out, and what is said."""

import csv
import json
import pickle
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from tests.support.clones import (
    CLASS_MAPPING,
    CLIPS,
    EPOCHS,
    FOLDS,
    FRAMES,
    MELS,
    Project,
    epochs_trained,
    stages_run,
    write_dataset,
)

pytestmark = pytest.mark.slow

FOLD_STAGES = [f"train_fold@{fold}" for fold in range(FOLDS)]
STAGES = ["fetch", "prepare", *FOLD_STAGES, "aggregate"]
ALL_TRAINED = dict.fromkeys(range(FOLDS), EPOCHS)
PUBLISHED = [*(f"results/folds/fold_{fold}.json" for fold in range(FOLDS)), "metrics/summary.json"]


@pytest.fixture
def copied(trained: Project, tmp_path: Path) -> Project:
    return trained.copy(tmp_path / "clone")


def is_clean(project: Project) -> bool:
    return project.run("git", "status", "--porcelain") == ""


def test_repro_makes_every_file_of_the_pipeline_in_the_promised_form(trained: Project) -> None:
    source = trained.json("data/raw/source.json")
    assert source["kind"] == "folder"
    assert set(source["files"]) == {"features.pkl", "labels.pkl", "folds.pkl", "class_mapping.pkl"}
    arrays = {name: np.load(trained.path / f"data/prepared/{name}.npy") for name in ("features", "labels", "folds")}
    assert {name: (array.shape, array.dtype.name) for name, array in arrays.items()} == {
        "features": ((CLIPS, MELS, FRAMES), "float32"),
        "labels": ((CLIPS,), "int64"),
        "folds": ((CLIPS,), "int64"),
    }
    for fold in range(FOLDS):
        check_fold(trained, fold, arrays["folds"], arrays["labels"])
    histories = pickle.loads(trained.read("models/all_fold_histories.pkl"))
    assert [set(history) for history in histories] == [{"loss", "accuracy", "val_loss", "val_accuracy"}] * FOLDS


def check_fold(project: Project, fold: int, folds: np.ndarray, labels: np.ndarray) -> None:
    result = project.json(f"results/folds/fold_{fold}.json")
    rows = np.flatnonzero(folds == fold + 1)
    assert (result["fold"], result["dataset_fold"], result["classes"]) == (fold, fold + 1, list(CLASS_MAPPING.values()))
    assert (result["held_out"]["rows"], result["held_out"]["labels"]) == (rows.tolist(), labels[rows].tolist())
    assert np.shape(result["held_out"]["logits"]) == (len(rows), len(CLASS_MAPPING))
    assert {name: len(values) for name, values in result["history"].items()} == dict.fromkeys(
        ("loss", "accuracy", "val_loss", "val_accuracy", "lr"), EPOCHS
    )
    with safe_open(project.path / f"models/model_fold_{fold}_best.safetensors", framework="numpy") as weights:
        assert list(weights.metadata()) == ["audiocnn"]
        assert json.loads(weights.metadata()["audiocnn"])["epoch"] == result["best_epoch"]


def test_repro_again_runs_nothing(trained: Project) -> None:
    assert stages_run(trained.dvc("repro")) == []
    assert is_clean(trained)


def test_another_learning_rate_runs_the_folds_and_aggregate_alone_and_going_back_trains_nothing(
    copied: Project, trained: Project
) -> None:
    output = copied.dvc("exp", "run", "-S", "train.lr=3e-4")
    assert stages_run(output) == [*FOLD_STAGES, "aggregate"]
    assert epochs_trained(output) == ALL_TRAINED
    table = copied.dvc("metrics", "diff", "--md").strip().splitlines()
    assert table[0].split() == ["|", "Path", "|", "Metric", "|", "HEAD", "|", "workspace", "|", "Change", "|"]
    assert 3 <= len(table) <= 2 + 10
    back = copied.dvc("exp", "run", "-S", "train.lr=0.01")
    assert not {*stages_run(back)} & {*FOLD_STAGES}
    assert copied.lock() == trained.lock()


def test_a_fold_that_is_no_longer_listed_changes_nothing_and_one_that_the_data_lacks_is_named(copied: Project) -> None:
    copied.set_params(folds=[0, 1])
    output = copied.dvc("repro")
    assert epochs_trained(output) == {}
    assert copied.json("metrics/summary.json")["folds"] == 2
    assert len(pickle.loads(copied.read("models/all_fold_histories.pkl"))) == 2
    with (copied.path / "metrics/folds.csv").open() as file:
        assert {row["fold"] for row in csv.DictReader(file)} == {"0", "1"}
    copied.set_params(folds=[0, 1, 2, 3])
    assert "params.yaml lists fold index 3" in one_error(copied.dvc("repro", expect=255))


def one_error(output: str) -> str:
    """The one line that a failed stage ended with."""
    errors = [line for line in output.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, output
    return errors[0]


def test_a_typo_in_params_is_one_sentence(copied: Project) -> None:
    copied.set_params(train={"lrr": 0.1})
    assert "did you mean train.lr?" in one_error(copied.dvc("repro", expect=255))


def test_force_trains_every_fold_again_once_and_ends_in_the_same_lock(copied: Project, trained: Project) -> None:
    output = copied.dvc("repro", "-f")
    assert stages_run(output) == STAGES
    assert epochs_trained(output) == ALL_TRAINED
    assert copied.lock() == trained.lock()
    assert is_clean(copied)
    shutil.rmtree(copied.path / "checkpoints")
    assert epochs_trained(copied.dvc("repro", "--force", "-s", "train_fold@1")) == {1: EPOCHS}
    assert copied.lock() == trained.lock()


@pytest.fixture
def fresh(trained: Project, tmp_path: Path) -> Project:
    """What a newcomer has: a git clone with the committed lock, without caches, in a folder with an awkward name."""
    path = tmp_path / "Ordner für Töne"
    trained.run("git", "clone", "-q", ".", str(path))
    return Project(path)


def test_a_fresh_clone_elsewhere_ends_with_the_committed_lock_and_metrics(fresh: Project) -> None:
    fresh.set_runtime(jobs=2)
    output = fresh.dvc("repro")
    assert epochs_trained(output) == ALL_TRAINED
    fresh.run("git", "checkout", "-q", "runtime.yaml")
    assert is_clean(fresh)


def test_a_fold_that_the_command_names_trains_alone_as_does_each_on_one_core_and_the_bytes_are_the_same(
    fresh: Project,
) -> None:
    """AUDIOCNN_JOBS=1: test_many_machines.py, where the head trains the one fold that nobody has."""
    fresh.dvc("repro", "prepare")
    assert epochs_trained(fresh.dvc("repro", "-s", "train_fold@1")) == {1: EPOCHS}
    output = fresh.run("taskset", "-c", "0", "dvc", "repro")
    assert epochs_trained(output) == {0: EPOCHS, 2: EPOCHS}
    assert epochs_trained(output.partition("Running stage 'train_fold@2'")[0]) == {0: EPOCHS}
    assert is_clean(fresh)


def test_an_experiment_in_a_temporary_copy_finds_a_relative_folder_and_keeps_its_checkpoints(
    copied: Project, tmp_path: Path
) -> None:
    """With a learning rate that YAML 1.1 reads as text, once dvc has written it."""
    write_dataset(tmp_path / "more data", folds=2)
    checkpoints = tmp_path / "checkpoints"
    project = Project(copied.path, {"AUDIOCNN_CHECKPOINTS": str(checkpoints)})
    changes = ("data.source=../more data", "folds=[0,1]", "train.lr=1e-5")
    output = project.dvc("exp", "run", "--temp", "-n", "elsewhere", *(word for c in changes for word in ("-S", c)))
    assert epochs_trained(output) == {0: EPOCHS, 1: EPOCHS}
    assert is_clean(project)
    assert len(list(checkpoints.glob("fold_*"))) == 2
    project.dvc("exp", "apply", "elsewhere")
    assert project.json("metrics/summary.json")["folds"] == 2
    assert "lr: 1e-05" in project.read("params.yaml").decode()
    assert project.json("results/folds/fold_0.json")["history"]["lr"] == [1e-5] * EPOCHS


def test_a_fold_that_fails_fails_in_its_own_stage_alone_and_the_others_go_on(copied: Project) -> None:
    copied.set_params(train={"lr": 0.002})
    folder = (
        copied.path
        / copied.run(
            "python", "-c", "from stages.train_fold import plan_from_files; print(plan_from_files().folder(1))"
        ).strip()
    )
    (folder / "epoch_0.pt").mkdir(parents=True)  # where a file must go: the fold cannot save its first epoch
    output = copied.dvc("repro", "-k", expect=255)
    assert stages_run(output) == FOLD_STAGES
    assert epochs_trained(output) == {0: EPOCHS, 2: EPOCHS}
    before, _, after = output.partition("Running stage 'train_fold@1'")
    assert "error:" not in before
    assert "epoch_0.pt" in one_error(after.partition("Running stage")[0])
    (folder / "epoch_0.pt").rmdir()
    again = copied.dvc("repro")
    assert epochs_trained(again) == {1: EPOCHS}
    assert stages_run(again)[-1] == "aggregate"


def test_no_shell_sees_what_a_list_in_params_yaml_holds(copied: Project) -> None:
    params = copied.read("params.yaml").decode().replace("folds:\n- 0\n", "folds:\n- 0; touch planted\n")
    (copied.path / "params.yaml").write_text(params)
    output = copied.dvc("repro", "--force", "--single-item", "train_fold", expect=255)
    assert "Running stage 'train_fold@0; touch planted'" in output
    assert "expected train_fold@K" in one_error(output)
    assert not (copied.path / "planted").exists()


def test_params_edited_while_folds_train_publish_nothing(copied: Project, trained: Project) -> None:
    copied.set_params(train={"lr": 0.003, "epochs": 50, "early_stopping_patience": 50})
    process = subprocess.Popen(
        **copied.command("dvc", "repro"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("fold 0: epoch  0"):
            break
    copied.set_params(train={"lr": 0.01, "epochs": EPOCHS, "early_stopping_patience": 10})
    output, _ = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "nothing is published" in one_error(output)
    assert epochs_trained(copied.dvc("repro")) == {}  # what these params, written out or not, trained before
    assert [copied.read(name) for name in PUBLISHED] == [trained.read(name) for name in PUBLISHED]
