"""`audiocnn experiments`: seeds of a setting are one row, the order is as sure as it says, and nothing is left out."""

import csv
import io
import shutil
from collections.abc import Callable
from itertools import combinations
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.stats import binomtest, t

from audiocnn.cli.main import main
from audiocnn.comparison.clips import mcnemar
from tests.pipeline.conftest import trained  # noqa: F401  # the fixture
from tests.support.clones import Project
from tests.support.revisions import commit_and_tag, git, write_results

BASE = [0.70, 0.80, 0.60, 0.90]
Run = Callable[..., str]


def folds(*accuracies: float) -> dict[int, float]:
    return dict(enumerate(accuracies))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose HEAD has results of lr 0.001 and seed 0."""
    git(tmp_path, "init", "-q", "-b", "main")
    write_results(tmp_path, folds(*BASE))
    commit_and_tag(tmp_path, "base")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def ran(*arguments: str) -> str:
        assert main([*arguments]) == 0, capsys.readouterr()
        return capsys.readouterr().out

    return ran


def save(
    root: Path, name: str, accuracies: dict[int, float], lr: object, seed: int, validation: str = "held_out"
) -> None:
    """An experiment as DVC saves it: a commit on the baseline, and its ref."""
    write_results(root, accuracies, lr=lr, validation=validation)
    for file in ("params.yaml", "dvc.lock"):
        (root / file).write_text((root / file).read_text().replace("seed: 0", f"seed: {seed}"))
    git(root, "add", "-A")
    baseline = git(root, "rev-parse", "HEAD")
    sha = git(root, "commit-tree", git(root, "write-tree"), "-p", baseline, "-m", name)
    git(root, "update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/{name}", sha)
    git(root, "reset", "-q", "--hard")


def rows(table: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table)))


def test_seeds_of_a_setting_are_one_row_with_both_spreads_worked_out_by_hand(root: Path, run: Run) -> None:
    save(root, "second-seed", folds(0.74, 0.84, 0.64, 0.94), 0.001, seed=1)
    save(root, "other", folds(0.80, 0.90, 0.75, 0.93), 0.01, seed=0)
    best, worse = rows(run("experiments", "--csv"))
    assert (best["train.lr"], best["runs"], best["seeds"], best["std_seeds"]) == ("0.01", "other", "1", "")
    assert (worse["train.lr"], worse["runs"], worse["seeds"]) == ("0.001", "HEAD second-seed", "2")
    assert float(worse["mean"]) == pytest.approx(0.77)
    assert float(worse["std_seeds"]) == pytest.approx(0.04 / sqrt(2))  # means 0.75 and 0.79
    assert float(worse["std_folds"]) == pytest.approx(np.std([0.72, 0.82, 0.62, 0.92]))
    differences = [0.10, 0.10, 0.15, 0.03]  # by fold, of the seed that both have: 0
    deviation = np.std(differences, ddof=1) * sqrt(1 / 4 + 1 / 3)  # four folds, each trained on the other three
    assert float(worse["p"]) == pytest.approx(2 * t.sf(np.mean(differences) / deviation, 3))


def test_every_pair_counts_in_the_correction(root: Path, run: Run) -> None:
    runs = {0.01: [0.80, 0.90, 0.75, 0.93], 0.001: BASE, 0.1: [0.20, 0.35, 0.1, 0.4]}
    for lr in (0.01, 0.1):
        save(root, f"lr-{lr}", folds(*runs[lr]), lr, seed=0)

    def p(one: float, other: float) -> float:
        differences = np.subtract(runs[one], runs[other])
        return float(2 * t.sf(abs(differences.mean()) / (differences.std(ddof=1) * sqrt(1 / 4 + 1 / 3)), 3))

    plain = sorted((p(*pair), pair) for pair in combinations(runs, 2))
    holm = np.maximum.accumulate([min(1, (3 - rank) * value) for rank, (value, _) in enumerate(plain)])
    expected = {pair: value for (_, pair), value in zip(plain, holm, strict=True)}
    _, second, third = rows(run("experiments", "--csv"))
    assert float(second["p"]) == pytest.approx(expected[0.01, 0.001])
    assert float(third["p"]) == pytest.approx(expected[0.01, 0.1])
    assert "correction for all 3 pairs" in " ".join(run("experiments").split())


def test_protocols_are_not_ranked_together_and_the_order_speaks_of_compared_rows_only(root: Path, run: Run) -> None:
    """HEAD's is held_out, the larger number of the protocol that fewer rows have."""
    save(root, "worse", folds(0.20, 0.35, 0.10, 0.40), 0.1, seed=0, validation="none")
    save(root, "better", folds(0.60, 0.70, 0.50, 0.80), 0.01, seed=0, validation="none")
    table = rows(run("experiments", "--csv"))
    assert [(row["runs"], row["metric"], bool(row["p"])) for row in table] == [
        ("better", "test_acc", False),
        ("worse", "test_acc", True),
        ("HEAD", "val_acc", False),
    ]
    text = " ".join(run("experiments").split())
    assert "The first is better than each other that has a p (p < 0.05)." in text
    assert "1 finished row has no p, not comparable with the first: other data, classes or train.validation" in text
    save(root, "close", folds(0.59, 0.72, 0.49, 0.80), 0.02, seed=0, validation="none")
    text = " ".join(run("experiments").split())
    assert "The first is better than 1 of 2 others that have a p (p < 0.05); the rest is not told apart." in text


def test_of_protocols_with_as_many_rows_that_of_the_last_commit_comes_first(root: Path, run: Run) -> None:
    save(root, "other", folds(0.95, 0.95, 0.90, 0.99), 0.01, seed=0, validation="previous_fold")
    assert [row["runs"] for row in rows(run("experiments", "--csv"))] == ["HEAD", "other"]
    assert "no second setting that the first could be compared with" in " ".join(run("experiments").split())


def test_where_all_rows_are_compared_none_is_said_to_be_left_out(root: Path, run: Run) -> None:
    save(root, "other", folds(0.30, 0.42, 0.19, 0.50), 0.01, seed=0)
    text = run("experiments")
    assert "The first is better than each of the others (p < 0.05)." in text
    assert "no p" not in text


def test_a_run_whose_results_are_older_than_its_params_is_named_and_does_not_count(root: Path, run: Run) -> None:
    save(root, "fine", folds(0.8, 0.9, 0.7, 0.9), 0.01, seed=0)
    (root / "params.yaml").write_text(yaml.safe_dump({"train": {"lr": 0.5, "seed": 0}, "folds": [0, 1, 2, 3]}))
    git(root, "commit", "-qam", "new params, no new results")
    table = run("experiments")
    assert "0.0100" not in table
    assert [row["runs"] for row in rows(run("experiments", "--csv"))] == ["fine"]  # HEAD is stale


@pytest.mark.parametrize("option", [(), ("--md",), ("--csv",)])
def test_values_of_a_stranger_stay_text_and_move_no_terminal(root: Path, run: Run, option: tuple[str, ...]) -> None:
    save(root, "hostile", folds(*BASE), "=cmd()\x1b[31m<img src=x>|" + "x" * 300, seed=0)
    printed = run("experiments", *option)
    assert "\x1b" not in printed
    if option == ("--csv",):
        assert {row["train.lr"][:2] for row in rows(printed)} == {"'=", "0."}
    elif option == ("--md",):
        assert "<img" not in printed.replace("\\<img", "")
    else:
        assert max(map(len, printed.splitlines())) <= 80


def test_params_that_do_not_fit_stand_below_a_table_of_80_columns(root: Path, run: Run) -> None:
    write_results(root, folds(0.8, 0.9, 0.7, 0.9), lr="a" * 19)
    wide = {f"a_rather_long_name_{index}": f"value-{index}" for index in range(6)}
    for file in ("params.yaml", "dvc.lock"):
        value = yaml.safe_load((root / file).read_text())
        groups = [value] if file == "params.yaml" else [s["params"]["params.yaml"] for s in value["stages"].values()]
        for group in groups:
            group.setdefault("train", {}).update(wide) if "train" in group else None
        (root / file).write_text(yaml.safe_dump(value))
    commit_and_tag(root, "wide")
    save(root, "plain", folds(*BASE), 0.001, seed=0)
    lines = run("experiments").splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split()[0] == "setting"
    assert "a_rather_long_name_5 value-5" in " ".join("\n".join(lines).split())


def test_several_runs_a_side_are_their_mean_in_each_fold(root: Path, run: Run) -> None:
    save(root, "a1", folds(0.72, 0.80, 0.70, 0.80), 0.01, seed=0)
    save(root, "a2", folds(0.78, 0.80, 0.80, 0.90), 0.01, seed=1)
    text = run("compare", "--old", "base", "--new", "a1,a2")
    assert "Mean val_acc 0.7500 to 0.7875, difference +0.0375" in text  # 0.05, 0, 0.15, -0.05
    assert "new is the mean of 2 runs in each fold: a1, a2." in text
    assert "train.seed 0 to 0, 1" in text
    assert main(["compare", "--old", "a1,a1", "--new", "base"]) == 1
    with pytest.raises(SystemExit):
        main(["compare", "base", "a1", "--old", "a2"])


def predict(root: Path, *right: bool) -> None:
    """The predictions of a run: of which clips it is right."""
    lines = [f"demo,{i % 4},{i},dog,{'dog' if ok else 'cat'},0.5" for i, ok in enumerate(right)]
    header = "source,fold,row,actual,predicted,confidence"
    (root / "metrics/predictions.csv").write_text("\n".join([header, *lines, ""]))


def test_two_runs_are_compared_clip_by_clip_where_both_keep_their_predictions(root: Path, run: Run) -> None:
    predict(root, True, True, False, False, False, False, False, False)
    commit_and_tag(root, "first")
    predict(root, False, True, True, True, True, True, True, False)
    text = run("compare", "first")
    assert "of 8 held-out clips 5 are right more often in workspace, 1 less often" in text
    assert f"exact McNemar test p = {binomtest(1, 6).pvalue:.4f}." in text
    (root / "metrics/predictions.csv").write_text("damaged")
    assert "McNemar" not in run("compare", "first")


def test_clip_by_clip_several_runs_a_side_are_said_to_take_the_sign_test(root: Path, run: Run) -> None:
    predict(root, True, True, False, False, False, False)
    commit_and_tag(root, "first")
    predict(root, True, False, True, False, False, False)
    commit_and_tag(root, "second")
    predict(root, False, True, True, True, True, True)
    text = run("compare", "--old", "first,second")  # whose shares of right answers are 1, 1/2, 1/2, 0, 0, 0
    assert f"5 are right more often in workspace, 1 less often; sign test p = {binomtest(1, 6).pvalue:.4f}." in text
    assert "McNemar" not in text


@pytest.mark.parametrize(("first", "second"), [(0, 0), (3, 3), (1, 6), (30, 12)])
def test_mcnemar_is_the_exact_binomial_test(first: int, second: int) -> None:
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected)


@pytest.mark.slow
def test_a_real_queue_is_shown_before_it_ran_after_it_ran_and_where_one_failed(
    trained: Project,  # noqa: F811
    tmp_path: Path,
) -> None:
    project = trained.copy(tmp_path / "clone")

    def table() -> list[dict[str, str]]:
        return rows(project.run("python", "-m", "audiocnn.cli", "experiments", "--csv"))

    project.dvc("exp", "run", "--queue", "-S", "train.lr=0.02", "-S", "+train.seed=0,1", "-S", "train.epochs=1")
    project.dvc("exp", "run", "--queue", "-n", "broken", "-S", "train.lr=-1")
    waiting = {row["train.lr"]: (row["seeds"], row["queued"], row["failed"]) for row in table()}
    assert waiting == {"0.01": ("1", "0", "0"), "0.02": ("0", "2", "0"), "-1": ("0", "1", "0")}
    project.dvc("queue", "start")
    project.run("bash", "-c", "while dvc queue status | grep -qE 'Queued|Running'; do sleep 0.5; done")
    ended = {row["train.lr"]: (row["seeds"], row["queued"], row["failed"]) for row in table()}
    assert ended == {"0.01": ("1", "0", "0"), "0.02": ("2", "0", "0"), "-1": ("0", "0", "1")}
    assert "Failed: broken." in project.run("python", "-m", "audiocnn.cli", "experiments")
    project.dvc("queue", "stop", "--kill", expect=None)


@pytest.mark.slow
def test_below_a_repositorys_root_what_is_queued_is_shown(trained: Project, tmp_path: Path) -> None:  # noqa: F811
    """The queue is the root's, where git and DVC are; the project is a folder of it."""
    project = trained.copy(tmp_path / "mono/sound", DVC_SITE_CACHE_DIR=str(tmp_path / "site"))
    for name in (".git", ".dvc"):
        shutil.rmtree(project.path / name)
    project.run("git", "init", "-q", "-b", "main", "..")
    project.run("dvc", "--cd", "..", "init", "-q")
    project.commit("sound")
    project.dvc("exp", "run", "--queue", "-S", "train.lr=0.02")
    shown = rows(project.run("python", "-m", "audiocnn.cli", "experiments", "--csv"))
    assert {row["train.lr"]: row["queued"] for row in shown} == {"0.01": "0", "0.02": "1"}
