"""Uploads to a model repository while folds train: what arrives, in how many commits, and what a bad Hub costs."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from audiocnn.checkpoints.outage import outage_of, remember_outage
from audiocnn.checkpoints.training_state import TrainingState, save_training_state_json
from audiocnn.checkpoints.verified import save_bytes
from audiocnn.config.runtime import HubSettings
from audiocnn.folds import uploads as uploads_module
from audiocnn.folds.ledger import must_stay, waiting
from audiocnn.folds.uploader import HUB as HUB_SERVICE
from audiocnn.folds.uploads import UploadJob, uploads
from tests.support.hub_server import GOOD_TOKEN, FakeHub, Fault, Repository
from tests.support.paths import ROOT
from tests.support.processes import wait_until

REPOSITORY = "owner/weights"
HUB = HubSettings(model_repo=REPOSITORY)
SHORTER = """
from audiocnn.folds import uploader
from audiocnn.hub import client as hub_client
hub_client.REQUEST_TIMEOUT, hub_client.PATIENCE, hub_client.FIRST_WAIT = 0.5, 1.5, 0.1
uploader.DRAIN, uploader.LOOK, uploader.COMMIT_EVERY = 3.0, 0.05, 0.0
"""


@pytest.fixture
def hub(hub_server: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeHub:
    hub_server.reset()
    monkeypatch.setenv("HF_ENDPOINT", hub_server.url)
    monkeypatch.setenv("HF_TOKEN", GOOD_TOKEN)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    return hub_server


class Fold:
    """A fold's checkpoint folder, written as training writes it, with contents of a few bytes."""

    def __init__(self, root: Path, fold: int) -> None:
        self.fold = fold
        self.folder = root / f"fold_{fold}-{'a' * 16}"
        self.state: TrainingState = {"last_fold": fold, "last_epoch": 0, "key": "a" * 64, "files": {}}
        self.expected: dict[str, bytes] = {}

    def train(self, epochs: int) -> "Fold":
        for _ in range(epochs):
            epoch = self.state["last_epoch"]
            self._add(f"epoch_{epoch}.safetensors", f"fold_{self.fold}/epoch_{epoch}.safetensors")
            self.state["last_epoch"] = epoch + 1
        save_training_state_json(self.folder, self.state)
        return self

    def finish(self) -> "Fold":
        name = f"model_fold_{self.fold}_best.safetensors"
        self._add(name, name)
        self.state["finished"] = True
        save_training_state_json(self.folder, self.state)
        return self

    def _add(self, name: str, path_in_repo: str) -> None:
        content = f"weights of {self.folder.name} {name}".encode() * 20
        self.state["files"][name] = save_bytes(self.folder / name, content)
        self.expected[path_in_repo] = content


@pytest.fixture
def folds(tmp_path: Path) -> list[Fold]:
    return [Fold(tmp_path / "checkpoints", fold) for fold in (0, 3)]


def _folders(folds: list[Fold]) -> dict[int, Path]:
    return {fold.fold: fold.folder for fold in folds}


def _root(folds: list[Fold]) -> Path:
    return folds[0].folder.parent


def _expected(folds: list[Fold]) -> dict[str, bytes]:
    return {path: content for fold in folds for path, content in fold.expected.items()}


def _start(folds: list[Fold], more: str = "") -> "subprocess.Popen[str]":
    """The uploading process with shorter bounds; ending its standard input ends it."""
    folders = {fold: str(folder) for fold, folder in _folders(folds).items()}
    job = UploadJob(hub=HUB, root=str(_root(folds)), folders=folders)
    code = f"{SHORTER}{more}\nuploader.main()"
    command = [sys.executable, "-c", code, job.model_dump_json()]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _end(process: "subprocess.Popen[str]", timeout: float = 20.0) -> str:
    output, _ = process.communicate(timeout=timeout)
    return output


def _upload_missing(folds: list[Fold]) -> str:
    folders = {fold: str(folder) for fold, folder in _folders(folds).items()}
    code = f"""{SHORTER}
from pathlib import Path
from audiocnn.errors import UserError
from audiocnn.config.runtime import HubSettings
folders = {{fold: Path(folder) for fold, folder in {folders!r}.items()}}
try:
    print(uploader.upload_missing(HubSettings(model_repo={REPOSITORY!r}), Path({str(_root(folds))!r}), folders))
except UserError as error:
    print(error)
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_an_ordinary_run_uploads_every_epoch_and_the_best_models(
    hub: FakeHub, folds: list[Fold], capfd: pytest.CaptureFixture[str]
) -> None:
    with uploads(HUB, _root(folds), _folders(folds)):
        for fold in folds:
            fold.train(epochs=6).finish()
    repository = hub.models[REPOSITORY]
    assert repository.files == _expected(folds)
    assert len(repository.commits) <= 2
    assert repository.private
    assert not any(waiting(fold.folder, fold.fold, HUB) for fold in folds)
    output, errors = capfd.readouterr()
    assert (output, errors) == (f"hub: weights go to {REPOSITORY}\n", "")


def test_epochs_are_uploaded_while_training_goes_on(hub: FakeHub, folds: list[Fold]) -> None:
    process = _start(folds)
    folds[0].train(epochs=2)
    wait_until(lambda: REPOSITORY in hub.models and hub.models[REPOSITORY].files == _expected(folds))
    folds[1].train(epochs=1)
    wait_until(lambda: hub.models[REPOSITORY].files == _expected(folds))
    assert _end(process) == f"hub: weights go to {REPOSITORY}\n"


def test_nothing_happens_without_a_model_repository(hub: FakeHub, folds: list[Fold]) -> None:
    code = (
        "import sys; from pathlib import Path; from audiocnn.folds.uploads import uploads\n"
        "from audiocnn.folds.ledger import must_stay\n"
        "from audiocnn.config.runtime import HubSettings\n"
        "with uploads(HubSettings(), Path('checkpoints'), {0: Path('checkpoints/fold_0-a')}): pass\n"
        "assert not must_stay('epoch_0.safetensors', Path('checkpoints/fold_0-a'), HubSettings())\n"
        "print('huggingface_hub' in sys.modules or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("False\n", "")
    assert hub.requests == []
    assert not Path("checkpoints").exists()


@pytest.mark.slow
def test_best_uploads_the_best_models_alone(hub: FakeHub, folds: list[Fold]) -> None:
    settings = HubSettings(model_repo=REPOSITORY, upload="best", private=False)
    with uploads(settings, _root(folds), _folders(folds)):
        for fold in folds:
            fold.train(epochs=2).finish()
    assert sorted(hub.models[REPOSITORY].files) == ["model_fold_0_best.safetensors", "model_fold_3_best.safetensors"]
    assert not hub.models[REPOSITORY].private


@pytest.mark.slow
def test_what_is_not_committed_or_damaged_is_not_uploaded(hub: FakeHub, folds: list[Fold]) -> None:
    folds[0].train(epochs=2)
    (folds[0].folder / "epoch_2.safetensors").write_bytes(b"half of an epo")
    (folds[0].folder / "epoch_1.safetensors").write_bytes(b"damaged")
    output = _end(_start(folds))
    assert list(hub.models[REPOSITORY].files) == ["fold_0/epoch_0.safetensors"]
    assert "Traceback" not in output


@pytest.mark.slow
def test_an_epoch_may_be_deleted_once_it_is_uploaded(hub: FakeHub, folds: list[Fold]) -> None:
    folds[0].train(epochs=1)
    name, folder = "epoch_0.safetensors", folds[0].folder
    assert must_stay(name, folder, HUB)
    assert not must_stay("epoch_0.pt", folder, HUB)
    assert not must_stay(name, folder, HubSettings(model_repo=REPOSITORY, upload="best"))
    _end(_start(folds))
    assert not must_stay(name, folder, HUB)
    assert must_stay(name, folder, HubSettings(model_repo="owner/other"))


@pytest.mark.slow
def test_a_commit_holds_at_most_fifty_files(hub: FakeHub, folds: list[Fold]) -> None:
    folds[0].train(epochs=70)
    _end(_start(folds))
    assert [len(paths) for paths in hub.models[REPOSITORY].commits] == [50, 20]
    assert hub.models[REPOSITORY].files == _expected(folds)


@pytest.mark.slow
def test_commits_are_a_minute_apart_over_all_processes_until_training_ends(hub: FakeHub, folds: list[Fold]) -> None:
    root = _root(folds)
    root.mkdir()
    (root / "hub_commits.json").write_text(json.dumps({"commits": [time.time() - 5]}))
    folds[0].train(epochs=1)
    process = _start(folds, "uploader.COMMIT_EVERY = 60.0")
    wait_until(lambda: REPOSITORY in hub.models)
    time.sleep(0.3)
    assert hub.models[REPOSITORY].commits == []
    _end(process)
    assert len(hub.models[REPOSITORY].commits) == 1


@pytest.mark.slow
def test_an_hours_budget_of_commits_is_kept_even_at_the_end(
    hub: FakeHub, folds: list[Fold], capfd: pytest.CaptureFixture[str]
) -> None:
    root = _root(folds)
    root.mkdir()
    (root / "hub_commits.json").write_text(json.dumps({"commits": [time.time() - 1800] * 100}))
    with uploads(HUB, root, _folders(folds)):
        folds[0].train(epochs=2)
    assert hub.models[REPOSITORY].commits == []
    assert f"hub: files that are not in {REPOSITORY} yet: 2; 'audiocnn upload' uploads them" in capfd.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", "/commit/", status=429, headers={"Retry-After": "1"}, times=1),
        Fault("status", "/commit/", status=503, times=2),
        Fault("reset", "/commit/", times=1),
        Fault("hang", "/commit/", times=1),
        Fault("status", "/lfs/", "PUT", status=500, times=1),
        Fault("cut", "/preupload/", times=1),
        Fault("status", "/repos/create", status=502, times=1),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.path.strip('/').replace('/', '-')}",
)
def test_a_passing_fault_costs_no_file_and_no_line(hub: FakeHub, folds: list[Fold], fault: Fault) -> None:
    hub.faults.append(fault)
    folds[0].train(epochs=3).finish()
    assert _end(_start(folds)) == f"hub: weights go to {REPOSITORY}\n"
    assert hub.models[REPOSITORY].files == _expected(folds)
    assert fault.times == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "sentence"), [(401, "HTTP 401"), (403, "HTTP 403"), (402, "HTTP 402")], ids=["401", "403", "402"]
)
def test_a_refusal_is_one_line_and_switches_uploads_off(
    hub: FakeHub, folds: list[Fold], status: int, sentence: str
) -> None:
    hub.faults.append(Fault("status", status=status))
    folds[0].train(epochs=1)
    output = _end(_start(folds))
    assert output.startswith(f"hub: no uploads in this run: cannot write to {REPOSITORY}: ")
    assert sentence in output
    assert output.count("\n") == 1
    assert GOOD_TOKEN not in output
    assert not outage_of(_root(folds), HUB_SERVICE)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Fault("hang"), Fault("status", status=503)], ids=["black-hole", "503"])
def test_a_dead_hub_is_one_line_and_remembered_for_the_next_fold(hub: FakeHub, folds: list[Fold], fault: Fault) -> None:
    hub.faults.append(fault)
    folds[0].train(epochs=1)
    assert _end(_start(folds)).startswith("hub: no uploads in this run: cannot write to owner/weights: 127.0.0.1 ")
    hub.requests.clear()
    assert _end(_start(folds)) == "hub: no uploads in this run: the Hub did not answer less than ten minutes ago\n"
    assert hub.requests == []


@pytest.mark.slow
def test_a_hub_found_dead_more_than_ten_minutes_ago_is_tried_again(hub: FakeHub, folds: list[Fold]) -> None:
    folds[0].train(epochs=1)
    remember_outage(_root(folds), HUB_SERVICE, "did not answer")
    assert outage_of(_root(folds), HUB_SERVICE)
    note = _root(folds) / "hub_unavailable.json"
    outage = json.loads(note.read_text())
    note.write_text(json.dumps({**outage, "until": outage["until"] - 601}))
    _end(_start(folds))
    assert hub.models[REPOSITORY].files == _expected(folds)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Fault("hang", "/lfs/", "PUT"), Fault("trickle", "/lfs/", "PUT", seconds=0.3)])
def test_the_process_ends_whatever_an_upload_hangs_on(hub: FakeHub, folds: list[Fold], fault: Fault) -> None:
    hub.faults.append(fault)
    folds[0].train(epochs=1)
    (folds[0].folder / "epoch_1.safetensors").write_bytes(b"0" * 10)
    large = b"0" * 10_000_000  # more than a socket's buffers hold
    folds[0].state["files"]["epoch_1.safetensors"] = save_bytes(folds[0].folder / "epoch_1.safetensors", large)
    folds[0].train(epochs=0)
    process = _start(folds, "uploader.DRAIN = 1.0")
    wait_until(lambda: any(method == "PUT" for method, _ in hub.requests))
    _end(process, timeout=10)
    assert outage_of(_root(folds), HUB_SERVICE)


@pytest.mark.slow
def test_leaving_training_is_bounded_even_where_the_process_is_stuck(
    hub: FakeHub, folds: list[Fold], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(uploads_module, "DRAIN", -4.0)  # the process itself still takes its 30 s
    hub.faults.append(Fault("hang"))
    with uploads(HUB, _root(folds), _folders(folds)):
        folds[0].train(epochs=1)
        wait_until(lambda: bool(hub.requests))
    assert f"not in {REPOSITORY} yet: 1;" in capfd.readouterr().out


def test_after_a_kill_upload_finishes_and_then_has_nothing_to_do(hub: FakeHub, folds: list[Fold]) -> None:
    hub.faults.append(Fault("hang", "/commit/", times=1))
    for fold in folds:
        fold.train(epochs=4).finish()
    process = _start(folds)
    wait_until(lambda: hub.faults[0].times == 0)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert hub.models[REPOSITORY].files == {}
    assert _upload_missing(folds) == "10"
    assert hub.models[REPOSITORY].files == _expected(folds)
    commits = len(hub.models[REPOSITORY].commits)
    assert _upload_missing(folds) == "0"
    assert len(hub.models[REPOSITORY].commits) == commits


@pytest.mark.slow
def test_upload_believes_the_repository_and_not_the_ledger(hub: FakeHub, folds: list[Fold]) -> None:
    folds[0].train(epochs=3)
    _end(_start(folds))
    del hub.models[REPOSITORY].files["fold_0/epoch_1.safetensors"]
    hub.models[REPOSITORY].files["fold_0/epoch_2.safetensors"] = b"other weights"
    (folds[0].folder / "uploaded.json").unlink()
    assert _upload_missing(folds) == "2"
    assert hub.models[REPOSITORY].files == _expected(folds)
    assert waiting(folds[0].folder, 0, HUB) == {}


@pytest.mark.slow
def test_upload_to_a_hub_that_refuses_ends_in_a_sentence(hub: FakeHub, folds: list[Fold]) -> None:
    hub.models[REPOSITORY] = Repository()
    hub.faults.append(Fault("status", "/commit/", status=403))
    folds[0].train(epochs=1)
    assert _upload_missing(folds).startswith(f"cannot write to {REPOSITORY}: the server answered HTTP 403; ")


def test_upload_says_what_to_set_where_nothing_is_set(hub: FakeHub) -> None:
    Path("params.yaml").write_text("folds: [0]\n")
    done = subprocess.run([sys.executable, "-m", "audiocnn.cli", "upload"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: runtime.yaml names nothing to upload: set hub.model_repo")


@pytest.mark.slow
def test_a_killed_run_of_ours_lets_the_last_pass_be_made(hub: FakeHub, folds: list[Fold]) -> None:
    folds[0].train(epochs=2)
    code = (
        "import os, signal; from pathlib import Path\n"
        "from audiocnn.folds.uploads import uploads; from audiocnn.config.runtime import HubSettings\n"
        f"with uploads(HubSettings(model_repo={REPOSITORY!r}), Path({str(_root(folds))!r}),"
        f" {{0: Path({str(folds[0].folder)!r})}}): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    wait_until(lambda: REPOSITORY in hub.models and hub.models[REPOSITORY].files == _expected(folds))
