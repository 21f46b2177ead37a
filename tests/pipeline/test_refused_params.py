"""A value that a stage refuses costs nothing: what DVC deleted before the stage began is there again."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from tests.support.clones import Project

pytestmark = pytest.mark.slow

KEPT = ("data/raw", "data/prepared", "models", "results", "metrics")


@pytest.fixture
def copied(trained: Project, tmp_path: Path) -> Project:
    return trained.copy(tmp_path / "clone")


def files(project: Project) -> dict[str, str]:
    found = [path for folder in KEPT for path in (project.path / folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(project.path)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("train.lr=fast", "error: params.yaml: train.lr is 'fast', expected a valid number."),
        ("folds=[0,12]", "set folds: [0, 1, 2]."),
        ("folds=[0,fast]", "error: params.yaml: folds.1 is 'fast'"),
        ("data.source=not_there", "there is no folder"),
    ],
)
def test_a_mistyped_value_deletes_nothing(copied: Project, change: str, sentence: str) -> None:
    before = files(copied)
    lock = copied.lock()
    assert sentence in copied.dvc("exp", "run", "-S", change, expect=255)
    assert files(copied) == before
    assert copied.lock() == lock
    copied.run("git", "checkout", "-q", "HEAD", "params.yaml")
    assert "didn't change" in copied.dvc("repro")


@pytest.mark.parametrize("changes", [["folds=[0,12]"], ["folds=[0]", "data.source=not_there"]])
def test_after_an_experiment_it_deletes_no_folds_that_it_does_not_list(copied: Project, changes: list[str]) -> None:
    copied.dvc("exp", "run", "-S", "train.lr=0.02")  # from here on `dvc exp run` deletes the outs of unlisted folds
    before = files(copied)
    copied.dvc("exp", "run", *(word for change in changes for word in ("-S", change)), expect=255)
    assert files(copied) == before


def test_what_aggregate_refuses_costs_no_histories(copied: Project) -> None:
    before = files(copied)
    result = copied.path / "results/folds/fold_1.json"
    result.chmod(0o644)
    result.write_text("{}")
    copied.dvc("repro", "--single-item", "aggregate", expect=255)
    assert {name for name, digest in before.items() if files(copied).get(name) != digest} == {
        "results/folds/fold_1.json"
    }


def test_a_listing_in_the_cache_that_leads_elsewhere_is_not_followed(copied: Project) -> None:
    cache = copied.path / ".dvc/cache/files/md5"
    for path in cache.rglob("*.dir"):
        entries = json.loads(path.read_bytes())
        path.unlink()
        path.write_text(json.dumps([{**entry, "relpath": f"../../../{entry['relpath']}"} for entry in entries]))
    shutil.rmtree(copied.path / "data/prepared")
    copied.run("python", "-c", "from audiocnn.folds.restore import restore_outs; restore_outs()")
    assert not (copied.path / "data/prepared").exists()
    assert not list(copied.path.parent.glob("*.npy"))
