"""`audiocnn compare`: the numbers are those worked out by hand, and the words claim no more than they show."""

import subprocess
import sys
from math import sqrt
from pathlib import Path

import pytest
import yaml
from scipy.stats import t

from audiocnn.cli.main import main
from tests.support.paths import ROOT
from tests.support.processes import environment
from tests.support.revisions import CODE, commit_and_tag, git, write_results

OLD = {0: 0.70, 1: 0.80, 2: 0.60, 3: 0.90}
NEW = {0: 0.75, 1: 0.80, 2: 0.75, 3: 0.85}


class Repository:
    """A clone with the runs that a test writes into it; the commands run there."""

    def __init__(self, root: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.root, self._capture = root, capture

    def compare(self, *arguments: str) -> str:
        """What the command prints."""
        code, output, complaint = self.run(*arguments)
        assert (code, complaint) == (0, ""), complaint
        return output

    def refusal(self, *arguments: str) -> str:
        """The sentence that the command fails with."""
        code, output, complaint = self.run(*arguments)
        assert (code, output, complaint.count("\n")) == (1, "", 1)
        return complaint

    def run(self, *arguments: str) -> tuple[int, str, str]:
        code = main(["compare", *arguments])
        return code, *self._capture.readouterr()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Repository:
    """In a subfolder of a git repository, with OLD committed as `old`."""
    root = tmp_path / "project"
    root.mkdir()
    git(tmp_path, "init", "-q", "-b", "main")
    write_results(root, OLD)
    commit_and_tag(root, "old")
    monkeypatch.chdir(root)
    return Repository(root, capsys)


def test_the_numbers_are_those_worked_out_by_hand(repository: Repository) -> None:
    write_results(repository.root, NEW, lr=0.0003, classes={"dog bark": 0.75, "siren": 0.7})
    # Differences 0.05, 0, 0.15, -0.05: mean 0.0375, s^2 = 0.021875 / 3; four folds, each trained on the other three.
    half = 3.182446 * sqrt((1 / 4 + 1 / 3) * 0.021875 / 3)  # t(0.975, 3) from a table
    assert repository.compare("old") == (
        "No evidence of a difference in val_acc: the interval contains 0.\n"
        f"Mean val_acc 0.7500 to 0.7875, difference +0.0375 (95 % interval {0.0375 - half:+.4f} to "
        f"{0.0375 + half:+.4f}); of 4 folds 2 higher, 1 equal, 1 lower.\n"
        "\n"
        "fold     old  workspace  difference\n"
        "0     0.7000     0.7500     +0.0500\n"
        "1     0.8000     0.8000     +0.0000\n"
        "2     0.6000     0.7500     +0.1500\n"
        "3     0.9000     0.8500     -0.0500\n"
        "mean  0.7500     0.7875     +0.0375\n"
        "\n"
        "Params that differ: train.lr 0.001 to 0.0003.\n"
        "Code that differs: none.\n"
        "Mean val_loss 1.0000 to 1.0000, difference +0.0000; lower is better.\n"
        "Recall changed most for siren 0.50 to 0.70.\n"
        "val_acc is selected on the fold that it reports, in both runs: a gain may be one of the selection.\n"
    )


def test_markdown_says_the_same_with_the_folds_folded_away(repository: Repository) -> None:
    write_results(repository.root, NEW)
    reading, numbers, _, *lines = repository.compare("old").splitlines()
    notes = lines[lines.index("") + 1 :]
    table = ["| fold | old | workspace | difference |", "|---|---:|---:|---:|", "| 0 | 0.7000 | 0.7500 | +0.0500 |"]
    written = repository.compare("old", "--md").splitlines()
    assert written[: len(notes) + 2] == [f"**{reading}** {numbers}", "", *(f"- {note}" for note in notes)]
    assert written[len(notes) + 3 : len(notes) + 8] == ["<details><summary>Fold by fold</summary>", "", *table]


def test_a_class_name_is_text_in_markdown_and_moves_no_terminal(repository: Repository) -> None:
    names = {"<img src=x>": 0.1, "_noise_ | `x` @somebody #1": 0.2, "[a](//b) \\\x1b[31m*": 0.3}
    write_results(repository.root, OLD, classes=names)
    commit_and_tag(repository.root, "hostile")
    write_results(repository.root, NEW, classes={name: recall + 0.5 for name, recall in names.items()})
    written = repository.compare("hostile", "--md")
    assert r"\<img src=x\>" in written
    assert r"\_noise\_ \| \`x\` @<!-- -->somebody #<!-- -->1" in written
    assert "\\[a\\](//b) \\\\\ufffd\\[31m\\*" in written
    assert "\x1b" not in repository.compare("hostile")


@pytest.mark.parametrize(
    ("new", "reading"),
    [
        ({0: 0.80, 1: 0.91, 2: 0.70, 3: 0.99}, "val_acc is higher in workspace: the interval does not contain 0."),
        ({0: 0.60, 1: 0.69, 2: 0.50, 3: 0.81}, "val_acc is lower in workspace: the interval does not contain 0."),
        ({0: 0.70, 1: 0.80, 2: 0.60, 3: 0.95}, "No evidence of a difference in val_acc: the interval contains 0."),
        (OLD, "val_acc is the same in every fold."),
        ({0: 0.72, 1: 0.82, 9: 0.99}, "Too few folds to tell: val_acc differs by the same amount in each"),
        ({3: 0.10, 4: 0.99}, "Too few folds to tell: one in common, and val_acc's interval takes two."),
    ],
)
def test_the_reading_claims_no_more_than_the_interval_shows(
    repository: Repository, new: dict[int, float], reading: str
) -> None:
    write_results(repository.root, new)
    assert repository.compare("old").startswith(reading)


def test_two_revisions_are_read_from_git_whatever_the_working_tree_holds(repository: Repository) -> None:
    write_results(repository.root, NEW, lr=0.0003)
    commit_and_tag(repository.root, "new")
    expected = repository.compare("old", "new")
    for path in repository.root.rglob("*.*"):
        path.unlink()
    assert repository.compare("old", "new") == expected
    assert "difference +0.0375" in expected
    assert "difference -0.0375" in repository.compare("new", "old")
    sha = git(repository.root, "rev-parse", "new")
    assert repository.compare("HEAD~1", sha).split("\n")[:2] == expected.split("\n")[:2]
    assert f"fold  HEAD~1  {sha[:7]}  difference" in repository.compare("HEAD~1", sha)


def test_the_tested_folds_are_compared_where_both_runs_have_them(repository: Repository) -> None:
    write_results(repository.root, OLD, validation="previous_fold")
    commit_and_tag(repository.root, "tested")
    write_results(repository.root, NEW, validation="previous_fold")
    differences = [0.05, 0.0, 0.15, -0.05]
    half = t.ppf(0.975, 3) * sqrt((1 / 4 + 1 / 2) * 0.021875 / 3)  # two folds train: one tests, one validates
    text = repository.compare("tested")
    assert f"Mean test_acc 0.7500 to 0.7875, difference +0.0375 (95 % interval {0.0375 - half:+.4f} to" in text
    assert f"Mean test_loss 1.2500 to 1.2125, difference {-sum(differences) / 4:+.4f}" in text
    assert text.endswith("test_acc is read once, after training.\n")


def test_without_validation_the_tested_folds_are_compared_and_all_others_trained(repository: Repository) -> None:
    write_results(repository.root, OLD, validation="none")
    commit_and_tag(repository.root, "unchosen")
    write_results(repository.root, NEW, validation="none")
    half = t.ppf(0.975, 3) * sqrt((1 / 4 + 1 / 3) * 0.021875 / 3)
    text = repository.compare("unchosen")
    assert f"Mean test_acc 0.7500 to 0.7875, difference +0.0375 (95 % interval {0.0375 - half:+.4f} to" in text
    assert text.endswith("test_acc is read once, after training.\n")
    assert "train.validation is held_out in old and none in workspace" in repository.compare("old")


def test_only_folds_that_both_have_are_paired_but_all_count_as_training_data(repository: Repository) -> None:
    write_results(repository.root, {0: 0.75, 1: 0.80})
    half = t.ppf(0.975, 1) * sqrt((1 / 2 + 1 / 3) * 0.00125)  # four folds are known of, so three trained
    text = repository.compare("old")
    assert f"difference +0.0250 (95 % interval {0.025 - half:+.4f} to" in text
    assert "Left out, because only old has them: folds 2, 3." in text
    assert "Recall" not in text  # of other clips


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data": "bbbb.dir"}, "the data differ (data/prepared in dvc.lock)"),
        ({"classes": {"cat": 0.5}}, "the classes differ"),
        ({"validation": "previous_fold"}, "train.validation is held_out in old and previous_fold in workspace"),
    ],
    ids=str,
)
def test_runs_that_cannot_be_paired_are_shown_side_by_side_without_a_difference(
    repository: Repository, change: dict[str, object], reason: str
) -> None:
    write_results(repository.root, NEW, **change)  # type: ignore[arg-type]
    text = repository.compare("old")
    assert text.startswith(f"Not comparable fold by fold: {reason}.\n")
    assert "0.7875" in text
    assert "difference" not in text


def test_params_are_compared_by_value_and_code_by_name(repository: Repository) -> None:
    write_results(repository.root, NEW, lr=0.00001)
    commit_and_tag(repository.root, "small")
    write_results(repository.root, NEW, code="two\n")
    for name in ("params.yaml", "dvc.lock"):  # as DVC writes it, which PyYAML reads as text
        path = repository.root / name
        path.write_text(path.read_text().replace("lr: 0.001", "lr: 1e-05"))
    text = repository.compare("small")
    assert "Params that differ: none." in text
    assert f"Code that differs: {CODE}." in text
    assert "Stale" not in text


def test_results_older_than_their_params_or_code_are_called_stale(repository: Repository) -> None:
    write_results(repository.root, NEW)
    (repository.root / "params.yaml").write_text("train: {lr: 0.1, seed: 0}\nfolds: [0, 1, 2, 3]\n")
    (repository.root / CODE).write_text("three\n")
    stale = f"Stale: the results of workspace were made before {CODE}, train.lr changed; run 'dvc repro' there."
    assert stale in repository.compare("old")


def test_folds_that_dvc_lock_keeps_of_an_older_run_do_not_count(repository: Repository) -> None:
    write_results(repository.root, NEW | {4: 0.9}, lr=0.1, data="bbbb.dir", code="zero\n")
    older = yaml.safe_load((repository.root / "dvc.lock").read_text())["stages"]["train_fold@4"]
    write_results(repository.root, NEW)
    lock = yaml.safe_load((repository.root / "dvc.lock").read_text())
    lock["stages"]["train_fold@4"] = older
    (repository.root / "dvc.lock").write_text(yaml.safe_dump(lock))
    text = repository.compare("old")
    assert "difference +0.0375" in text
    assert "Params that differ: none.\nCode that differs: none.\n" in text
    assert "Stale" not in text


def test_without_a_lock_it_says_what_is_unknown(repository: Repository) -> None:
    (repository.root / "dvc.lock").unlink()
    assert "No dvc.lock in workspace tells which params" in repository.compare("old")


def test_a_revision_that_is_not_there_is_one_sentence(repository: Repository) -> None:
    assert "error: nothing-such is neither a git revision nor an experiment here" in repository.refusal("nothing-such")
    assert "error: -x is neither" in repository.refusal("--", "-x")


def test_a_revision_without_results_is_named_with_the_file(repository: Repository) -> None:
    git(repository.root, "rm", "-rq", "--cached", "metrics")
    commit_without = git(repository.root, "commit-tree", git(repository.root, "write-tree"), "-m", "none")
    assert f"{commit_without[:7]} has no metrics/folds.csv" in repository.refusal(commit_without)
    (repository.root / "metrics/folds.csv").unlink()
    assert "workspace has no metrics/folds.csv" in repository.refusal("old")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"a,b\n1,2\n",
        b"fold,val_acc,val_loss\n0,0.5\n",
        *(b"fold,val_acc,val_loss\n%s,1.0\n" % cells for cells in (b"0,high", b"0,", b"0,nan", b",0.5", b"0.5,0.5")),
        b"fold,val_acc,val_loss\n0,0.5,%s\n" % (b"1" * 200_000),  # more than Python's csv takes
    ],
    ids=lambda content: content[:40].decode(errors="replace"),
)
def test_a_damaged_table_is_named_with_its_revision(repository: Repository, content: bytes) -> None:
    (repository.root / "metrics/folds.csv").write_bytes(content)
    assert "metrics/folds.csv of workspace is damaged" in repository.refusal("old")


@pytest.mark.parametrize(
    "lock",
    [
        "stages: []",
        "stages: {fetch: 3}",
        "stages: {fetch: {deps: [3]}}",
        "stages: {fetch: {outs: [{md5: a}]}}",
        "stages: {fetch: {params: {params.yaml: [3]}}}",
    ],
)
def test_a_damaged_lock_is_as_good_as_none(repository: Repository, lock: str) -> None:
    (repository.root / "dvc.lock").write_text(lock)
    assert "No dvc.lock in workspace tells which params" in repository.compare("old")


def test_a_lock_that_names_a_file_that_cannot_be_is_stale(repository: Repository) -> None:
    lock = repository.root / "dvc.lock"
    lock.write_text(lock.read_text().replace(CODE, r'"a\0.py"'))
    commit_and_tag(repository.root, "zero")
    assert "Stale: the results of zero were made before a" in repository.compare("old", "zero")


def test_runs_without_a_fold_in_common_are_refused(repository: Repository) -> None:
    write_results(repository.root, {7: 0.5})
    assert "old and workspace have no fold in common" in repository.refusal("old")


def test_a_shallow_clone_is_told_to_fetch_the_rest(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_results(repository.root, NEW)
    commit_and_tag(repository.root, "new")
    git(tmp_path, "clone", "-q", "--depth", "1", tmp_path.as_uri(), "shallow")
    monkeypatch.chdir(tmp_path / "shallow/project")
    assert "which is shallow: run 'git fetch --unshallow'" in repository.refusal("HEAD~1")


def test_outside_of_git_it_says_so(
    repository: Repository, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("bare"))
    assert "this is not a git repository" in repository.refusal("HEAD")


def test_an_experiment_is_found_by_its_name_and_an_ambiguous_one_refused(repository: Repository) -> None:
    def experiment(baseline: str, name: str) -> None:
        tree = git(repository.root, "write-tree")
        sha = git(repository.root, "commit-tree", tree, "-p", baseline, "-m", name)
        git(repository.root, "update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/{name}", sha)

    first = git(repository.root, "rev-parse", "HEAD")
    write_results(repository.root, NEW)
    git(repository.root, "add", "-A")
    experiment(first, "loose-crow")
    assert "difference +0.0375" in repository.compare("old", "loose-crow")

    commit_and_tag(repository.root, "new")
    experiment(git(repository.root, "rev-parse", "HEAD"), "loose-crow")
    write_results(repository.root, OLD)
    assert "loose-crow  workspace" in repository.compare("loose-crow")  # HEAD's own, as DVC has it
    commit_and_tag(repository.root, "newer")
    assert "loose-crow is the name of 2 experiments" in repository.refusal("loose-crow")


@pytest.mark.slow
def test_an_experiment_that_dvc_saved_is_found_by_its_name(repository: Repository) -> None:
    variables = environment(DVC_SITE_CACHE_DIR=str(repository.root.parent / "site"))

    def dvc(*arguments: str) -> None:
        command = [sys.executable, "-m", "dvc", *arguments]
        subprocess.run(command, cwd=repository.root, env=variables, check=True, capture_output=True)

    (repository.root / "dvc.lock").unlink()
    dvc("init", "-q", "--subdir")
    commit_and_tag(repository.root, "dvc")
    write_results(repository.root, NEW, lr=0.0003)
    (repository.root / "dvc.lock").unlink()
    dvc("exp", "save", "-n", "brown-hare", "-f")
    write_results(repository.root, OLD)
    assert "fold     old  brown-hare  difference" in repository.compare("old", "brown-hare")
    assert "difference +0.0375" in repository.compare("old", "brown-hare")


def test_neither_torch_nor_dvc_is_needed(repository: Repository) -> None:
    # What review.yml's job lacks. dvc, numpy, pyyaml and scipy are there, and what dvc brings: pydantic, tqdm, psutil.
    code = (
        "import sys;"
        "sys.modules.update(dict.fromkeys(['torch', 'dvc', 'sklearn', 'safetensors', 'wandb']));"
        "from audiocnn.cli.main import main; sys.exit(main(['compare', 'old']))"
    )
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=repository.root, env=environment(PYTHONPATH=str(ROOT)), capture_output=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(b"val_acc is the same in every fold.")
