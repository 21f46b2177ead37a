"""A command that fails ends in one harmless sentence and an exit code."""

import pytest

from audiocnn.errors import UserError, run_command


def fail_with(error: Exception) -> None:
    raise error


def test_no_control_character_of_a_message_reaches_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(lambda: fail_with(UserError("clip \x1b[2J\u202e\nerror: all is well"))) == 1
    error = capsys.readouterr().err
    assert error == "error: clip \ufffd[2J\ufffd\ufffderror: all is well\n"
