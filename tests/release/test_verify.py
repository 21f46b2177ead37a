"""`audiocnn verify`: a release made again is identical, or what differs and why is said. Nothing of it is trusted."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.clones import Project, make_clone
from tests.support.hub_server import FakeHub, Repository

NAME = "owner/net"
WEIGHTS = "model_fold_0_best.safetensors"
FILE = {"sha256": "0" * 64, "size": 1}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def author(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone that has published the demo, with a tiny network, into the folder `release`."""
    project = make_clone(tmp_path_factory.mktemp("author") / "clone")
    project.set_params(data={"source": "demo"}, train={"epochs": 2, "batch_size": 32})
    project.dvc("repro")
    project.commit("results")
    cli(project, "publish", "--repo", NAME, "--dry-run", "release", "--yes-this-is-the-demo")
    return project


@pytest.fixture
def reader(author: Project, hub_server: FakeHub, tmp_path: Path) -> Project:
    """Another clone of the same code, and a Hub that has the release."""
    hub_server.reset()
    hub_server.models[NAME] = Repository(files=released(author))
    hub = {"HF_ENDPOINT": hub_server.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": ""}
    project = make_clone(tmp_path / "clone")
    return Project(project.path, hub)


def released(author: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (author.path / "release").iterdir()}


def cli(project: Project, *words: str, expect: int = 0) -> str:
    return project.run("python", "-m", "audiocnn.cli", *words, expect=expect)


def with_origin(files: dict[str, bytes], change: Callable[[dict[str, Any]], object]) -> dict[str, bytes]:
    origin = json.loads(files["origin.json"])
    change(origin)
    return {**files, "origin.json": json.dumps(origin).encode()}


def test_a_release_on_the_hub_is_identical_and_the_second_time_nothing_is_trained(reader: Project) -> None:
    reader.set_runtime(hub={"model_repo": "me/mine"})  # verify uploads nothing, whatever is configured
    first = cli(reader, "verify", f"hf://{NAME}")
    assert "identical: weights and result of fold 0 are the released ones, byte for byte." in first
    assert re.search(r"^code +commit [0-9a-f]{12} +the same$", first, re.MULTILINE)
    assert "fold 0: epoch  1" in first
    assert "fold 1:" not in first
    assert "hub:" not in first
    again = cli(reader, "verify", f"hf://{NAME}")
    assert "identical" in again
    assert "epoch" not in again
    assert not (reader.path / "models").exists()


def test_all_folds_of_a_folder_are_identical(reader: Project, author: Project) -> None:
    said = cli(reader, "verify", str(author.path / "release"), "--all", "--work-dir", "elsewhere")
    assert "identical: weights and result of fold 0, 1, 2 are the released ones, byte for byte." in said
    assert (reader.path / "elsewhere/checkpoints").is_dir()


def test_one_flipped_weight_is_said_to_be_the_releases_own_fault(
    reader: Project, author: Project, hub_server: FakeHub
) -> None:
    weights = bytearray(released(author)[WEIGHTS])
    weights[-1] ^= 1
    hub_server.models[NAME] = Repository(files={**released(author), WEIGHTS: bytes(weights)})
    said = cli(reader, "verify", f"hf://{NAME}", expect=1)
    assert f"{WEIGHTS} in hf://{NAME} is not the file that its origin.json records" in said
    assert "what was trained here is what it records, byte for byte" in said


def test_other_data_are_refused_before_anything_is_trained(reader: Project) -> None:
    said = cli(reader, "verify", f"hf://{NAME}", "--data", "dataset", expect=1)
    assert re.search(r"error: \w+.pkl is not the released one: its sha256 is [0-9a-f]{64} here", said)
    assert "epoch" not in said


def test_another_version_of_torch_and_other_code_are_named_as_reasons(
    reader: Project, author: Project, hub_server: FakeHub
) -> None:
    files = with_origin(released(author), lambda origin: origin["versions"].update(torch="2.6.0"))
    hub_server.models[NAME] = Repository(files=files)
    network = reader.path / "audiocnn/model/quick_on_cpu.py"
    network.write_text(network.read_text().replace("_BN_MOMENTUM = 0.1", "_BN_MOMENTUM = 0.2"))
    said = cli(reader, "verify", f"hf://{NAME}", expect=1)
    assert re.search(r"^torch +2.6.0 +differs: ", said, re.MULTILINE)
    assert f"{WEIGHTS} differs: sha256" in said
    assert re.search(r"best epoch \d with val_acc 0.\d{4} here, \d with 0.\d{4} released", said)
    reasons = said.split("likeliest reasons, in order:\n")[1].splitlines()
    assert reasons[0].startswith("  code: audiocnn/model/quick_on_cpu.py; 'git checkout ")
    assert reasons[1].startswith("  version of torch: ")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda origin: origin["data"].update(files={}), "does not pin its data"),
        (lambda origin: origin["params"]["model"].update(hidden_units=10**10), "asks for model.hidden_units"),
        (lambda origin: origin["params"]["train"].update(epochs=10**9), "asks for train.epochs"),
        (lambda origin: origin["params"]["model"].update(encoder_channels=[1, 1, 10**6]), "more than 4096"),
        (lambda origin: origin["folds"].update({"7": origin["folds"]["0"]}), "has fold 7, which its params do not"),
        (lambda origin: origin["folds"].update({"../../x": origin["folds"]["0"]}), "is not one of this version"),
        (lambda origin: origin["data"].update(kind="hub", repository="../../etc", commit="x"), "names no repository"),
        (lambda origin: origin["data"]["files"].update({"../x.pkl": FILE}), "../x.pkl"),
        (
            lambda origin: origin["data"]["files"].update({"\x1b[2Jx": {"sha256": "0" * 64, "size": 1}}),
            "pins \ufffd[2Jx",
        ),
        (lambda origin: origin["code"].update(commit="main; touch x"), "is not one of this version"),
        (lambda origin: origin.update(format=2), "is not one of this version"),
        (lambda origin: origin.update(more="x" * (1 << 20)), "larger than 1048576 bytes"),
    ],
)
def test_a_hostile_release_is_one_sentence(
    author: Project, tmp_path: Path, change: Callable[[dict[str, Any]], object], sentence: str
) -> None:
    folder = tmp_path / "release"
    folder.mkdir()
    for name, content in with_origin(released(author), change).items():
        (folder / name).write_bytes(content)
    said = cli(author, "verify", str(folder), "--work-dir", str(tmp_path / "work"), expect=1)
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert sentence in errors[0]
    assert "Traceback" not in said
    assert not list(tmp_path.glob("*.pkl"))


def test_a_release_without_origin_and_a_place_that_is_none_are_one_sentence(author: Project, tmp_path: Path) -> None:
    shutil.copytree(author.path / "release", tmp_path / "old")
    (tmp_path / "old/origin.json").unlink()
    assert "has no origin.json, which says what it was made from" in cli(author, "verify", f"{tmp_path}/old", expect=1)
    assert "is not a folder here" in cli(author, "verify", "nowhere", expect=1)
    assert "is not a release: expected hf://OWNER/NAME" in cli(author, "verify", "hf://x", expect=1)


def test_ones_own_files_are_asked_for_and_then_verified(tmp_path: Path) -> None:
    project = make_clone(tmp_path / "clone")  # its source is the folder `dataset`
    project.dvc("repro")
    cli(project, "publish", "--repo", NAME, "--dry-run", "release")
    assert "name your copy of them with --data DIR" in cli(project, "verify", "release", expect=1)
    assert "identical" in cli(project, "verify", "release", "--data", "dataset")
