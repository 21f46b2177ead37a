"""`audiocnn upload`: uploads what the folds of params.yaml have and the Hub's repository lacks."""

import argparse

from audiocnn.cli.commands import Commands


def add_parser(commands: Commands) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("upload", help="upload the weights that runtime.yaml's hub.model_repo still lacks")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Uploads what is missing and says how much that was. Raises UserError."""
    from audiocnn.config.outs import PREPARED
    from audiocnn.config.params import read_params
    from audiocnn.config.runtime import read_runtime
    from audiocnn.errors import UserError
    from audiocnn.folds.ledger import is_wanted
    from audiocnn.folds.plan import make_plan
    from audiocnn.folds.uploader import upload_missing

    params, runtime = read_params(), read_runtime()
    if not is_wanted(runtime.hub):
        raise UserError("runtime.yaml names nothing to upload: set hub.model_repo to OWNER/NAME and hub.upload.")
    plan = make_plan(params, runtime, PREPARED)
    count = upload_missing(runtime.hub, plan.root, {fold: plan.folder(fold) for fold in params.folds})
    print(f"{count} files uploaded to {runtime.hub.model_repo}; what the checkpoints have is all there.")
