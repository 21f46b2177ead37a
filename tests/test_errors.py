"""A command that fails ends in one harmless sentence and an exit code."""

import errno
import os
import subprocess
import sys

import pytest

from audiocnn.errors import UserError, run_command
from tests.support.paths import ROOT
from tests.support.processes import environment


def fail_with(error: Exception) -> None:
    raise error


def test_no_control_character_of_a_message_reaches_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(lambda: fail_with(UserError("clip \x1b[2J\u202e\nerror: all is well"))) == 1
    error = capsys.readouterr().err
    assert error == "error: clip \ufffd[2J\ufffd\ufffderror: all is well\n"


def test_what_a_terminal_cannot_show_is_shown_as_an_escape() -> None:
    code = "from audiocnn.errors import run_command; run_command(lambda: print('\u72ac'))"
    variables = environment(PYTHONIOENCODING="latin-1")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=variables, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\\u72ac\n", "")


def test_a_stage_run_by_another_python_says_which_environment_is_missing() -> None:
    command = [sys.executable, "-S", "-m", "stages.fetch"]  # -S: without what is installed, as another Python is
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "activate the environment" in done.stderr


@pytest.mark.parametrize("number", sorted(set(errno.errorcode) - {errno.EPIPE, errno.ESHUTDOWN}))  # the reader is gone
def test_whatever_the_system_refuses_ends_in_a_sentence(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    code = run_command(lambda: fail_with(OSError(number, os.strerror(number), "checkpoints/lock")))
    error = capsys.readouterr().err
    assert (code, error.count("\n")) == (1, 1)
    assert error.startswith("error: cannot ")
    assert "checkpoints/lock" in error
