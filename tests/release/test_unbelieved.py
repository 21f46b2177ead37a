"""A release that lies, asks for too much or says too little is one sentence, before anything is trained or written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audiocnn.checkpoints.key import code_digests, fold_key
from audiocnn.cli.main import main
from audiocnn.config.train_params import TrainParams
from audiocnn.data.prepared import read_meta
from tests.support.hub_server import FakeHub, Repository, use_in_this_process
from tests.support.prepared import write_prepared
from tests.support.training import MODEL
from tests.support.weights import write_finished_run

NAME = "owner/net"
WEIGHTS = "model_fold_0_best.safetensors"
FILE = {"sha256": "0" * 64, "size": 1}
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `release` in the current folder: what publish writes of a finished run that pins its data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUDIOCNN_DEBUG", raising=False)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    write_finished_run(tmp_path)
    write_prepared(tmp_path / "data/prepared")
    (tmp_path / "data/raw").mkdir()
    (tmp_path / "data/raw/source.json").write_text(json.dumps({"kind": "folder", "files": {"labels.pkl": FILE}}))
    assert publish() == 0
    return tmp_path / "release"


def publish(folder: str = "release") -> int:
    return main(["publish", "--repo", NAME, "--dry-run", folder])


def verify(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one sentence that a verify ends with."""
    capsys.readouterr()
    assert main(["verify", *words]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert error.rstrip("\n").isprintable()
    assert len(error) < 500
    return error


def change_origin(release: Path, change: Change) -> None:
    origin = json.loads((release / "origin.json").read_text())
    change(origin)
    (release / "origin.json").write_text(json.dumps(origin))


REFUSED: dict[str, tuple[Change, str]] = {
    "no pins": (lambda origin: origin["data"].update(files={}), "does not pin its data"),
    "no digest of the prepared data": (lambda origin: origin["data"].update(meta=None), "does not pin its data"),
    "many units": (lambda origin: origin["params"]["model"].update(hidden_units=10_000), "asks for model.hidden_units"),
    "a number of 4000 digits": (
        lambda origin: origin["params"]["train"].update(epochs=10**4000),
        "params.train.epochs",
    ),
    "large batches": (lambda origin: origin["params"]["train"].update(batch_size=100_000), "asks for train.batch_size"),
    "many channels": (
        lambda origin: origin["params"]["model"].update(encoder_channels=[1, 1, 2000]),
        "asks for model.encoder_channels 2000, more than the 1024",
    ),
    "unknown params": (lambda origin: origin["params"].update(command="rm"), "params.command: Extra inputs"),
    "no folds": (lambda origin: origin.update(folds={}), "other folds than those that its params list"),
    "one fold of three": (lambda origin: origin["folds"].pop("1"), "other folds than those that its params list"),
    "one fold more": (lambda origin: origin["folds"].update({"7": origin["folds"]["0"]}), "other folds than those"),
    "a path for a fold": (lambda origin: origin["folds"].update({"../x": origin["folds"]["0"]}), "not one of this ver"),
    "a path for a repository": (
        lambda origin: origin["data"].update(kind="hub", repository="../../etc", commit="0" * 40),
        "names no repository",
    ),
    "a branch for a commit": (
        lambda origin: origin["data"].update(kind="hub", repository="owner/x", commit="main"),
        "data.commit: String should match pattern",
    ),
    "a path for a file": (lambda origin: origin["data"]["files"].update({"../x.pkl": FILE}), "pins ../x.pkl, which"),
    "a name that clears the terminal": (
        lambda origin: origin["data"]["files"].update({"\x1b[2Jx": FILE}),
        "pins \ufffd[2Jx, which",
    ),
    "a digest that says all is well": (
        lambda origin: origin["data"]["files"]["labels.pkl"].update(sha256="\x1b[2J\nidentical"),
        "data.files.labels.pkl.sha256: String should match pattern",
    ),
    "a command for a commit": (lambda origin: origin["code"].update(commit="main; touch x"), "code.commit: String"),
    "a long name": (lambda origin: origin["versions"].update({"x" * 1000: "1"}), "not one of this version"),
    "another format": (lambda origin: origin.update(format=2), "format: Input should be 1"),
    "many bytes": (lambda origin: origin.update(more="x" * (1 << 20)), "too many for what it should hold"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_hostile_release_is_refused_in_one_sentence(
    release: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change, sentence = REFUSED[what]
    change_origin(release, change)
    before = sorted(Path().rglob("*"))
    assert sentence in verify(capsys, "release", "--all", "--data", "data/raw")
    assert sorted(Path().rglob("*")) == before  # nothing is written


@pytest.mark.parametrize("content", [b"", b"[", b"[" * 100_000, b"\xff", b'{"format": 1}', b"null"])
def test_an_origin_that_is_none_is_refused_in_one_sentence(
    release: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (release / "origin.json").write_bytes(content)
    assert "origin.json of release is not one of this version (" in verify(capsys, "release")


def test_a_large_origin_on_the_hub_is_not_downloaded(
    release: Path, hub_server: FakeHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub_server.reset()
    use_in_this_process(hub_server, release.parent / "cache", monkeypatch)
    hub_server.models[NAME] = Repository({"origin.json": b" " * (2 << 20)})
    assert "origin.json has 2097152 bytes, too many for what it should hold" in verify(capsys, f"hf://{NAME}")
    assert not [path for _, path in hub_server.requests if path.endswith("origin.json")]


def test_a_release_that_lacks_a_file_and_a_place_that_is_none_are_one_sentence(
    release: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "release has no fold 7: it has 0, 1, 2." in verify(capsys, "release", "--folds", "0", "7")
    (release / WEIGHTS).unlink()
    assert f"release has no {WEIGHTS}, whose bytes are compared" in verify(capsys, "release")
    (release / "origin.json").unlink()
    assert "has no origin.json, which says what it was made from" in verify(capsys, "release")
    assert "is not a folder here" in verify(capsys, "nowhere")
    assert "is not a release: expected hf://OWNER/NAME" in verify(capsys, "hf://x")


def test_ones_own_files_must_be_named_and_be_there(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "name your copy of them with --data DIR" in verify(capsys, "release")
    assert "--data is nowhere, which is not a folder here" in verify(capsys, "release", "--data", "nowhere")


@pytest.mark.parametrize("folder", [".", "models", "params.yaml", "release"])
def test_a_folder_with_other_files_is_not_worked_in(
    release: Path, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record = Path("data/raw/source.json").read_bytes()
    assert f"{folder} holds other files" in verify(capsys, "release", "--work-dir", folder, "--data", "data/raw")
    assert Path("data/raw/source.json").read_bytes() == record


def test_publish_says_when_what_is_here_did_not_make_the_results(
    release: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert publish("other") == 0  # the results of these tests are made up
    assert "note: whoever verifies this release may get other results: code, data or torch" in capsys.readouterr().err
    for fold in (0, 1, 2):
        path = Path(f"results/folds/fold_{fold}.json")
        key = fold_key(fold, MODEL, TrainParams(), read_meta(Path("data/prepared")), "cpu", code_digests())
        path.write_text(json.dumps(json.loads(path.read_text()) | {"key": key}))
    assert publish("same") == 0
    assert "note: whoever verifies" not in capsys.readouterr().err
    Path("data/raw/source.json").unlink()
    assert publish("unpinned") == 0
    assert "note: nobody can verify this release: data/raw and data/prepared" in capsys.readouterr().err


def test_what_made_a_release_is_the_same_text_each_time(release: Path) -> None:
    assert publish("again") == 0
    assert (release / "origin.json").read_bytes() == Path("again/origin.json").read_bytes()
    assert str(release.parent) not in (release / "origin.json").read_text()


def test_names_of_recordings_are_not_published_not_even_as_a_digest(release: Path) -> None:
    files = {"labels.pkl": FILE, "clips.csv": {"sha256": "c" * 64, "size": 7}}
    Path("data/raw/source.json").write_text(json.dumps({"kind": "folder", "files": files}))
    Path("data/raw/clips.csv").write_text("file,label\nanna at home.wav,0\n")
    assert publish("named") == 0
    for path in Path("named").iterdir():
        content = path.read_bytes()
        assert b"clips.csv" not in content
        assert b"c" * 64 not in content
        assert b"anna" not in content
    assert "labels.pkl" in Path("named/origin.json").read_text()
