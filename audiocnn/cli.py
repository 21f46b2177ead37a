"""The `audiocnn` command. Each subcommand imports what it needs when it runs, so that `--help` is quick."""

import argparse
import sys
from collections.abc import Callable, Sequence

from audiocnn import __version__
from audiocnn.errors import run_command

Command = Callable[[argparse.Namespace], int | None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `audiocnn ARGUMENTS` and returns its exit code: 0, 1 for an error a user can mend, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    command: Command = options.command
    return run_command(lambda: command(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="audiocnn", description="Train, cross-validate and use AudioCNN.")
    parser.add_argument("--version", action="version", version=f"audiocnn {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_results(commands)
    return parser


def _add_results(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("results", help="print the table of results and compare it with the committed one")
    parser.set_defaults(command=_results)


def _results(options: argparse.Namespace) -> None:
    from audiocnn.results import print_results

    print_results()


if __name__ == "__main__":
    sys.exit(main())
