"""`audiocnn clean` lists and removes checkpoints that nothing resumes from, and no others."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from audiocnn.checkpoints.lock import fold_lock
from tests.support.projects import make_training_project

OLD = ("fold_0-0123456789abcdef", "fold_2-fedcba9876543210")


@pytest.fixture
def setting(tmp_path: Path) -> dict[str, Any]:
    """A project with a current fold's folder, two old ones, and things that are nobody's checkpoints."""
    setting = make_training_project(tmp_path / "project")
    checkpoints = tmp_path / "project/checkpoints"
    for name in (*OLD, "fold_0-mine", "logs"):
        (checkpoints / name).mkdir(parents=True)
        (checkpoints / name / "epoch_0.pt").write_bytes(bytes(1_000_000))
    (tmp_path / "elsewhere").mkdir()
    (checkpoints / "fold_1-0000000000000000").symlink_to(tmp_path / "elsewhere")
    code = "from stages.train_fold import plan_from_files as p; p().folder(1).mkdir(parents=True)"
    subprocess.run([sys.executable, "-c", code], **setting, check=True)
    return setting


def clean(setting: dict[str, Any], *options: str) -> str:
    command = [sys.executable, "-m", "audiocnn.cli", "clean", *options]
    done = subprocess.run(command, **setting, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def folders(setting: dict[str, Any]) -> set[str]:
    return {path.name for path in (Path(setting["cwd"]) / "checkpoints").iterdir()}


def test_it_lists_what_nothing_resumes_from_and_removes_it_when_asked(setting: dict[str, Any]) -> None:
    before = folders(setting)
    listed = clean(setting)
    assert [line.split("/")[-1] for line in listed.splitlines()[:-1]] == list(OLD)
    assert "2.0 MB" in listed.splitlines()[-1]
    assert folders(setting) == before
    clean(setting, "--remove")
    assert folders(setting) == before - set(OLD)
    assert clean(setting, "--remove").split() == ["0.0", "MB", "removed"]


def test_it_never_removes_the_checkpoints_of_a_running_fold(setting: dict[str, Any]) -> None:
    with fold_lock(Path(setting["cwd"]) / "checkpoints" / OLD[0], timeout=0) as is_ours:
        assert is_ours
        clean(setting, "--remove")
        assert OLD[0] in folders(setting)
        assert OLD[1] not in folders(setting)
