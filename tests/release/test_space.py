"""`audiocnn publish --space`: a page to try the network on, in one commit, with what its visitors must know."""

import json
from pathlib import Path

import pytest
import yaml

pytest.importorskip("onnxscript")
pytest.importorskip("soxr")

from audiocnn.cli.main import main
from tests.support.hub_server import FakeHub, Fault, Repository
from tests.support.paths import ROOT
from tests.support.prepared import CLASSES
from tests.support.weights import make_header, make_weights, write_all_clips, write_finished_run, write_weights

NAME = "owner/try"
FILES = ["README.md", "app.py", "model.onnx", "requirements.txt"]


def publish(*options: str) -> int:
    return main(["publish", "--space", NAME, *options])


def dry_run(folder: str = "space", *options: str) -> dict[str, bytes]:
    assert publish("--dry-run", folder, *options) == 0
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_a_dry_run_writes_the_page_and_the_network_that_export_writes(run: Path) -> None:
    files = dry_run()
    assert sorted(files) == FILES
    for name in ("app.py", "requirements.txt"):
        assert files[name] == (ROOT / "examples/space" / name).read_bytes()
    assert main(["export", "--onnx", "exported.onnx"]) == 0
    assert files["model.onnx"] == (run / "exported.onnx").read_bytes()


def test_the_hub_is_told_how_to_build_it(run: Path) -> None:
    files = dry_run()
    told = yaml.safe_load(files["README.md"].decode().split("---\n")[1])
    assert (told["title"], told["sdk"], told["app_file"], told["models"]) == ("try", "gradio", "app.py", [NAME])
    assert f"gradio=={told['sdk_version']}" in files["requirements.txt"].decode().splitlines()
    assert isinstance(told["python_version"], str)


@pytest.mark.parametrize(("validation", "name"), [("held_out", "val_acc"), ("previous_fold", "test_acc")])
def test_its_card_says_where_the_accuracy_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, validation: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_finished_run(tmp_path, validation=validation)
    card = dry_run()["README.md"].decode()
    accuracy = json.loads((tmp_path / "metrics/summary.json").read_text())[name]
    assert f"accuracy (`{name}`) **{accuracy['mean']:.4f} ± {accuracy['std']:.4f}**" in card
    assert ("optimistic" in card) == (validation == "held_out")
    assert "The author's own files; it gave 72 held-out clips in 3 folds" in card
    assert "the mean of the 3 networks of all folds answers, which has no held-out clips" in card
    assert f"(https://huggingface.co/{NAME})" in card


def test_it_goes_into_a_space_of_gradio_in_one_commit(hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert publish() == 0
    assert hub.spaces[NAME].commits == [FILES]
    assert hub.spaces[NAME].sdk == "gradio"
    assert hub.spaces[NAME].files == dry_run()
    assert NAME not in hub.models
    assert f"4 files in one commit: {hub.url}/spaces/{NAME}/commit/" in capsys.readouterr().out


def test_a_space_that_is_there_keeps_its_other_files(hub: FakeHub) -> None:
    hub.spaces[NAME] = Repository({"app.py": b"old", "notes.md": b"kept"})
    assert publish() == 0
    assert sorted(hub.spaces[NAME].files) == sorted([*FILES, "notes.md"])
    assert hub.spaces[NAME].files["app.py"] != b"old"


def test_a_push_that_fails_leaves_nothing_and_says_so(hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.faults.append(Fault("status", path="/commit/", status=403))
    assert publish() == 1
    assert f"cannot write to space {NAME}: " in capsys.readouterr().err
    assert not hub.spaces[NAME].files


def test_weights_on_the_hub_are_taken_and_linked_to(hub: FakeHub, run: Path) -> None:
    weights = {path.name: path.read_bytes() for path in (run / "models").glob("*.safetensors")}
    hub.models["owner/net"] = Repository(weights)
    files = dry_run("space", "--models", "hf://owner/net")
    assert files["model.onnx"] == dry_run("other")["model.onnx"]
    assert b"(https://huggingface.co/owner/net)" in files["README.md"]
    one = dry_run("one", "--models", "hf://owner/net/model_fold_0_best.safetensors")
    assert b"(https://huggingface.co/owner/net)" in one["README.md"]


def test_the_demo_goes_out_only_when_it_is_meant_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_finished_run(tmp_path, source="demo")
    assert publish("--dry-run", "space") == 1
    assert "--yes-this-is-the-demo" in capsys.readouterr().err
    assert not Path("space").exists()
    card = dry_run("space", "--yes-this-is-the-demo")["README.md"].decode()
    assert "synthesised sounds. These weights know nothing of real ones." in card


def test_weights_whose_accuracy_is_unknown_are_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_weights(run / "others", make_weights(0))
    assert publish("--models", "others", "--dry-run", "space") == 0  # of the same params and classes
    for others in ({"params_digest": "0" * 64}, {"classes": [*CLASSES[:-1], "another"]}):
        write_weights(run / "others", make_weights(0, make_header(**others)))
        assert publish("--models", "others", "--dry-run", "space_2") == 1
        assert "is of other params or classes than metrics/" in capsys.readouterr().err


def test_the_network_on_all_clips_may_answer_and_one_of_another_run_is_in_nobodys_way(run: Path) -> None:
    write_all_clips(run)
    all_clips = "models/model_all_clips.safetensors"
    assert "Here one network answers" in dry_run("one", "--models", all_clips)["README.md"].decode()
    Path(all_clips).write_bytes(make_weights(8))
    assert sorted(dry_run("all")) == FILES


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--space", "try"], "--space is 'try', expected OWNER/NAME"),
        (["--space", NAME, "--dry-run", "models"], "models already exists"),
        (["--repo", NAME, "--models", "models"], "--models is of a Space"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(
    run: Path, capsys: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    assert main(["publish", *options]) == 1
    assert sentence in capsys.readouterr().err
