"""The aggregate stage as DVC runs it: a process in a project's folder, and DVC itself around it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from audiocnn.errors import run_command
from stages.aggregate import main
from tests.support.paths import ROOT
from tests.support.processes import environment
from tests.support.results import fold_result, write_fold_results
from tests.support.revisions import git

OUTS = ("summary.json", "folds.csv", "history.csv", "predictions.csv", "classes.csv")


class Stage:
    """The stage's body, run in a given folder."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capture = patch, capture

    def run(self, folder: Path, folds: list[int]) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        (folder / "params.yaml").write_text(f"folds: {folds}\n")
        self._patch.chdir(folder)
        code = run_command(main)
        return code, *self._capture.readouterr()


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Stage:
    return Stage(monkeypatch, capsys)


def process(folder: Path, folds: list[int]) -> None:
    (folder / "params.yaml").write_text(f"folds: {folds}\n")
    command = [sys.executable, "-m", "stages.aggregate"]
    subprocess.run(command, cwd=folder, env=environment(PYTHONPATH=str(ROOT)), check=True)


def test_no_name_that_a_page_would_run_reaches_metrics(tmp_path: Path, stage: Stage) -> None:
    """`dvc plots show` pastes metrics/*.csv into a script element."""
    write_fold_results(tmp_path, fold_result(0, classes=["bell", "</script><script>alert(1)</script>"]))
    code, _, error = stage.run(tmp_path, [0])
    assert (code, error.count("\n")) == (1, 1)
    assert "results/folds has a class called '</script>" in error
    assert not (tmp_path / "metrics").exists()


def contents(folder: Path) -> dict[str, bytes]:
    paths = [*(folder / "metrics").iterdir(), folder / "models/all_fold_histories.pkl"]
    return {path.name: path.read_bytes() for path in paths}


def test_the_same_folds_give_the_same_bytes_in_any_folder_process_and_order(tmp_path: Path, stage: Stage) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write_fold_results(one, *map(fold_result, (0, 1, 2)))
    write_fold_results(two, *map(fold_result, (0, 1, 2)))
    process(one, [0, 1, 2])
    assert stage.run(two, [2, 0, 1])[0] == 0
    assert contents(one) == contents(two)
    assert set(contents(one)) == {*OUTS, "all_fold_histories.pkl"}
    assert (
        (one / "metrics/folds.csv")
        .read_text()
        .startswith("fold,dataset_fold,best_epoch,epochs,val_acc,val_loss,macro_f1\n0,1,3,6,")
    )


def test_the_console_shows_the_folds_and_says_what_the_numbers_are_of(tmp_path: Path, stage: Stage) -> None:
    write_fold_results(tmp_path, fold_result(0), fold_result(1, device="cuda"))
    _, output, _ = stage.run(tmp_path, [0, 1])
    assert "2 folds, dataset: demo (synthetic sounds), no measure of real ones" in output
    assert "val_acc is selected on the fold it reports" in output
    assert "folds were trained on cpu with torch 2.13.0 and on cuda" in output
    assert "engine, idling" in output
    assert "mean" in output


def test_a_fold_no_longer_listed_changes_nothing_and_its_result_goes(tmp_path: Path, stage: Stage) -> None:
    clean, leftover = tmp_path / "clean", tmp_path / "leftover"
    write_fold_results(clean, fold_result(0), fold_result(1))
    write_fold_results(leftover, fold_result(0), fold_result(1), fold_result(2, source="hub"))
    stage.run(clean, [0, 1])
    _, output, _ = stage.run(leftover, [0, 1])
    assert contents(clean) == contents(leftover)
    assert "deleted results/folds/fold_2.json" in output
    assert not (leftover / "results/folds/fold_2.json").exists()


def test_a_missing_fold_stops_with_one_sentence_and_leaves_the_last_metrics_alone(tmp_path: Path, stage: Stage) -> None:
    write_fold_results(tmp_path, fold_result(0), fold_result(4))
    stage.run(tmp_path, [0, 4])
    before = contents(tmp_path)
    (tmp_path / "results/folds/fold_4.json").unlink()
    code, _, complaint = stage.run(tmp_path, [0, 4])
    assert code == 1
    assert complaint == "error: fold 4 has no result, results/folds/fold_4.json is not here: run 'dvc repro'.\n"
    assert contents(tmp_path) == before


def dvc(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=folder, env=environment(), capture_output=True, text=True
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A DVC project whose only stage is ours, aggregate, with our plots and templates."""
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    stage = pipeline["stages"]["aggregate"]
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"aggregate": stage}, "plots": pipeline["plots"]}))
    for name in ("audiocnn", "stages"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    git(tmp_path, "init", "-q")
    dvc(tmp_path, "init", "-q")
    shutil.copytree(ROOT / ".dvc/plots", tmp_path / ".dvc/plots")
    (tmp_path / ".gitignore").write_text("/models\n/results\n__pycache__/\n/dvc_plots\n")
    (tmp_path / "params.yaml").write_text("folds: [0, 1, 2]\n")
    write_fold_results(tmp_path, *map(fold_result, (0, 1, 2)))
    return tmp_path


@pytest.mark.slow
def test_dvc_keeps_the_metrics_of_a_failed_run_and_draws_the_plots_of_two_revisions(project: Path) -> None:
    assert dvc(project, "repro").returncode == 0
    git(project, "add", "-A")
    git(project, "commit", "-qm", "three folds")

    (project / "results/folds/fold_1.json").write_text("{}")
    assert dvc(project, "repro").returncode != 0
    assert git(project, "status", "--porcelain") == ""

    write_fold_results(project, *map(fold_result, (1, 3)))
    (project / "params.yaml").write_text("folds: [0, 1, 2, 3]\n")
    assert dvc(project, "repro").returncode == 0
    assert re.search(r"\| folds +\| 3 +\| 4 ", dvc(project, "metrics", "diff", "--md").stdout)
    assert dvc(project, "plots", "diff", "HEAD").returncode == 0
    page = (project / "dvc_plots/index.html").read_text()
    assert page.count("vegaEmbed(") == 3
    assert "<DVC_METRIC" not in page
    assert '"rev": "HEAD"' in page
    assert '"rev": "workspace"' in page
    assert "engine, idling" in page
