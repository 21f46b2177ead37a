"""The `audiocnn` command line. Each subcommand imports what it needs when it runs, so that `--help` is quick."""

import argparse
from collections.abc import Callable, Sequence

from audiocnn import __version__
from audiocnn.cli import compare, features, predict, preset, publish, report, results, status, train, upload, verify
from audiocnn.errors import run_command

Command = Callable[[argparse.Namespace], int | None]

_COMMANDS = (results, compare, report, preset, train, status, features, predict, publish, verify, upload)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `audiocnn ARGUMENTS` and returns its exit code: 0, 1 for an error a user can fix, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    command: Command = options.run
    return run_command(lambda: command(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="audiocnn", description="Train, cross-validate and use AudioCNN.")
    parser.add_argument("--version", action="version", version=f"audiocnn {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser
