"""Fetching from a Hub that misbehaves: real HTTP and the real client library, with bounds shortened."""

import hashlib
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from audiocnn.config.data_params import PICKLES, DataParams
from audiocnn.data.fetch import SourceRecord, fetch
from audiocnn.errors import UserError
from tests.support.hub_server import COMMIT, GOOD_TOKEN, FakeHub, Fault, Repository
from tests.support.paths import ROOT, SHARED
from tests.support.processes import environment, wait_until

ESC10 = SHARED / "data/esc10"
NAME = "owner/sounds"
PINNED = f"hf://datasets/{NAME}@{COMMIT}"
FILES = {
    "features.pkl": bytes(range(256)) * 4000,
    "labels.pkl": b"labels" * 100,
    "folds.pkl": b"folds" * 100,
    "class_mapping.pkl": b"classes",
    "recipe.json": b"{}",
}


def _shorten(url: str, home: str) -> None:
    """Runs once in the client process, before it imports the library: its Hub, its home, shorter bounds."""
    os.environ.update(HF_ENDPOINT=url, HF_TOKEN=GOOD_TOKEN, HF_HOME=home)
    from audiocnn.hub import client as hub_client

    hub_client.REQUEST_TIMEOUT = 0.5
    hub_client.PATIENCE = 1.5
    hub_client.FIRST_WAIT = 0.1


def _fetch(data: DataParams, folder: Path) -> SourceRecord:
    return fetch(data, folder / "data/raw", folder / "data/staging")


@pytest.fixture(scope="module")
def client(hub_server: FakeHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessPoolExecutor]:
    spawn = multiprocessing.get_context("spawn")
    where = (hub_server.url, str(tmp_path_factory.mktemp("home")))
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=_shorten, initargs=where) as pool:
        yield pool


@pytest.fixture
def hub(hub_server: FakeHub) -> FakeHub:
    hub_server.reset()
    hub_server.datasets[NAME] = Repository(files=dict(FILES))
    return hub_server


class Fetching:
    """Fetches into a folder of its own through the client process."""

    def __init__(self, client: ProcessPoolExecutor, folder: Path) -> None:
        self.client, self.folder, self.raw = client, folder, folder / "data/raw"

    def __call__(self, source: str = PINNED, sha256: dict[str, str] | None = None) -> SourceRecord:
        data = DataParams(source=source, sha256=sha256 or {})
        return self.client.submit(_fetch, data, self.folder).result(timeout=60)

    def contents(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.raw.iterdir() if path.name != "source.json"}


@pytest.fixture
def fetching(client: ProcessPoolExecutor, tmp_path: Path) -> Fetching:
    return Fetching(client, tmp_path)


def test_the_files_arrive_byte_for_byte_and_only_they(hub: FakeHub, fetching: Fetching) -> None:
    hub.datasets[NAME].files |= {"README.md": b"x", "sub/features.pkl": b"x", "../../evil": b"x", "/etc/evil": b"x"}
    fetching()
    assert fetching.contents() == FILES
    assert [path.name for path in fetching.folder.rglob("*evil*")] == []
    assert sorted(path.name for path in fetching.folder.joinpath("data").iterdir()) == ["raw"]
    record = json.loads((fetching.raw / "source.json").read_text())
    assert (record["kind"], record["repository"], record["commit"]) == ("hub", NAME, COMMIT)
    assert record["files"]["labels.pkl"] == {
        "sha256": hashlib.sha256(FILES["labels.pkl"]).hexdigest(),
        "size": len(FILES["labels.pkl"]),
    }


def test_a_second_fetch_of_a_commit_makes_no_request(hub: FakeHub, fetching: Fetching) -> None:
    fetching()
    hub.requests.clear()
    fetching()
    assert hub.requests == []


@pytest.mark.slow
@pytest.mark.skipif(not ESC10.is_dir(), reason="needs ../shared/data/esc10")
def test_a_real_dataset_of_43_mb_arrives_whole_and_once(hub: FakeHub, fetching: Fetching) -> None:
    files = {name: (ESC10 / name).read_bytes() for name in PICKLES}
    hub.datasets[NAME].files = files
    fetching()
    assert fetching.contents() == files
    hub.requests.clear()
    fetching()
    assert hub.requests == []


def test_a_damaged_file_in_data_raw_is_fetched_again(hub: FakeHub, fetching: Fetching) -> None:
    fetching()
    (fetching.raw / "labels.pkl").write_bytes(b"other")
    fetching()
    assert fetching.contents() == FILES


def test_a_branch_is_resolved_to_its_commit_and_not_downloaded_again(hub: FakeHub, fetching: Fetching) -> None:
    assert fetching(f"hf://datasets/{NAME}").commit == COMMIT
    hub.requests.clear()
    assert fetching(f"hf://datasets/{NAME}@main").commit == COMMIT
    assert hub.requests == [("GET", f"/api/datasets/{NAME}/revision/main")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=429, headers={"Retry-After": "1"}, times=1),
        Fault("status", status=500, times=1),
        Fault("status", "features.pkl", "GET", status=500, times=1),
        Fault("status", "/tree/", status=503, times=1),
        Fault("hang", "features.pkl", "GET", times=1),
        Fault("hang", "/tree/", times=1),
        Fault("cut", "features.pkl", "GET", times=2),
        Fault("reset", "features.pkl", "GET", times=1),
        Fault("stall", "features.pkl", "GET", times=1),
        Fault("corrupt", "features.pkl", "GET", times=1),
        Fault("restart", "features.pkl", "GET", times=1, seconds=1.5),
        Fault("delay", seconds=0.1),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status if fault.kind == 'status' else ''}{fault.path}",
)
def test_what_passes_is_ridden_out(hub: FakeHub, fetching: Fetching, fault: Fault) -> None:
    hub.faults.append(fault)
    fetching(f"hf://datasets/{NAME}@main")
    assert fetching.contents() == FILES
    assert fault.times <= 0 or fault.kind == "delay"


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault("status", status=401), "HTTP 401.*does not exist, or it is private.*log in"),
        (Fault("status", status=403), "HTTP 403.*access is its owner's to give"),
        (Fault("status", "features.pkl", status=403), "HTTP 403.*access is its owner's to give"),
        (Fault("status", status=404, headers={"X-Error-Code": "RepoNotFound"}), "no such repository"),
    ],
    ids=["401", "403", "403-of-a-file", "404"],
)
def test_a_refusal_is_not_tried_again(hub: FakeHub, fetching: Fetching, fault: Fault, sentence: str) -> None:
    hub.faults.append(fault)
    with pytest.raises(UserError, match=f"^cannot get dataset {NAME}.*{sentence}") as refusal:
        fetching()
    assert GOOD_TOKEN not in str(refusal.value)
    assert len([path for _, path in hub.requests if fault.path in path]) == 1
    assert not fetching.raw.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault("status", status=503), "HTTP 503; check the network, or try again later"),
        (Fault("status", status=429, headers={"Retry-After": "3600"}), "HTTP 429; .* 3600 s: try again after"),
        (Fault("status", status=429, headers={"RateLimit": '"api";r=0;t=299'}), "HTTP 429; .* 299 s: try again after"),
        (Fault("hang"), "does not answer"),
        (Fault("hang", "features.pkl", "GET"), "does not answer"),
        (Fault("reset", "features.pkl", "GET"), "broke in mid-file"),
    ],
    ids=["503", "429-for-an-hour", "429-of-the-hub", "black-hole", "black-hole-for-a-file", "resets"],
)
def test_what_stays_ends_in_a_sentence_and_the_last_good_data_stay(
    hub: FakeHub, fetching: Fetching, fault: Fault, sentence: str
) -> None:
    folder = fetching.folder / "mine"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content + b"!")
    fetching(str(folder))
    hub.faults.append(fault)
    with pytest.raises(UserError, match=sentence):
        fetching()
    assert fetching.contents() == {name: content + b"!" for name, content in FILES.items()}


def test_bytes_that_stay_wrong_are_refused(hub: FakeHub, fetching: Fetching) -> None:
    hub.datasets[NAME].listed["labels.pkl"] = "0" * 64
    with pytest.raises(UserError, match=r"labels\.pkl came twice with other bytes than the repository lists"):
        fetching()
    assert not fetching.raw.exists()


def test_after_wrong_bytes_the_next_fetch_has_two_tries_of_its_own(hub: FakeHub, fetching: Fetching) -> None:
    hub.faults.append(Fault("corrupt", path="labels.pkl", method="GET", times=2))
    with pytest.raises(UserError, match="came twice with other bytes"):
        fetching()
    assert list(fetching.folder.glob("data/staging/*/labels.pkl")) == []
    hub.faults.append(Fault("corrupt", path="labels.pkl", method="GET", times=1))
    fetching()
    assert fetching.contents() == FILES


def test_a_pin_refuses_other_bytes_by_name_and_digest(hub: FakeHub, fetching: Fetching) -> None:
    actual = hashlib.sha256(FILES["folds.pkl"]).hexdigest()
    with pytest.raises(UserError, match=f"folds.pkl .* is refused: its sha256 is {actual}, expected {'1' * 64}"):
        fetching(sha256={"folds.pkl": "1" * 64})
    hub.requests.clear()
    fetching(sha256={"folds.pkl": actual})
    assert [path for method, path in hub.requests if method == "GET" and "/resolve/" in path] == []


def test_a_revision_or_a_file_that_is_not_there_is_named(hub: FakeHub, fetching: Fetching) -> None:
    with pytest.raises(UserError, match=f"{NAME} at v9: .*no such revision"):
        fetching(f"hf://datasets/{NAME}@v9")
    del hub.datasets[NAME].files["folds.pkl"]
    with pytest.raises(UserError, match=rf"{re.escape(PINNED)} has no folds\.pkl: expected features\.pkl"):
        fetching()


def test_a_server_that_is_no_hub_is_said_to_be_none(hub: FakeHub, fetching: Fetching) -> None:
    hub.faults.append(Fault("status", status=200))
    with pytest.raises(UserError, match="the server's answer is not the Hub's"):
        fetching(f"hf://datasets/{NAME}@main")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [("HF_TOKEN", "hf_secrét", "the token is not one that can be sent"), ("HF_HUB_OFFLINE", "1", "offline mode is on")],
)
def test_an_environment_that_cannot_work_is_said_without_the_token(
    hub: FakeHub, fetching: Fetching, name: str, value: str, reason: str
) -> None:
    stage = _stage(hub, fetching, {name: value}, stderr=subprocess.PIPE)
    _, errors = stage.communicate(timeout=30)
    assert stage.returncode == 1
    assert errors.startswith(f"error: cannot get dataset {NAME} at {COMMIT}: {reason}")
    assert "secr" not in errors
    assert hub.requests == []


def test_a_killed_download_keeps_its_completed_files(hub: FakeHub, fetching: Fetching) -> None:
    hub.faults.append(Fault("stall", "features.pkl", "GET", times=1))
    stage = _stage(hub, fetching, {})
    staged = fetching.folder / "data/staging" / COMMIT
    wait_until(lambda: hub.faults[0].times == 0 and (staged / "recipe.json").exists())
    stage.send_signal(signal.SIGKILL)
    stage.wait()
    hub.requests.clear()
    fetching()
    downloaded = [path.rsplit("/", 1)[1] for method, path in hub.requests if method == "GET" and "/resolve/" in path]
    assert downloaded == ["features.pkl"]
    assert fetching.contents() == FILES


def _stage(
    hub: FakeHub, fetching: Fetching, more: dict[str, str], stderr: int | None = None
) -> "subprocess.Popen[str]":
    (fetching.folder / "params.yaml").write_text(f"folds: [0]\ndata: {{source: '{PINNED}'}}\n")
    ours = {"HF_ENDPOINT": hub.url, "HF_HOME": str(fetching.folder / "home"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stages.fetch"]
    return subprocess.Popen(command, cwd=fetching.folder, env=environment(**{**ours, **more}), stderr=stderr, text=True)
