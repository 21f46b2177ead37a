"""`audiocnn preset`: writes a named set of values into params.yaml."""

import argparse

from audiocnn.cli.commands import Commands
from audiocnn.text import displayed


def add_parser(commands: Commands) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("preset", help="write a named set of values into params.yaml")
    parser.add_argument("name", choices=("published", "accurate", "speech"), help="which set")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Writes the values and prints each that changed. Raises UserError."""
    from audiocnn.config.presets import write_preset

    print("\n".join(map(displayed, write_preset(options.name))) or f"params.yaml holds preset {options.name} already.")
