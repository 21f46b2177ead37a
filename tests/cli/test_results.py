"""`audiocnn results`: the table from metrics/ alone, and an honest word on how it compares with git HEAD."""

import argparse
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import chdir
from pathlib import Path

import pytest

from audiocnn.cli import results as results_command
from audiocnn.cli.main import main
from audiocnn.comparison.committed import comparison
from audiocnn.errors import UserError
from audiocnn.evaluation import rows as tables
from audiocnn.evaluation.confusions import print_confusions
from audiocnn.evaluation.table import print_table
from audiocnn.evaluation.write import write_outs
from audiocnn.files import write_json
from tests.support.results import fold_result, written_and_read
from tests.support.revisions import git

LOCK = """schema: '2.0'
stages:
  train_fold@0:
    cmd: python -m stages.train_fold 0
    deps:
    - path: audiocnn/model/network.py
      md5: aaaa
    - path: data/prepared
      md5: bbbb.dir
    params:
      params.yaml:
        train:
          lr: 0.001
          seed: 0
    outs:
    - path: results/folds/fold_0.json
      md5: cccc
"""


@pytest.fixture
def uncommitted(tmp_path: Path) -> Path:
    """A project with results, in a subfolder of a git repository that has a commit but none of them."""
    project = tmp_path / "project"
    results = written_and_read(project, fold_result(0), fold_result(1))
    write_json(project / "metrics/summary.json", tables.summary(results))
    rows = {
        "folds": [tables.fold_row(result) for result in results],
        "classes": tables.class_rows(results),
        "predictions": tables.prediction_rows(results),
    }
    for name, table in rows.items():
        (project / f"metrics/{name}.csv").write_text(tables.csv_text(table))
    (project / "dvc.lock").write_text(LOCK)
    (project / "params.yaml").write_text("folds: [0, 1]\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "nothing")
    return project


@pytest.fixture
def project(uncommitted: Path) -> Path:
    """The same, with the results committed."""
    git(uncommitted, "add", "dvc.lock", "metrics", "params.yaml")
    git(uncommitted, "commit", "-qm", "results")
    return uncommitted


def print_results(root: Path) -> None:
    """What the command does in a folder."""
    with chdir(root):
        results_command.run(argparse.Namespace(folder=Path(), confusions=False))


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_command_prints_the_table_and_the_comparison(project: Path) -> None:
    command = [sys.executable, "-m", "audiocnn.cli", "results"]
    ran = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "2 folds, dataset: demo (synthetic sounds), no measure of real ones" in ran.stdout
    assert ran.stdout.endswith("\n\nidentical to the committed results\n")


def test_the_table_needs_only_metrics(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (project / "results/folds").iterdir():
        path.unlink()
    print_results(project)
    mean = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("mean"))
    accuracies = [max(fold_result(fold)["history"]["val_accuracy"]) for fold in (0, 1)]
    assert f"{sum(accuracies) / 2:.4f}" in mean.split()


def test_very_unequal_folds_are_said_and_the_accuracy_over_all_clips_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = written_and_read(tmp_path, fold_result(0, clips=6), fold_result(1, clips=24))
    write_outs(results, tmp_path / "metrics", tmp_path / "histories.pkl")
    print_table(tmp_path / "metrics")
    correct = sum(int((result.predictions == result.labels).sum()) for result in results)
    line = f"very unequal, 6 to 24 clips held out: over all clips together the accuracy is {correct / 30:.4f}"
    assert line in capsys.readouterr().out


def test_folds_of_about_one_size_are_not_remarked_upon(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_results(project)
    assert "unequal" not in capsys.readouterr().out


def test_without_results_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"summary.json is not here: run 'dvc repro'"):
        print_results(tmp_path)


@pytest.mark.parametrize("name", ["summary.json", "folds.csv", "classes.csv", "predictions.csv"])
def test_a_merge_conflict_gets_advice_that_works(project: Path, name: str) -> None:
    before = (project / f"metrics/{name}").read_text()
    git(project, "checkout", "-q", "-b", "other")
    (project / f"metrics/{name}").write_text(before.replace("0", "1"))
    git(project, "commit", "-qam", "other")
    git(project, "checkout", "-q", "-")
    (project / f"metrics/{name}").write_text(before.replace("0", "2"))
    git(project, "commit", "-qam", "here")
    subprocess.run(["git", "merge", "other"], cwd=project, capture_output=True)
    with pytest.raises(UserError, match="merge conflict: run 'git checkout --ours dvc"):
        print_results(project)
    git(project, "checkout", "-q", "--ours", "dvc.lock", "metrics")
    assert (project / f"metrics/{name}").read_text() == before.replace("0", "2")


def test_a_conflict_in_the_lock_alone_is_named_and_compare_refuses_it(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = (project / "dvc.lock").read_text()
    (project / "dvc.lock").write_text(f"<<<<<<< HEAD\n{lock}=======\n{lock}>>>>>>> other\n")
    print_results(project)
    advice = "dvc.lock holds a git merge conflict: run 'git checkout --ours dvc.lock metrics', then 'dvc repro'"
    assert f"not compared with the committed results: {advice}" in capsys.readouterr().out
    monkeypatch.chdir(project)
    assert main(["compare", "HEAD"]) == 1
    assert advice in capsys.readouterr().err


@pytest.mark.parametrize("name", ["summary.json", "folds.csv", "classes.csv", "predictions.csv"])
@pytest.mark.parametrize("content", ["", "{}", "\udcff", "[" * 3000])
def test_a_damaged_file_is_named(project: Path, name: str, content: str) -> None:
    (project / f"metrics/{name}").write_text(content, errors="surrogateescape")
    with pytest.raises(UserError, match=f"{name} is damaged"):
        print_results(project)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("folds.csv", "\n0,", "\nx,"), ("classes.csv", "recall_std", "other"), ("summary.json", '"error"', '"other"')],
)
def test_a_damaged_cell_is_one_sentence(
    project: Path, name: str, old: str, new: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(project / "metrics" / name, old, new)
    with pytest.raises(UserError, match="damaged or not of one run: restore them"):
        print_results(project)
    assert capsys.readouterr().out == ""


def test_committed_results_that_are_damaged_have_no_metrics_to_compare(project: Path) -> None:
    good = (project / "metrics/summary.json").read_bytes()
    (project / "metrics/summary.json").write_text("<<<<<<< HEAD")
    git(project, "commit", "-qam", "damaged")
    (project / "metrics/summary.json").write_bytes(good)
    assert "other bytes in metrics/summary.json" in comparison(project)


def test_nothing_committed_is_no_error(uncommitted: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert "no results to compare with" in comparison(uncommitted)
    assert "no results to compare with" in comparison(tmp_path_factory.mktemp("no-git"))


def test_in_a_clone_that_has_trained_nothing_the_numbers_are_said_to_be_the_committed_ones(project: Path) -> None:
    shutil.rmtree(project / "results")
    assert comparison(project).startswith("these are the committed numbers: nothing has been trained here yet")


def test_another_folders_results_are_printed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results_command.run(argparse.Namespace(folder=project, confusions=False))
    assert "identical to the committed results" in capsys.readouterr().out


def test_the_largest_difference_is_named_with_both_values(project: Path) -> None:
    loss = fold_result(1)["history"]["val_loss"][fold_result(1)["best_epoch"]]
    change(project / "metrics/folds.csv", f"{loss:.6f}", f"{loss + 0.25:.6f}")
    change(project / "metrics/summary.json", '"folds": 2', '"folds": 9')  # a count is no metric
    words = comparison(project)
    assert f"metrics/folds.csv, fold 1, val_loss: {loss:.6f} committed, {loss + 0.25:.6f} here" in words
    assert "another kind of machine" in words


def test_other_weights_with_the_same_metrics_are_told_apart(project: Path) -> None:
    change(project / "dvc.lock", "md5: cccc", "md5: dddd")
    words = comparison(project)
    assert "the same metrics as committed, but other bytes in dvc.lock" in words
    assert "another kind of machine" in words


@pytest.mark.parametrize(
    ("old", "new", "name"), [("lr: 0.001", "lr: 0.0003", "train.lr"), ("aaaa", "eeee", "audiocnn/model/network.py")]
)
def test_changed_params_and_code_are_named_as_the_reason(project: Path, old: str, new: str, name: str) -> None:
    change(project / "dvc.lock", old, new)
    change(project / "metrics/summary.json", '"folds": 2', '"folds": 3')
    assert f"expected: {name} changed since the commit" in comparison(project)


def test_params_edited_after_the_run_are_said(project: Path) -> None:
    (project / "params.yaml").write_text("folds: [0, 1]\ntrain: {lr: 0.1}\n")
    assert comparison(project) == (
        "identical to the committed results, but params.yaml has changed since: run 'dvc repro'"
    )


def test_a_lock_that_is_no_yaml_is_no_crash(project: Path) -> None:
    (project / "dvc.lock").write_text("no YAML\n\t: [")
    assert "other bytes in dvc.lock" in comparison(project)


@pytest.mark.parametrize("classes", [3, 40])
def test_confusions_are_counted_by_actual_and_predicted_class(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], classes: int
) -> None:
    names = [f"class {label}" for label in range(classes)]
    results = written_and_read(tmp_path, *(fold_result(fold, names, clips=3 * classes) for fold in range(2)))
    write_outs(results, tmp_path / "metrics", tmp_path / "histories.pkl")
    print_confusions(80, tmp_path / "metrics")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    pairs = Counter(
        (names[actual], names[predicted])
        for result in results
        for actual, predicted in zip(result.labels, result.predictions, strict=True)
    )
    if classes == 3:
        for label, name in enumerate(names):
            counts = [str(pairs[name, other] or ".") for other in names]
            assert " ".join([name, str(label), *counts]) in [" ".join(line.split()) for line in lines]
    else:
        (actual, predicted), most = max(
            ((pair, count) for pair, count in pairs.items() if pair[0] != pair[1]), key=lambda found: found[1]
        )
        assert lines[2].split()[-1] == str(most)
        assert any(" ".join(line.split()) == f"{actual} {predicted} {most}" for line in lines)
