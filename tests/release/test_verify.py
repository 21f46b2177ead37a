"""`audiocnn verify`: a release made again is identical, or what differs and why is said. Nothing of it is trusted."""

import hashlib
import json
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audiocnn.files import json_text
from tests.support.clones import Project, epochs_trained, make_clone
from tests.support.hub_server import COMMIT, FakeHub, Repository

NAME = "owner/net"
WEIGHTS = "model_fold_0_best.safetensors"
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


def write(files: dict[str, bytes], folder: Path) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def with_origin(files: dict[str, bytes], change: Callable[[dict[str, Any]], object]) -> dict[str, bytes]:
    origin = json.loads(files["origin.json"])
    change(origin)
    return {**files, "origin.json": json.dumps(origin).encode()}


def test_a_release_on_the_hub_is_identical_and_the_second_time_nothing_is_trained(reader: Project) -> None:
    reader.set_runtime(hub={"model_repo": "me/mine"}, wandb={"mode": "online"})
    reader.environment.update(WANDB_MODE="online", WANDB_API_KEY="0" * 40, WANDB_BASE_URL="http://127.0.0.1:9")
    first = cli(reader, "verify", f"hf://{NAME}")
    assert "identical: weights and result of fold 0 are the released ones, byte for byte." in first
    assert re.search(r"^code +commit [0-9a-f]{12} +the same$", first, re.MULTILINE)
    assert "fold 0: epoch  1" in first
    assert "fold 1:" not in first
    assert "hub:" not in first  # verify uploads nothing, whatever is configured
    assert "W&B" not in first
    assert re.search(r"^data +demo, [0-9.]+ MB +made here, to be checked by sha256$", first, re.MULTILINE)
    again = cli(reader, "verify", f"hf://{NAME}")
    assert "identical" in again
    assert "epoch" not in again
    assert not (reader.path / "models").exists()


def test_all_folds_of_a_folder_are_identical(reader: Project, author: Project) -> None:
    said = cli(reader, "verify", str(author.path / "release"), "--all", "--work-dir", "elsewhere")
    assert "identical: weights and result of folds 0, 1, 2 are the released ones, byte for byte." in said
    assert (reader.path / "elsewhere/checkpoints").is_dir()


def test_a_release_of_the_preset_accurate_is_identical_and_its_card_says_that_nothing_was_chosen(
    author: Project, tmp_path: Path
) -> None:
    project = author.copy(tmp_path / "clone")
    cli(project, "preset", "accurate")
    project.set_params(folds=[0], train={"epochs": 2, "warmup_epochs": 1})
    project.dvc("repro")
    project.commit("accurate")
    cli(project, "publish", "--repo", NAME, "--dry-run", "accurate", "--yes-this-is-the-demo")
    card = (project.path / "accurate/README.md").read_text()
    assert "trained on all others for a fixed number of epochs" in card
    assert "accuracy (`test_acc`)" in card
    said = cli(project, "verify", "accurate", "--work-dir", "elsewhere")
    assert "fold 0: epoch  1" in said
    assert "identical: weights and result of fold 0 are the released ones, byte for byte." in said


def test_one_flipped_weight_is_said_to_be_the_releases_own_fault(
    reader: Project, author: Project, hub_server: FakeHub
) -> None:
    weights = bytearray(released(author)[WEIGHTS])
    weights[-1] ^= 1
    hub_server.models[NAME] = Repository(files={**released(author), WEIGHTS: bytes(weights)})
    said = cli(reader, "verify", f"hf://{NAME}", expect=1)
    before, _, after = said.partition("fold 0: epoch")  # it need not be trained to be seen
    for part in (before, after):
        assert f"{WEIGHTS} is not the file that its origin.json records" in part
    assert "weights and result of fold 0 are those that origin.json records, byte for byte, but:" in after


def test_other_data_are_refused_before_anything_is_trained(reader: Project) -> None:
    said = cli(reader, "verify", f"hf://{NAME}", "--data", "dataset", expect=1)
    assert re.search(r"error: \w+.pkl is not the released one: its sha256 is [0-9a-f]{64} here", said)
    assert "epoch" not in said


def test_numbers_that_the_results_do_not_give_are_no_identical_release(
    reader: Project, author: Project, tmp_path: Path
) -> None:
    files = released(author)
    table = files["folds.csv"].decode().splitlines()
    better = [table[0], re.sub(r",0\.\d{6},", ",0.990000,", table[1], count=1), *table[2:]]
    summary = json.loads(files["summary.json"])
    summary["val_acc"]["mean"] = 0.99
    doctored = {**files, "folds.csv": "\n".join(better).encode(), "summary.json": json.dumps(summary).encode()}
    doctored["params.yaml"] = files["params.yaml"].replace(b"batch_size: 32", b"batch_size: 64")
    said = cli(reader, "verify", str(write(doctored, tmp_path / "doctored")), "--all", expect=1)
    assert "identical:" not in said
    assert "params.yaml is not what its origin.json records" in said
    assert re.search(r"^folds.csv, fold 0: val_acc is 0.990000, the results give 0.\d{6}$", said, re.MULTILINE)
    assert re.search(r"^summary.json: val_acc.mean is 0.99, the results give 0.\d+$", said, re.MULTILINE)


def test_another_version_of_torch_is_named_where_it_was_used_and_where_it_is_only_claimed(
    reader: Project, author: Project, tmp_path: Path
) -> None:
    claimed = with_origin(released(author), lambda origin: origin["folds"]["0"].update(torch="2.6.0"))
    said = cli(reader, "verify", str(write(claimed, tmp_path / "claimed")), "--work-dir", "work", expect=1)
    assert re.search(r"^torch +2.6.0 +\S+: differs$", said, re.MULTILINE)
    assert "weights and result of fold 0 are those that origin.json records, byte for byte, but:" in said
    assert re.search(r"^origin.json, fold 0: torch is 2.6.0, the results give 2\.\S+$", said, re.MULTILINE)

    other = {"torch": "2.6.0", "key": "0" * 64}
    result = json_text(author.json("results/folds/fold_0.json") | other).encode()
    fold = {**other, "result": hashlib.sha256(result).hexdigest()}
    used = with_origin(released(author), lambda origin: origin["folds"]["0"].update(fold))
    said = cli(reader, "verify", str(write(used, tmp_path / "used")), "--work-dir", "work", expect=1)
    assert "fold_0.json differs: sha256" in said
    assert f"{WEIGHTS} differs" not in said
    assert "the two differ in key and torch alone: the numbers are the released ones" in said
    assert re.search(r"^likeliest reasons, in order:\n  torch: 2\.\S+ here, 2.6.0 released\n\Z", said, re.MULTILINE)


def test_other_code_and_versions_are_the_likeliest_reasons_in_this_order(
    reader: Project, author: Project, hub_server: FakeHub
) -> None:
    files = with_origin(released(author), lambda origin: origin["versions"].update(numpy="1.0"))
    hub_server.models[NAME] = Repository(files=files)
    network = reader.path / "audiocnn/model/quick_on_cpu.py"
    network.write_text(network.read_text().replace("_BN_MOMENTUM = 0.1", "_BN_MOMENTUM = 0.2"))
    said = cli(reader, "verify", f"hf://{NAME}", expect=1)
    commit = json.loads(files["origin.json"])["code"]["commit"]
    code = f"audiocnn/model/quick_on_cpu.py here; git fetch, then git checkout {commit}, gets the released code"
    before, _, after = said.partition("fold 0: epoch")
    assert f"code differs: {code}" in before
    assert f"{WEIGHTS} differs: sha256" in after
    assert re.search(r"best epoch \d with val_acc 0.\d{4} here, \d with 0.\d{4} released", after)
    assert re.search(r"first difference: epoch 0's val_loss is [0-9.]+ here, [0-9.]+ released", after)
    reasons = after.split("likeliest reasons, in order:\n")[1].splitlines()
    assert reasons[0] == f"  code: {code}"
    assert reasons[1].startswith("  numpy: ")
    assert reasons[1].endswith(" here, 1.0 released")


def test_other_code_that_computes_the_same_is_told_from_other_numbers(reader: Project, author: Project) -> None:
    network = reader.path / "audiocnn/model/network.py"
    network.write_text(f"{network.read_text()}\n# a comment\n")
    said = cli(reader, "verify", str(author.path / "release"), expect=1)
    assert f"{WEIGHTS} differs" not in said
    assert "the two differ in key alone: the numbers are the released ones" in said
    assert "  code: audiocnn/model/network.py here; git fetch" in said


def test_a_claim_that_nothing_here_contradicts_has_no_made_up_reason(
    reader: Project, author: Project, tmp_path: Path
) -> None:
    files = with_origin(released(author), lambda origin: origin["folds"]["0"].update(weights="0" * 64))
    said = cli(reader, "verify", str(write(files, tmp_path / "claims")), expect=1)
    assert said.splitlines()[-1].startswith("  none that shows: code, versions, data and device are those")


def test_a_stop_in_mid_training_is_resumed_by_the_same_command(reader: Project, author: Project) -> None:
    words = ("python", "-m", "audiocnn.cli", "verify", str(author.path / "release"), "--all")
    with subprocess.Popen(
        **reader.command(*words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as first:
        assert first.stdout is not None
        lines = []
        for line in first.stdout:
            lines.append(line)
            if line.startswith("fold 0: epoch  0"):
                first.send_signal(signal.SIGINT)
                break
        said = "".join([*lines, *first.stdout])
    assert first.returncode == 130
    assert "stopped by SIGINT: run the same command again to resume." in said
    again = cli(reader, *words[3:])
    assert "identical: weights and result of folds 0, 1, 2" in again
    assert epochs_trained(said + again) == {0: 2, 1: 2, 2: 2}
    assert "prepared " not in again


def test_data_of_the_hub_are_got_by_their_commit_and_a_copy_of_them_counts(
    author: Project, hub_server: FakeHub, tmp_path: Path
) -> None:
    hub_server.reset()
    hub = {"HF_ENDPOINT": hub_server.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": ""}
    project = Project(make_clone(tmp_path / "clone").path, hub)
    pickles = {path.name: path.read_bytes() for path in (project.path / "dataset").iterdir()}
    hub_server.datasets["owner/sounds"] = Repository(files=dict(pickles))
    project.set_params(data={"source": "hf://datasets/owner/sounds@main"}, folds=[0])
    project.dvc("repro")
    cli(project, "publish", "--repo", NAME, "--dry-run", "release")
    said = cli(project, "verify", "release")
    assert re.search(
        rf"^data +owner/sounds at {COMMIT[:12]}, [0-9.]+ MB +downloaded, to be checked by sha256$", said, re.M
    )
    assert "identical" in said
    assert "identical" in cli(project, "verify", "release", "--data", "dataset", "--work-dir", "copy")
    hub_server.datasets["owner/sounds"].files["features.pkl"] += b"more"
    hub_server.requests.clear()
    said = cli(project, "verify", "release", "--work-dir", "other", expect=1)
    assert "error: features.pkl of owner/sounds has " in said
    assert not [path for _, path in hub_server.requests if path.endswith(".pkl")]  # not a byte of it


def test_ones_own_files_are_asked_for_and_then_verified(tmp_path: Path) -> None:
    project = make_clone(tmp_path / "clone")  # its source is the folder `dataset`
    project.set_params(folds=[0])
    project.dvc("repro")
    cli(project, "publish", "--repo", NAME, "--dry-run", "release")
    assert "name your copy of them with --data DIR" in cli(project, "verify", "release", expect=1)
    assert "identical" in cli(project, "verify", "release", "--data", "dataset")
