"""One process at a time trains a fold, under a KEY that tells its checkpoints from those of other settings."""

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from audiocnn.checkpoints import key
from audiocnn.checkpoints.folder import fold_folder
from audiocnn.checkpoints.lock import fold_lock, holder_of, is_locked
from audiocnn.checkpoints.progress import write_progress
from audiocnn.config.model_params import ModelParams
from audiocnn.config.train_params import TrainParams
from audiocnn.data.prepared import Meta
from audiocnn.errors import UserError
from audiocnn.training.loop import train_fold
from audiocnn.training.state import FoldJob
from tests.support.prepared import write_prepared
from tests.support.processes import environment, started, wait_until
from tests.support.projects import make_training_project, params_of, run_stage, stage_command
from tests.support.training import MODEL, TRAIN, Watcher, make_job, make_plan, result_bytes, train_until

HOLD = """
import sys, time
from pathlib import Path
from audiocnn.checkpoints.lock import fold_lock
with fold_lock(Path(sys.argv[1]), timeout=0) as is_ours:
    print(is_ours, flush=True)
    time.sleep(600)
"""


def test_a_lock_is_held_by_one_process_which_the_others_can_name_and_a_killed_one_holds_none(tmp_path: Path) -> None:
    folder = tmp_path / "fold_0"
    log = tmp_path / "log"
    with started({"env": environment()}, sys.executable, "-c", HOLD, str(folder), log=log) as holder:
        wait_until(lambda: log.read_text() == "True\n")
        with fold_lock(folder, timeout=0) as is_ours:
            assert not is_ours
        assert is_locked(folder)
        assert holder_of(folder) == f"process {holder.pid} on {socket.gethostname()}"
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert not is_locked(folder)
        with fold_lock(folder, timeout=0) as is_ours:
            assert is_ours
            assert holder_of(folder) == f"process {os.getpid()} on {socket.gethostname()}"


def test_a_damaged_note_on_the_holder_is_no_obstacle(tmp_path: Path) -> None:
    for content in (b"", b"\xff", b"[]", b'{"pid": 1}'):
        (tmp_path / "holder.json").write_bytes(content)
        assert holder_of(tmp_path) == "another process"


@pytest.mark.slow
def test_a_second_process_waits_for_the_first_says_so_and_finds_the_work_done(tmp_path: Path) -> None:
    """The first one is this process, which trains the fold while the second, the stage, waits for it."""
    setting = make_training_project(tmp_path)
    plan = make_plan(tmp_path / "data/prepared", tmp_path / "checkpoints", params_of(tmp_path))
    its_key = project_key(tmp_path)
    folder = fold_folder(plan.root, 0, its_key)
    job = FoldJob(0, its_key, plan.prepared, folder, plan.meta, MODEL, plan.train)
    log = tmp_path / "log"
    with ExitStack() as stack:
        with fold_lock(folder, timeout=0) as is_ours:
            assert is_ours
            second = stack.enter_context(started(setting, *stage_command(), log=log))
            wait_until(lambda: "waiting for" in log.read_text())
            train_fold(job, Watcher())
        assert second.wait(timeout=60) == 0, log.read_text()
    assert f"fold 0: waiting for process {os.getpid()} on {socket.gethostname()}, which trains it" in log.read_text()
    assert "epoch" not in log.read_text()
    assert (tmp_path / "results/folds/fold_0.json").read_bytes() == result_bytes(job.folder)["fold_0.json"]


def project_key(project: Path) -> str:
    """The KEY of fold 0 that a project's own code computes."""
    code = "from stages.train_fold import plan_from_files; print(plan_from_files().key(0), end='')"
    return subprocess.check_output([sys.executable, "-c", code], cwd=project, env=environment(), text=True)


def test_another_learning_rate_does_not_resume_this_ones_checkpoint_and_going_back_does(tmp_path: Path) -> None:
    write_prepared(tmp_path / "prepared")
    undisturbed = make_job(tmp_path / "prepared", tmp_path / "undisturbed")
    train_until(undisturbed)
    faster = TrainParams(**{**TRAIN.model_dump(), "lr": 0.02})
    jobs = {
        train.lr: FoldJob(0, plan.key(0), plan.prepared, plan.folder(0), plan.meta, MODEL, train)
        for train in (TRAIN, faster)
        for plan in [make_plan(tmp_path / "prepared", tmp_path / "checkpoints", train)]
    }
    train_until(jobs[TRAIN.lr], 2)
    assert train_until(jobs[faster.lr]).trained[0] == 0
    back = train_until(jobs[TRAIN.lr])
    assert back.said == ["resuming after epoch 2"]
    weights = "model_fold_0_best.safetensors"
    assert result_bytes(jobs[TRAIN.lr].folder)[weights] == result_bytes(undisturbed.folder)[weights]
    assert result_bytes(jobs[faster.lr].folder)[weights] != result_bytes(undisturbed.folder)[weights]


def test_other_data_model_code_fold_or_device_is_another_key_and_going_back_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_training_project(tmp_path)
    monkeypatch.setattr(key, "PROJECT", tmp_path)
    plan = make_plan(tmp_path / "data/prepared", tmp_path)
    meta = plan.meta.model_copy(update={"digests": {**plan.meta.digests, "features": "0" * 64}})

    def key_of(fold: int = 0, model: ModelParams = MODEL, meta: Meta = plan.meta, device: str = "cpu") -> str:
        return key.fold_key(fold, model, TRAIN, meta, device, key.code_digests())

    now = key_of()
    others = [
        key_of(fold=1),
        key_of(model=MODEL.model_copy(update={"hidden_units": 9})),
        key_of(meta=meta),
        key_of(device="cuda"),
    ]
    code = tmp_path / "audiocnn/training/loop.py"
    source = code.read_text()
    code.write_text(source + "# more\n")
    others.append(key_of())
    assert len({now, *others}) == 6
    code.write_text(source)
    (tmp_path / "audiocnn/checkpoints/progress.py").write_text("")  # decides no result
    assert key_of() == now


@pytest.mark.slow
def test_a_finished_fold_is_published_again_without_training(tmp_path: Path) -> None:
    """As after a kill between publishing and DVC's own commit."""
    setting = make_training_project(tmp_path)
    assert "fold 0: epoch  0" in run_stage(setting)
    published = tmp_path / "results/folds/fold_0.json"
    content = published.read_bytes()
    published.unlink()
    assert "epoch" not in run_stage(setting)
    assert published.read_bytes() == content


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF])
def test_a_file_system_without_locks_is_a_sentence_and_no_endless_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(UserError, match="file system without locks"), fold_lock(tmp_path, timeout=-1):
        pass


FAR = (
    """
import socket
import audiocnn.checkpoints.lock as lock
socket.gethostname = lambda: "far-away"
lock._BEAT = 0.05
"""
    + HOLD
)


def silent_for(folder: Path, seconds: float) -> None:
    then = (folder / "holder.json").stat().st_mtime - seconds
    os.utime(folder / "holder.json", (then, then))


def test_a_fold_of_a_host_that_has_given_no_sign_is_taken_over_and_that_host_ends_where_it_comes_back(
    tmp_path: Path,
) -> None:
    folder, log = tmp_path / "fold_0", tmp_path / "log"
    with started({"env": environment()}, sys.executable, "-c", FAR, str(folder), log=log) as far:
        wait_until(lambda: log.read_text() == "True\n")
        silent_for(folder, 600)
        wait_until(lambda: time.time() - (folder / "holder.json").stat().st_mtime < 300)  # it gives signs
        with fold_lock(folder, timeout=0) as is_ours:
            assert not is_ours
        far.send_signal(signal.SIGSTOP)
        wait_until(lambda: psutil.Process(far.pid).status() == psutil.STATUS_STOPPED)
        with fold_lock(folder, timeout=0) as is_ours:
            assert not is_ours  # not yet
        silent_for(folder, 600)
        with fold_lock(folder, timeout=0) as is_ours:
            assert is_ours
            assert holder_of(folder) == f"process {os.getpid()} on {socket.gethostname()}"
            with fold_lock(folder, timeout=0) as is_a_second:
                assert not is_a_second
            far.send_signal(signal.SIGCONT)
            assert far.wait(timeout=60) == -signal.SIGTERM


def test_a_link_in_the_place_of_a_note_or_a_progress_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    for name in ("holder.json", ".holder.json.tmp", ".progress.json.tmp"):
        (tmp_path / name).symlink_to("victim")
    with fold_lock(tmp_path, timeout=0) as is_ours:
        assert is_ours
    write_progress(
        tmp_path, {"epoch": 0, "batch": 0, "batches": 1, "best_accuracy": 0.0, "seconds_per_epoch": 1.0, "time": 0.0}
    )
    assert (tmp_path / "victim").read_text() == "mine"


def test_a_checkpoint_folder_of_another_user_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    words = r"belongs to user .*name a folder of your own in AUDIOCNN_CHECKPOINTS"
    with pytest.raises(UserError, match=words), fold_lock(tmp_path / "fold_0", timeout=0):
        pass


def test_a_lock_of_another_host_says_whose_since_when_and_which_file_to_remove(tmp_path: Path) -> None:
    (tmp_path / "holder.json").write_text('{"pid": 7, "host": "far-away"}')
    words = holder_of(tmp_path)
    assert re.match(r"process 7 on far-away since \d{4}-\d\d-\d\d \d\d:\d\d ", words)
    assert f"remove {tmp_path / 'lock'}" in words
