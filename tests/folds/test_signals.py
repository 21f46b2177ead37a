"""Stopping: politely at the first signal, at once at the second, and nothing trains on for a process that is gone."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.processes import children, environment, started, wait_until
from tests.support.projects import make_training_project, stage_command
from tests.support.training import epochs_done

POLITE = """
import sys, time
from audiocnn.errors import run_command
from audiocnn.processes import StopSignal
def main():
    stop = StopSignal()
    print("ready", flush=True)
    while True:
        time.sleep(0.05)
        if sys.argv[1] == "checks":
            stop.check()
sys.exit(run_command(main))
"""
FOLLOWER = """
import subprocess, sys, time, psutil
from audiocnn.processes import end_with
end_with(psutil.Process(int(sys.argv[1])))
print("ready", flush=True)
time.sleep(600)
"""
# It enters itself into DVC's list of running commands and names the stage, as DVC does.
FAKE_DVC = """
import json, os, pathlib, subprocess, sys
pathlib.Path(".dvc/tmp").mkdir(parents=True, exist_ok=True)
running = {"write": {"models": {"pid": os.getpid(), "cmd": "dvc repro"}}, "read": {}}
pathlib.Path(".dvc/tmp/rwlock").write_text(json.dumps(running))
sys.exit(subprocess.call(sys.argv[1:], env={**os.environ, "DVC_STAGE": "train_fold@0"}))
"""
LONG = 100_000  # epochs: it trains until it is stopped
GONE_WITHIN = 10  # seconds


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_ends_a_command_where_it_checks_and_says_how_to_go_on(
    signum: signal.Signals, code: int, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with started({"env": environment()}, sys.executable, "-c", POLITE, "checks", log=log) as process:
        wait_until(lambda: "ready" in log.read_text())
        process.send_signal(signum)
        assert process.wait(timeout=60) == code
    assert log.read_text() == f"ready\nstopped by {signum.name}: run the same command again to resume.\n"


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_second_signal_ends_it_at_once(signum: signal.Signals, code: int, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with started({"env": environment()}, sys.executable, "-c", POLITE, "never checks", log=log) as process:
        wait_until(lambda: "ready" in log.read_text())
        process.send_signal(signal.SIGTERM)
        with pytest.raises(Exception, match="timed out"):
            process.wait(timeout=0.5)
        process.send_signal(signum)
        assert process.wait(timeout=60) == code


def test_a_process_ends_with_the_one_it_works_for(tmp_path: Path) -> None:
    logs = tmp_path / "master", tmp_path / "follower"
    setting = {"env": environment()}
    with (
        started(setting, sys.executable, "-c", "import time; time.sleep(600)", log=logs[0]) as master,
        started(setting, sys.executable, "-c", FOLLOWER, str(master.pid), log=logs[1]) as follower,
    ):
        wait_until(lambda: "ready" in logs[1].read_text())
        master.kill()  # not waited for: a zombie counts as gone
        assert follower.wait(timeout=GONE_WITHIN) != 0


def trains(setting: dict[str, Any], more_than: int = 0) -> None:
    """Waits until a project's fold 0 has trained more than so many epochs."""
    wait_until(lambda: epochs_done(setting["cwd"] / "checkpoints") > more_than)


def all_gone(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


@pytest.mark.slow
def test_ctrl_c_ends_training_after_the_batch_and_the_same_command_goes_on(tmp_path: Path) -> None:
    setting, log = make_training_project(tmp_path, LONG), tmp_path / "log"
    with started(setting, *stage_command(), log=log) as process:
        trains(setting, more_than=1)
        workers = children(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert all_gone(workers)
    *_, last = log.read_text().splitlines()
    assert last == "stopped by SIGINT: run the same command again to resume."
    assert "Traceback" not in log.read_text()
    assert not (tmp_path / "models").exists()
    done = epochs_done(tmp_path / "checkpoints")
    with started(setting, *stage_command(), log=log) as process:
        trains(setting, more_than=done)
        wait_until(
            lambda: f"resuming after epoch {done - 1}" in log.read_text()
        )  # the stage passes it on a little later
        process.terminate()
        assert process.wait(timeout=60) == 143
    assert log.read_text().splitlines()[-1].startswith("stopped by SIGTERM: run the same command again")


@pytest.mark.slow
def test_two_signals_end_training_at_once_with_all_its_processes(tmp_path: Path) -> None:
    setting = make_training_project(tmp_path, LONG)
    with started(setting, *stage_command(), log=tmp_path / "log") as process:
        trains(setting)
        workers = children(process.pid)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=GONE_WITHIN) in (130, 143)
        wait_until(lambda: all_gone(workers), GONE_WITHIN)


@pytest.mark.slow
def test_training_ends_with_a_killed_stage_and_the_next_one_goes_on(tmp_path: Path) -> None:
    setting, log = make_training_project(tmp_path, LONG), tmp_path / "log"
    with started(setting, *stage_command(), log=log) as process:
        trains(setting)
        workers = children(process.pid)
        assert workers
        process.kill()
        with started(setting, *stage_command(), log=log) as again:  # at once: the orphan may still hold the lock
            wait_until(lambda: all_gone(workers), GONE_WITHIN)
            wait_until(lambda: "resuming after epoch" in log.read_text())
            done = epochs_done(tmp_path / "checkpoints")
            trains(setting, more_than=done)
            assert not any(word in log.read_text() for word in ("damaged", "missing", "starts over"))
            again.terminate()
            assert again.wait(timeout=60) == 143


@pytest.mark.slow
def test_a_stage_and_its_training_end_with_a_killed_dvc(tmp_path: Path) -> None:
    setting = make_training_project(tmp_path / "project", LONG)
    (tmp_path / "dvc").write_text(FAKE_DVC)
    with started(setting, sys.executable, str(tmp_path / "dvc"), *stage_command(), log=tmp_path / "log") as dvc:
        trains(setting)
        family = children(dvc.pid)
        assert len(family) >= 2  # the stage and a worker
        os.kill(dvc.pid, signal.SIGKILL)
        try:
            wait_until(lambda: all_gone(family), GONE_WITHIN)
        finally:
            for process in family:
                if process.is_running():
                    process.kill()
