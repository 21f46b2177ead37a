"""The `audiocnn` command line. Each subcommand imports what it needs when it runs, so that `--help` is quick."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import audiocnn
from audiocnn.cli import (
    clean,
    compare,
    export,
    features,
    predict,
    preset,
    publish,
    report,
    results,
    status,
    train,
    upload,
    verify,
)
from audiocnn.errors import UserError, run_command

Command = Callable[[argparse.Namespace], int | None]

_COMMANDS = (results, compare, report, preset, train, status, clean, features, predict, export, publish, verify, upload)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `audiocnn ARGUMENTS` and returns its exit code: 0, 1 for an error a user can fix, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    return run_command(lambda: _run(options))


def _run(options: argparse.Namespace) -> int | None:
    check_own_code(Path.cwd())
    command: Command = options.run
    return command(options)


def check_own_code(here: Path) -> None:
    """Raises UserError in a copy of the project that is not the one whose code this is.

    In a second clone or worktree with the first one's environment, half of the code would be of the one and half of the
    other.
    """
    ours = Path(audiocnn.__file__).resolve().parent.parent
    for folder in (here.resolve(), *here.resolve().parents):
        if (folder / "audiocnn/__init__.py").exists() and (folder / "dvc.yaml").exists():
            if folder != ours:
                raise UserError(
                    f"this command is the code of {ours}, and {folder} is another copy of the project: make an "
                    "environment there and activate it, or type 'python -m audiocnn.cli' there instead of 'audiocnn'."
                )
            return


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="audiocnn", description="Train, cross-validate and use AudioCNN.")
    parser.add_argument("--version", action="version", version=f"audiocnn {audiocnn.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser
