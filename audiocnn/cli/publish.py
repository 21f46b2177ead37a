"""`audiocnn publish`: the best models with all that says what they are worth, in one commit; a page to try them on."""

import argparse
from pathlib import Path

from audiocnn.cli.commands import Commands
from audiocnn.errors import UserError


def add_parser(commands: Commands) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("publish", help="push the best models, their results and a model card to the Hub")
    to = parser.add_mutually_exclusive_group(required=True)
    to.add_argument("--repo", metavar="OWNER/NAME", help="the models; made, for all to see, where there is none")
    to.add_argument("--space", metavar="OWNER/NAME", help="instead, a page to try them on, a Space of Gradio")
    parser.add_argument(
        "--models",
        action="append",
        metavar="PLACE",
        help="of a Space: folder, file or hf://OWNER/NAME[@REV][/FILE] (models); repeat to average the networks of "
        "several runs",
    )
    parser.add_argument("--dry-run", type=Path, metavar="DIR", help="write what would be pushed into a folder instead")
    parser.add_argument("--yes-this-is-the-demo", action="store_true", help="publish results on synthetic sounds")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Pushes the release or the Space, or writes it into a new folder. Raises UserError."""
    if options.space is not None:
        from audiocnn.release.space import publish_space

        publish_space(options.space, options.models or ["models"], options.dry_run, options.yes_this_is_the_demo)
        return
    if options.models is not None:
        raise UserError("--models is of a Space, and --repo publishes what is in models/: leave it out.")
    from audiocnn.release.publish import publish

    publish(options.repo, options.dry_run, options.yes_this_is_the_demo)
