"""`python -m stages`, which `make repro` runs: `dvc repro`, one line at Ctrl-C, one table, and a word without git."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.clones import Project, make_clone
from tests.support.terminal import CTRL_C, terminal

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])  # DVC runs a stage by SHELL, or else by /bin/sh
def test_ctrl_c_ends_a_run_in_one_clean_line(shell: str, tmp_path: Path) -> None:
    project = make_clone(tmp_path / "clone")
    project.set_params(train={"epochs": 100_000, "early_stopping_patience": 100_000})
    with terminal(project.command(), "env", f"SHELL={shell}", sys.executable, "-m", "stages") as screen:
        screen.read_until(lambda: re.search(r"fold 0: epoch \d{1,6} of", screen.shown()))
        screen.press(CTRL_C)
        assert screen.read_to_end() == 130, screen.shown()
        *_, before, last = screen.shown().splitlines()
    assert last == "stopped by SIGINT: run the same command again to resume."
    assert before.startswith("fold ")
    assert "ERROR" not in screen.shown()


def test_the_table_is_left_to_the_command_that_ends_make_repro(trained: Project) -> None:
    again = "--force", "--single-item", "aggregate"
    assert "AudioCNN, 3 folds" in trained.dvc("repro", *again)
    assert "AudioCNN, 3 folds" not in trained.run("python", "-m", "stages", *again)


def test_without_git_it_says_what_makes_it_work(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "from a ZIP")
    shutil.rmtree(project.path / ".git")
    printed = project.run("python", "-m", "stages", expect=1)
    assert "is no git clone (a ZIP has no history), which DVC expects" in printed
    assert printed.count("\n") == 1
    project.dvc("config", "--local", "core.no_scm", "true")
    assert "up to date" in project.run("python", "-m", "stages")
    assert "this folder is no git clone" in project.run("audiocnn", "results")
    (project.path / ".dvc/config.local").unlink()
    project.run("git", "init", "-q")
    assert "up to date" in project.run("python", "-m", "stages")
