"""Every subcommand says what it does, what each option means, and how it is typed."""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from audiocnn.cli.examples import EXAMPLES
from audiocnn.cli.main import _parser as make_parser
from audiocnn.cli.main import check_root
from audiocnn.errors import UserError
from tests.support.paths import ROOT
from tests.support.processes import environment

PARSER = make_parser()
COMMANDS = next(action for action in PARSER._actions if isinstance(action, argparse._SubParsersAction)).choices


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_a_sentence_a_text_for_each_option_and_examples_that_parse(name: str) -> None:
    parser = COMMANDS[name]
    assert parser.description.endswith((".", "?"))
    assert [action.dest for action in parser._actions if not action.help] == []
    head, _, examples = parser.format_help().partition("Examples:\n")
    assert parser.description.split()[0] in head
    lines = [line.strip() for line in examples.splitlines()]
    assert lines == list(EXAMPLES[name])
    for line in lines:
        words = shlex.split(line.split(" > ")[0])
        assert PARSER.parse_args(words[1:]).command == name


def test_python_m_audiocnn_is_the_command_and_prints_completions() -> None:
    command = [sys.executable, "-m", "audiocnn", "--print-completion", "bash"]
    script = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True).stdout
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert all(name in script for name in COMMANDS)


def test_a_folder_below_the_root_is_told_where_to_go() -> None:
    check_root(ROOT)
    with pytest.raises(UserError, match=r"lies below the project, and this command works in its root: run 'cd /"):
        check_root(ROOT / "docs")


def test_elsewhere_the_command_may_run(tmp_path: Path) -> None:
    check_root(tmp_path)
