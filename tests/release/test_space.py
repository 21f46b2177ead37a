"""`audiocnn publish --space`: a page to try the network on, in one commit, with what its visitors must know."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("onnxscript")
pytest.importorskip("soxr")

from audiocnn.cli.main import main
from audiocnn.config.train_params import TrainParams, params_digest
from audiocnn.inference.onnx_export import run_onnx
from tests.support.hub_server import FakeHub, Fault, Repository
from tests.support.paths import ROOT
from tests.support.prepared import CLASSES
from tests.support.training import MODEL
from tests.support.weights import (
    RECIPE,
    make_header,
    make_weights,
    without_header,
    write_all_clips,
    write_finished_run,
    write_weights,
)

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


# --- Several runs ---


def write_run(folder: str, folds: int = 3, **train: Any) -> None:
    """Weights as a run with these train params leaves them."""
    digest = params_digest(MODEL, TrainParams(**train))
    headers = [make_header(fold=fold, dataset_fold=fold + 1, params_digest=digest) for fold in range(folds)]
    write_weights(Path(folder), *(make_weights(10 + header.fold, header) for header in headers))


def test_the_networks_of_all_runs_vote_and_the_card_says_how_many(run: Path) -> None:
    write_run("again", seed=7)
    one = dry_run("one")
    both = dry_run("both", "--models", "models", "--models", "again")
    assert main(["export", "--onnx", "again.onnx", "--models", "again"]) == 0
    sound = np.random.default_rng(0).normal(size=(4, RECIPE.samples)).astype(np.float32)
    contents = (one["model.onnx"], Path("again.onnx").read_bytes(), both["model.onnx"])
    first, second, mean = (run_onnx(content, sound)[0] for content in contents)
    assert mean == pytest.approx((first + second) / 2, abs=1e-6)
    assert np.abs(first - mean).max() > 1e-3
    card = both["README.md"].decode()
    assert "These are results of single networks of one run." in card
    assert "Here the mean of the 6 networks of 2 runs that differ in their seed alone answers" in card
    assert "These are results of single networks. Here the mean of the 3 networks" in one["README.md"].decode()


def test_the_networks_on_all_clips_of_several_seeds_may_answer(run: Path) -> None:
    write_all_clips(run)
    first, second = "models/model_all_clips.safetensors", "again.safetensors"
    epochs = TrainParams(validation="none", epochs=6)  # the median of the folds'
    digests = (params_digest(MODEL, epochs.model_copy(update={"seed": seed})) for seed in (0, 5))
    header, other = (make_header(fold=-1, dataset_fold=-1, params_digest=digest) for digest in digests)
    Path(second).write_bytes(make_weights(8, other))
    card = dry_run("both", "--models", first, "--models", second)["README.md"].decode()
    assert "the mean of the 2 networks of 2 runs that differ in their seed alone" in card
    Path(second).write_bytes(make_weights(8, header))
    assert publish("--models", first, "--models", second, "--dry-run", "same") == 1


def test_the_card_links_to_the_finished_run_and_to_the_others_that_are_on_the_hub(hub: FakeHub, run: Path) -> None:
    write_run("again", seed=7)
    for name, folder in (("owner/net", "models"), ("owner/again", "again")):
        hub.models[name] = Repository({path.name: path.read_bytes() for path in Path(folder).glob("*.safetensors")})
    expected = {
        ("models", "hf://owner/again"): [NAME, "owner/again"],
        ("hf://owner/net", "again"): ["owner/net"],
        ("hf://owner/net", "hf://owner/again"): ["owner/net", "owner/again"],
    }
    for case, (places, links) in enumerate(expected.items()):
        card = dry_run(str(case), *(word for place in places for word in ("--models", place)))["README.md"].decode()
        assert yaml.safe_load(card.split("---\n")[1])["models"] == links
        assert ", ".join(f"[{link}](https://huggingface.co/{link})" for link in links) + "." in card


@pytest.mark.parametrize(
    ("train", "places", "sentence"),
    [
        ({"seed": 1, "lr": 0.5}, ["models", "again"], "again differs from the run in metrics/ in more than train.seed"),
        ({"seed": 10_000}, ["models", "again"], "more than train.seed (0 to 9999 are tried)"),
        ({"seed": 1}, ["again", "models"], "again is of other params or classes than metrics/"),
        ({"seed": 0}, ["models", "again"], "two of models, again are of one train.seed"),
        ({"seed": 1}, ["models", "again", "again"], "two of models, again, again are of one train.seed"),
    ],
)
def test_a_run_that_differs_in_more_than_its_seed_or_not_at_all_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str], train: dict[str, Any], places: list[str], sentence: str
) -> None:
    write_run("again", **train)
    assert publish(*(word for place in places for word in ("--models", place)), "--dry-run", "space") == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not Path("space").exists()


def test_a_further_run_of_other_classes_or_without_a_header_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = params_digest(MODEL, TrainParams(seed=1))
    classes = make_weights(0, make_header(params_digest=digest, classes=[*CLASSES[:-1], "another"]))
    for content in (classes, without_header(make_weights(0))):
        write_weights(Path("again"), content)
        assert publish("--models", "models", "--models", "again", "--dry-run", "space") == 1
        assert "again differs from the run in metrics/ in more than train.seed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--space", "try"], "--space is 'try', expected OWNER/NAME"),
        (["--space", NAME, "--dry-run", "models"], "models already exists"),
        (["--repo", NAME, "--models", "models"], "--models is of a Space"),
        (["--repo", NAME, "--models", "models", "--models", "again"], "--models is of a Space"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(
    run: Path, capsys: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    assert main(["publish", *options]) == 1
    assert sentence in capsys.readouterr().err
