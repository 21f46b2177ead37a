"""The `audiocnn` command line. Each subcommand imports what it needs when it runs, so that `--help` is quick."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import shtab

import audiocnn
from audiocnn.cli import (
    clean,
    compare,
    experiments,
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
from audiocnn.cli.examples import EXAMPLES
from audiocnn.errors import UserError, run_command

Command = Callable[[argparse.Namespace], int | None]

# In the order in which one comes to need them.
_COMMANDS = (
    features,
    preset,
    train,
    status,
    results,
    report,
    compare,
    experiments,
    predict,
    export,
    publish,
    verify,
    upload,
    clean,
)
# They read and write what lies in the project's root.
_IN_ROOT = {"preset", "train", "status", "compare", "experiments", "publish", "upload", "clean"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `audiocnn ARGUMENTS` and returns its exit code: 0, 1 for an error a user can fix, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    return run_command(lambda: _run(options))


def _run(options: argparse.Namespace) -> int | None:
    check_own_code(Path.cwd())
    if options.command in _IN_ROOT or getattr(options, "folder", None) == Path():
        check_root(Path.cwd())
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
                    "environment there and activate it, or type 'python -m audiocnn' there instead of 'audiocnn'."
                )
            return


def check_root(here: Path) -> None:
    """Raises UserError in a folder below the project's root, where nothing of what is asked for lies."""
    ours = Path(audiocnn.__file__).resolve().parent.parent
    if ours in here.resolve().parents and not (here / "params.yaml").exists():
        raise UserError(f"{here} lies below the project, and this command works in its root: run 'cd {ours}' first.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="audiocnn",
        description="Train, cross-validate and use AudioCNN.",
        epilog="'audiocnn COMMAND --help' has a command's options and examples. Tab completion: add "
        "'eval \"$(audiocnn --print-completion bash)\"' to ~/.bashrc.",
    )
    parser.add_argument("--version", action="version", version=f"audiocnn {audiocnn.__version__}")
    shtab.add_argument_to(parser, ["--print-completion"], help="print what a shell needs for tab completion")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for command in _COMMANDS:
        command.add_parser(commands)
    says = {action.dest: action.help for action in commands._get_subactions()}
    for name, subparser in commands.choices.items():
        _complete(subparser, name, says[name] or "")
    return parser


def _complete(parser: argparse.ArgumentParser, name: str, sentence: str) -> None:
    """What all subcommands have: a sentence above the options, examples below, files where a path is asked for."""
    parser.description = f"{sentence[0].upper()}{sentence[1:]}{'' if sentence.endswith('?') else '.'}"
    parser.epilog = "\n  ".join(["Examples:", *EXAMPLES.get(name, ())])
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    for action in parser._actions:
        if action.type is Path or action.metavar in ("FILE", "PLACE"):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
