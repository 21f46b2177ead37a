"""Fetching the demo or a folder: what data/raw holds afterwards, and what is refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from audiocnn.config.data_params import DataParams
from audiocnn.data.fetch import fetch, parse_source, pin_lines, summary
from audiocnn.errors import UserError
from tests.support.paths import ROOT
from tests.support.processes import environment

FILES = {"features.pkl": b"f" * 3000, "labels.pkl": b"l", "folds.pkl": b"o", "class_mapping.pkl": b"c"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder dataset, `mine`, in the current directory."""
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine"
    mine.mkdir()
    for name, content in FILES.items():
        (mine / name).write_bytes(content)
    return mine


def _contents() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path("data/raw").iterdir() if path.name != "source.json"}


def test_a_folder_gives_its_pickles_and_nothing_else(folder: Path) -> None:
    (folder / "notes.txt").write_text("x")
    (folder / "recipe.json").write_text("{}")
    fetch(DataParams(source="mine"))
    assert _contents() == FILES | {"recipe.json": b"{}"}
    assert [path.name for path in Path("data").iterdir()] == ["raw"]


def test_the_same_content_gives_the_same_source_json_wherever_it_came_from(folder: Path) -> None:
    fetch(DataParams(source="mine"))
    first = Path("data/raw/source.json").read_bytes()
    folder.rename("elsewhere")
    fetch(DataParams(source=str(Path("elsewhere").absolute())))
    assert Path("data/raw/source.json").read_bytes() == first
    assert json.loads(first)["kind"] == "folder"


def test_class_names_may_be_absent_and_leave_with_the_dataset_that_had_them(folder: Path) -> None:
    fetch(DataParams(source="mine"))
    (folder / "class_mapping.pkl").unlink()
    fetch(DataParams(source="mine"))
    assert sorted(_contents()) == ["features.pkl", "folds.pkl", "labels.pkl"]


def test_links_to_files_are_followed_and_other_things_refused(folder: Path) -> None:
    (folder / "labels.pkl").rename("labels-elsewhere.pkl")
    (folder / "labels.pkl").symlink_to("../labels-elsewhere.pkl")
    fetch(DataParams(source="mine"))
    assert not Path("data/raw/labels.pkl").is_symlink()
    (folder / "folds.pkl").unlink()
    os.mkfifo(folder / "folds.pkl")
    with pytest.raises(UserError, match=r"mine/folds\.pkl is not a regular file"):
        fetch(DataParams(source="mine"))
    assert _contents() == FILES


def test_a_folder_without_features_is_refused_and_the_last_data_stay(folder: Path) -> None:
    fetch(DataParams(source="mine"))
    (folder / "features.pkl").unlink()
    with pytest.raises(UserError, match=r"^mine has no features\.pkl: expected features\.pkl, labels\.pkl, folds\.pkl"):
        fetch(DataParams(source="mine"))
    assert _contents() == FILES
    assert not Path("data/staging/new").exists()


def test_a_pin_accepts_its_bytes_and_refuses_others(folder: Path) -> None:
    record = fetch(DataParams(source="mine"))
    digests = {name: file.sha256 for name, file in record.files.items()}
    fetch(DataParams(source="mine", sha256=digests))
    (folder / "folds.pkl").write_bytes(b"other")
    with pytest.raises(UserError, match=rf"folds\.pkl of mine is refused: .*, expected {digests['folds.pkl']}"):
        fetch(DataParams(source="mine", sha256=digests))
    assert _contents() == FILES


def test_a_pin_for_a_file_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match=r"names recipe\.json, which mine does not have"):
        fetch(DataParams(source="mine", sha256={"recipe.json": "0" * 64}))


def test_the_lines_that_would_pin_are_given_until_they_are_used(folder: Path) -> None:
    unpinned = DataParams(source="mine")
    record = fetch(unpinned)
    lines = pin_lines(record, unpinned)
    assert lines is not None
    assert f"    labels.pkl: {record.files['labels.pkl'].sha256}" in lines.splitlines()
    pinned = DataParams(source="mine", sha256={name: file.sha256 for name, file in record.files.items()})
    assert pin_lines(record, pinned) is None


def test_the_demo_is_fetched_by_default_and_needs_no_pin(folder: Path) -> None:
    record = fetch(DataParams())
    assert record.kind == "demo"
    assert set(FILES) <= set(_contents())
    assert pin_lines(record, DataParams()) is None
    assert summary(record).startswith("fetched from demo: class_mapping.pkl ")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("dmo", "no folder .*dmo: did you mean demo"),
        ("hf:/datasets/a/b", "expected hf://datasets/OWNER/NAME@REVISION"),
        ("hf://datasets/a", "expected hf://datasets/OWNER/NAME@REVISION"),
        ("hf://models/a/b", "expected hf://datasets/OWNER/NAME@REVISION"),
        ("hf://datasets/a/b/file.pkl", "expected hf://datasets/OWNER/NAME@REVISION"),
        ("https://huggingface.co/datasets/a/b", "did you mean hf://datasets/a/b@main"),
        ("https://me:pass@word@example.com/a", "data.source is 'https://example.com/a'"),
        ("s3://bucket/a", "expected hf://datasets/OWNER/NAME@REVISION"),
        ("mine/labels.pkl", "which is a file: give the folder"),
        ("nowhere", "there is no folder .*nowhere: Expected demo"),
    ],
)
def test_a_mistyped_source_is_said_to_be_one(folder: Path, source: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        parse_source(source)


def test_a_temporary_experiment_finds_the_folder_beside_the_project(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = folder.parent / "project/.dvc/tmp/exps/standalone/tmp1"
    experiment.mkdir(parents=True)
    monkeypatch.chdir(experiment)
    source = parse_source("../mine")
    assert isinstance(source, Path)
    assert source.resolve() == folder


@pytest.mark.parametrize("place", ["standalone/tmp1", "tmp1"])
def test_below_a_repositorys_root_a_temporary_experiment_finds_the_folder_in_the_project(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dvc exp run --temp`, and a queued experiment: .dvc is at the root of git, the project is a folder of it."""
    (tmp_path / "mono/sub/sound/mine").mkdir(parents=True)
    experiment = tmp_path / "mono/.dvc/tmp/exps" / place / "sub/sound"
    experiment.mkdir(parents=True)
    monkeypatch.chdir(experiment)
    assert parse_source("mine") == tmp_path / "mono/sub/sound/mine"


def test_a_data_folder_that_is_a_link_is_refused_and_a_link_inside_it_is_taken(folder: Path, tmp_path: Path) -> None:
    for name in ("far", "far_raw"):
        (tmp_path / name).mkdir()
    Path("data").symlink_to(tmp_path / "far")
    with pytest.raises(UserError, match=r"data/ is a link, and DVC takes no outs behind one: make it a folder"):
        fetch(DataParams(source="mine"))
    Path("data").unlink()
    Path("data").mkdir()
    Path("data/raw").symlink_to(tmp_path / "far_raw")
    fetch(DataParams(source="mine"))
    assert _contents() == FILES


def test_a_swap_that_was_killed_between_its_renames_is_undone(folder: Path) -> None:
    fetch(DataParams(source="mine"))
    Path("data/staging").mkdir()
    Path("data/raw").rename("data/staging/old")
    with pytest.raises(UserError, match="no folder"):
        fetch(DataParams(source="gone"))
    assert _contents() == FILES


@pytest.mark.slow
def test_a_kill_at_any_instant_leaves_the_old_data_the_new_or_none(folder: Path) -> None:
    other = {name: content * 2 for name, content in FILES.items()}
    Path("params.yaml").write_text("folds: [0]\ndata: {source: mine}\n")
    command = [sys.executable, "-c", "import time, stages.fetch as f; print(flush=True); f.main()"]
    for attempt in range(12):
        for name, content in (FILES if attempt % 2 else other).items():
            (folder / name).write_bytes(content)
        stage = subprocess.Popen(command, env=environment(PYTHONPATH=str(ROOT)), stdout=subprocess.PIPE)
        assert stage.stdout is not None
        stage.stdout.readline()
        time.sleep(attempt * 0.003)
        stage.send_signal(signal.SIGKILL)
        stage.communicate()
        if Path("data/raw").exists():
            assert _contents() in (FILES, other)
            assert set(json.loads(Path("data/raw/source.json").read_text())["files"]) == set(FILES)
    fetch(DataParams(source="mine"))
    assert _contents() == FILES
