"""`audiocnn publish`: the best models with everything that says what they are worth, in one commit."""

import argparse
from pathlib import Path

from audiocnn.cli.commands import Commands


def add_parser(commands: Commands) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("publish", help="push the best models, their results and a model card to the Hub")
    parser.add_argument("--repo", required=True, metavar="OWNER/NAME", help="made, for all to see, where there is none")
    parser.add_argument("--dry-run", type=Path, metavar="DIR", help="write what would be pushed into a folder instead")
    parser.add_argument("--yes-this-is-the-demo", action="store_true", help="publish results on synthetic sounds")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Pushes the release, or writes it into a new folder. Raises UserError."""
    from audiocnn.release.publish import publish

    publish(options.repo, options.dry_run, options.yes_this_is_the_demo)
