"""W&B shows what was trained, and whatever it does, a fold trains on, soon ends, and never asks anything."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from audiocnn.config.model_params import ModelParams
from audiocnn.config.runtime import WandbSettings
from audiocnn.config.train_params import TrainParams
from audiocnn.tracking.config import wandb_config
from audiocnn.tracking.tracker import experiment_group
from tests.support.paths import ROOT
from tests.support.processes import environment, wait_until
from tests.support.wandb_server import FakeWandb, fake_wandb

KEY = "0123456789" * 4
FOLDS = 4  # of an experiment: after the first one, each costs what the one before did
DEAD = "http://127.0.0.1:9"  # nothing listens on the discard port

CLIENT = """
import sys, time
from pathlib import Path
from audiocnn.config.runtime import WandbSettings
from audiocnn.tracking.tracker import fold_tracker, log_summary

ROOT = Path("checkpoints")

def open_fold(fold=3, key="ab" * 32, **settings):
    given = WandbSettings(**settings)
    return fold_tracker(given, group="experiment", fold=fold, key=key, config={"lr": 0.001}, root=ROOT, say=print)

def metrics(epoch):
    return {"loss": 2.0 - epoch, "accuracy": 0.5, "val_loss": 1.5, "val_accuracy": 0.25, "lr": 0.001}

def train(tracker, epochs):
    for epoch in epochs:
        if tracker:
            tracker.log_epoch(epoch, metrics(epoch))

def finish(tracker):
    if tracker:
        tracker.finish()
"""
ONE_FOLD = "tracker = open_fold(); train(tracker, range(3)); finish(tracker)"


@dataclass
class Ended:
    """A process that has ended: its lines on stdout and stderr, its exit code, its seconds."""

    lines: list[str]
    code: int
    seconds: float


def wandb_environment(home: Path, url: str = DEAD, key: str | None = KEY, **more: str) -> dict[str, str]:
    """The environment with W&B's own variables only as given, and another home."""
    given = {"WANDB_API_KEY": key} if key else {}
    return environment(HOME=str(home), PYTHONPATH=str(ROOT), WANDB_BASE_URL=url, **given, **more)


def start(code: str, folder: Path, variables: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT + code],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(code: str, folder: Path, variables: dict[str, str]) -> Ended:
    began = time.monotonic()
    process = start(code, folder, variables)
    output, _ = process.communicate(timeout=100)
    return Ended(output.splitlines(), process.returncode, time.monotonic() - began)


def run_in_terminal(code: str, folder: Path, variables: dict[str, str], limit: float) -> Ended:
    """The process with a terminal of its own as stdin, stdout and stderr, at which nobody types."""
    began = time.monotonic()
    terminal, ours = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT + code], cwd=folder, env=variables, stdin=ours, stdout=ours, stderr=ours
    )
    os.close(ours)
    output = b""
    while time.monotonic() - began < limit:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            output += os.read(terminal, 4096)
        except OSError:  # Linux: the last one at the other end has gone
            break
    os.close(terminal)
    is_waiting = process.poll() is None and time.monotonic() - began >= limit
    if is_waiting:
        process.kill()
    code_ = process.wait()
    assert not is_waiting, f"still waiting after {limit} s: {output.decode()}"
    return Ended(output.decode().splitlines(), code_, time.monotonic() - began)


# --- Without W&B ---


def test_without_a_key_wandb_is_not_even_imported(tmp_path: Path) -> None:
    code = (
        ONE_FOLD + "\nlog_summary(WandbSettings(), group='g', config={}, summary={}, fold_accuracies={}, root=ROOT)\n"
        "assert 'wandb' not in sys.modules and 'torch' not in sys.modules"
    )
    ended = run(code, tmp_path, wandb_environment(tmp_path, key=None))
    assert (ended.code, ended.lines) == (0, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", ["auto", "online"])
def test_without_a_key_nothing_is_asked_at_a_terminal(tmp_path: Path, mode: str) -> None:
    code = f"finish(open_fold(mode={mode!r}))"
    ended = run_in_terminal(code, tmp_path, wandb_environment(tmp_path, key=None), limit=20)
    told = ["W&B is off: no key is configured, run 'wandb login' or set WANDB_API_KEY."]
    assert (ended.code, ended.lines) == (0, told if mode == "online" else [])


@pytest.mark.slow
def test_a_malformed_key_is_one_line_at_a_terminal(tmp_path: Path) -> None:
    ended = run_in_terminal(ONE_FOLD, tmp_path, wandb_environment(tmp_path, key="too-short"), limit=30)
    assert (ended.code, ended.lines) == (0, ["W&B is off: 127.0.0.1 refuses the configured key."])


# --- What is configured ---


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith(("WANDB_", "DVC_", "NETRC")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_key_is_found_where_wandb_login_puts_it(home: Path) -> None:
    assert not wandb_config(WandbSettings()).has_key
    (home / ".netrc").write_text(
        f"machine github.com login me password x\nmachine api.wandb.ai login user password {KEY}\n"
    )
    assert wandb_config(WandbSettings()).has_key


def test_another_services_password_is_no_key(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".netrc").write_text(
        f"machine api.wandb.ai login user password {KEY}\ndefault login anonymous password me\n"
    )
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert not wandb_config(WandbSettings()).has_key


@pytest.mark.parametrize("content", ["machine", "\xff", "machine api.wandb.ai login user"])
def test_a_damaged_netrc_counts_as_none(home: Path, content: str) -> None:
    (home / ".netrc").write_bytes(content.encode("latin-1"))
    assert not wandb_config(WandbSettings()).has_key


def test_wandbs_own_settings_files_count(home: Path) -> None:
    user, project = home / ".config/wandb/settings", home / "wandb/settings"
    for path, content in ((user, f"base_url = https://one.example.org\napi_key = {KEY}"), (project, "mode = offline")):
        path.parent.mkdir(parents=True)
        path.write_text(f"[default]\n{content}\n")
    config = wandb_config(WandbSettings())
    assert (config.server, config.has_key, config.mode) == ("one.example.org", True, "offline")
    assert wandb_config(WandbSettings(mode="online")).mode == "online"


def test_the_environment_wins_for_one_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    config = wandb_config(WandbSettings(mode="online", project="audiocnn"))
    assert (config.mode, config.project) == ("disabled", "mine")


def test_runs_of_one_experiment_share_its_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, train, other = ModelParams(), TrainParams(), TrainParams(lr=0.1)
    group = experiment_group(model, train, {"features": "aa"})
    assert group == experiment_group(model, TrainParams(), {"features": "aa"})
    assert len({group, experiment_group(model, other, {"features": "aa"}), experiment_group(model, train, {})}) == 3
    monkeypatch.setenv("DVC_EXP_NAME", "wroth-gear")
    assert experiment_group(model, train, {"features": "aa"}) == "wroth-gear"


# --- A server that answers ---


def rows(server: FakeWandb, name: str) -> list[dict[str, float]]:
    """A run's history without the client's own columns."""
    return [{key: value for key, value in row.items() if not key.startswith("_")} for row in server.run(name).history]


def epoch_row(epoch: int) -> dict[str, float]:
    return {"train_loss": 2.0 - epoch, "train_acc": 0.5, "val_loss": 1.5, "val_acc": 0.25, "lr": 0.001, "epoch": epoch}


FOLD_ID = "fold_3-" + "ab" * 8


def test_a_fold_is_a_run_with_its_epochs(tmp_path: Path) -> None:
    with fake_wandb() as server:
        ended = run(ONE_FOLD, tmp_path, wandb_environment(tmp_path, server.url))
    shown = server.runs[FOLD_ID]
    assert rows(server, FOLD_ID) == [epoch_row(epoch) for epoch in range(3)]
    assert [row["_step"] for row in shown.history] == [0, 1, 2]
    assert {name: shown.fields[name] for name in ("groupName", "jobType", "project", "displayName")} == {
        "groupName": "experiment",
        "jobType": "fold",
        "project": "audiocnn",
        "displayName": "fold_3",
    }
    assert (shown.config, shown.exit_code) == ({"lr": 0.001}, 0)
    assert ended.code == 0
    assert ended.lines == [f"W&B shows this run at {server.url}/someone/audiocnn/runs/{FOLD_ID}"]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


@pytest.mark.slow
def test_folds_of_one_process_and_the_result_are_runs_of_one_group(tmp_path: Path) -> None:
    code = """
for fold in range(2):
    tracker = open_fold(fold, key=f"{fold}" * 64)
    train(tracker, range(2))
    finish(tracker)
    finish(tracker)
summary = {"val_acc": {"mean": 0.75, "std": 0.05}, "folds": 2}
log_summary(WandbSettings(), group="experiment", config={"lr": 0.001}, summary=summary,
            fold_accuracies={0: 0.8, 1: 0.7}, root=ROOT, say=print)
"""
    with fake_wandb() as server:
        ended = run(code, tmp_path, wandb_environment(tmp_path, server.url))
    assert (ended.code, len(ended.lines)) == (0, 3)
    assert {run.fields["groupName"] for run in server.runs.values()} == {"experiment"}
    assert [run.fields["jobType"] for run in server.runs.values()] == ["fold", "fold", "aggregate"]
    *folds, result = server.runs.values()
    assert [[row["epoch"] for row in fold.history] for fold in folds] == [[0, 1], [0, 1]]
    assert result.summary["val_acc"] == {"mean": 0.75, "std": 0.05}
    assert result.summary["val_acc_by_fold"] == {"fold_0": 0.8, "fold_1": 0.7}


@pytest.mark.slow
def test_a_killed_fold_continues_its_run_with_each_epoch_once(tmp_path: Path) -> None:
    killed = "import os\ntracker = open_fold(); train(tracker, range(3)); print('trained', flush=True); time.sleep(60)"
    with fake_wandb() as server:
        variables = wandb_environment(
            tmp_path, server.url, WANDB__FILE_STREAM_TRANSMIT_INTERVAL="1"
        )  # 15 s in real life
        process = start(killed, tmp_path, variables)
        assert process.stdout
        while "trained" not in process.stdout.readline():
            pass
        wait_until(lambda: len(server.run(FOLD_ID).history) == 3)
        process.kill()
        process.communicate()
        resumed = run("tracker = open_fold(); train(tracker, range(5)); finish(tracker)", tmp_path, variables)
    assert (resumed.code, len(resumed.lines)) == (0, 1)
    assert rows(server, FOLD_ID) == [epoch_row(epoch) for epoch in range(5)]


WATCHED = """
import torch
model = torch.nn.Linear(3, 2)
tracker = open_fold(watch="all")
tracker.watch(model)

def batches(count):
    for _ in range(count):
        model(torch.ones(4, 3)).sum().backward()
"""


@pytest.mark.slow
def test_histograms_are_shown_where_asked_for(tmp_path: Path) -> None:
    code = (
        WATCHED + "batches(100); train(tracker, [0]); batches(10); train(tracker, [1]); finish(tracker); batches(200)"
    )
    with fake_wandb() as server:
        ended = run(code, tmp_path, wandb_environment(tmp_path, server.url))
    assert (ended.code, len(ended.lines)) == (0, 1)
    first, second = rows(server, FOLD_ID)
    assert {"gradients/weight", "gradients/bias", "parameters/weight", "parameters/bias"} <= set(first)
    assert second == epoch_row(1)


@pytest.mark.slow
def test_an_active_run_is_used_and_left_open(tmp_path: Path) -> None:
    code = """
import wandb
theirs = wandb.init(project="theirs", id="theirs", settings=wandb.Settings(silent=True))
for fold in range(2):
    tracker = open_fold(fold)
    train(tracker, range(2))
    finish(tracker)
log_summary(WandbSettings(), group="g", config={}, summary={"folds": 2}, fold_accuracies={0: 0.5}, root=ROOT, say=print)
assert wandb.run is theirs
theirs.log({"mine": 1})
"""
    with fake_wandb() as server:
        ended = run(code, tmp_path, wandb_environment(tmp_path, server.url, WANDB_SILENT="true"))
    assert (ended.code, ended.lines) == (0, [])
    assert list(server.runs) == ["theirs"]
    assert [(row.get("fold"), row.get("epoch")) for row in rows(server, "theirs")] == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
        (None, None),
    ]
    assert server.runs["theirs"].summary["folds"] == 2


@pytest.mark.slow
def test_a_sweeps_run_takes_the_result_and_not_the_folds(tmp_path: Path) -> None:
    result = "log_summary(WandbSettings(), group='g', config={}, summary={'folds': 1}, fold_accuracies={}, root=ROOT)"
    with fake_wandb() as server:
        variables = wandb_environment(tmp_path, server.url, WANDB_SWEEP_ID="sweep", WANDB_RUN_ID="trial")
        fold, summary = run(ONE_FOLD, tmp_path, variables), run(result, tmp_path, variables)
    assert (fold.code, summary.code) == (0, 0)
    assert list(server.runs) == [FOLD_ID, "trial"]
    assert server.runs["trial"].summary["folds"] == 1


@pytest.mark.slow
def test_an_offline_run_is_complete_on_disk(tmp_path: Path) -> None:
    ended = run(
        "tracker = open_fold(mode='offline'); train(tracker, range(3)); finish(tracker)",
        tmp_path,
        wandb_environment(tmp_path, key=None),
    )
    assert (ended.code, ended.lines) == (0, [])
    [folder] = (tmp_path / "wandb").glob("offline-run-*")
    with fake_wandb() as server:  # W&B's own reader of its files
        command = [sys.executable, "-m", "wandb", "sync", str(folder)]
        subprocess.run(
            command, cwd=tmp_path, env=wandb_environment(tmp_path, server.url), check=True, capture_output=True
        )
    assert rows(server, FOLD_ID) == [epoch_row(epoch) for epoch in range(3)]
    assert server.runs[FOLD_ID].fields["groupName"] == "experiment"


# --- A server that does not ---


@pytest.mark.slow
def test_a_refused_key_is_one_line_and_not_tried_again_until_it_is_another(tmp_path: Path) -> None:
    with fake_wandb("refuse") as server:
        variables = wandb_environment(tmp_path, server.url)
        first = run(ONE_FOLD, tmp_path, variables)
        asked = len(server.requests)
        second = run(ONE_FOLD + "\nassert 'wandb' not in sys.modules", tmp_path, variables)
        assert (first.code, first.lines) == (0, ["W&B is off: 127.0.0.1 refuses the configured key."])
        assert (second.code, len(server.requests)) == (0, asked)
        assert second.lines == ["W&B is off: 127.0.0.1 refuses the configured key, it is tried again in 10 min."]
        server.fault = "none"
        third = run(ONE_FOLD, tmp_path, wandb_environment(tmp_path, server.url, key=KEY[::-1]))
    assert third.lines[0].startswith("W&B shows this run")
    assert KEY not in (tmp_path / "checkpoints/wandb_unavailable.json").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["hang", "error", "nobody"])
def test_a_dead_server_costs_a_whole_experiment_some_seconds(tmp_path: Path, fault: str) -> None:
    with fake_wandb() as server:
        if fault != "nobody":
            server.fault = "hang" if fault == "hang" else "error"
        variables = wandb_environment(tmp_path, DEAD if fault == "nobody" else server.url)
        ended = [run(ONE_FOLD, tmp_path, variables) for _ in range(FOLDS)]
    assert [one.code for one in ended] == [0] * FOLDS
    assert [one.lines[0].split(",")[0].rstrip(".") for one in ended] == [
        "W&B is off: 127.0.0.1 gave no usable answer in 8 s"
    ] * FOLDS
    assert sum(one.seconds for one in ended) < 40


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["die", "hang", "error"])
def test_a_server_that_dies_in_mid_run_is_waited_for_once(tmp_path: Path, fault: str) -> None:
    code = (
        "tracker = open_fold(); print('started', flush=True); time.sleep(2); train(tracker, range(3)); finish(tracker)"
    )
    with fake_wandb() as server:
        variables = wandb_environment(tmp_path, server.url)
        process = start(code, tmp_path, variables)
        assert process.stdout
        while "started" not in process.stdout.readline():
            pass
        if fault == "die":
            server.die()
        else:
            server.fault = "hang" if fault == "hang" else "error"
        began = time.monotonic()
        output, _ = process.communicate(timeout=60)
        first_seconds = time.monotonic() - began
        second = run(ONE_FOLD, tmp_path, variables)
        [line] = output.splitlines()
        promised = re.fullmatch("W&B is off: 127.0.0.1 fell silent; 'wandb (sync .+)' sends this run later.", line)
        assert promised, line
        server.fault = "none"
        if fault == "hang":
            command = [sys.executable, "-m", "wandb", *promised[1].split()]
            subprocess.run(command, cwd=tmp_path, env=variables, check=True, capture_output=True)
            assert rows(server, FOLD_ID) == [epoch_row(epoch) for epoch in range(3)]
    assert (process.returncode, first_seconds < 40) == (0, True)
    assert second.lines == ["W&B is off: 127.0.0.1 fell silent during a run, it is tried again in 10 min."]


@pytest.mark.slow
def test_when_wandbs_own_process_is_killed_the_training_goes_on(tmp_path: Path) -> None:
    code = (
        WATCHED
        + """
import os, psutil
batches(50)
[core] = psutil.Process().children()
core.kill()
core.wait()
batches(100)
train(tracker, range(2))
finish(tracker)
finish(open_fold(4))
"""
    )
    with fake_wandb() as server:
        ended = run(code, tmp_path, wandb_environment(tmp_path, server.url))
    assert ended.code == 0
    assert [line.split(" at ")[0] for line in ended.lines] == [
        "W&B shows this run",
        "W&B is off: its client failed with ConnectionResetError.",
        "W&B shows this run",
    ]


@pytest.mark.slow
def test_a_damaged_or_outdated_memory_of_a_failure_is_no_obstacle(tmp_path: Path) -> None:
    code = """
import json
from audiocnn.tracking.config import wandb_config
known = {"configuration": wandb_config(WandbSettings()).digest, "reason": "it was dead"}
ROOT.mkdir()
for until in (0, time.time() + 9999, "x", None, time.time() + 99):
    (ROOT / "wandb_unavailable.json").write_text("{" if until is None else json.dumps({**known, "until": until}))
    finish(open_fold())
"""
    with fake_wandb() as server:
        ended = run(code, tmp_path, wandb_environment(tmp_path, server.url))
    assert [line.split(" at ")[0] for line in ended.lines] == ["W&B shows this run"] * 4 + [
        "W&B is off: it was dead, it is tried again in 2 min."
    ]
