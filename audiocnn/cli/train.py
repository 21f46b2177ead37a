"""`audiocnn train`: the whole cross-validation without DVC, by the functions that the pipeline's stages use."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audiocnn.cli.commands import Commands
from audiocnn.cli.plan_options import add_plan_options, plan_of
from audiocnn.cli.status import print_status

if TYPE_CHECKING:
    from audiocnn.folds.plan import Plan


def add_parser(commands: Commands) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("train", help="the whole cross-validation without DVC")
    parser.add_argument("--model-dir", type=Path, default=Path("models"), metavar="DIR", help="for results (models)")
    add_plan_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Trains the folds that are not finished, and writes the weights, results, metrics and histories of all of them.

    All of it goes into --model-dir: model_fold_k_best.safetensors and all_fold_histories.pkl there, as in models/, and
    folds/ and metrics/ below it. Raises UserError.
    """
    from audiocnn.checkpoints.failure import forget_error
    from audiocnn.config.runtime import read_runtime
    from audiocnn.folds.supervisor import train_folds
    from audiocnn.processes import StopSignal

    params, plan = plan_of(options)
    runtime = read_runtime()
    stop = StopSignal()
    for fold in params.folds:
        forget_error(plan.folder(fold))
        if plan.results(fold) is not None:
            print(f"fold {fold}: finished before, skipped")
    try:
        train_folds(plan, params.folds, runtime, stop)
        _write_results(plan, params.folds, options.model_dir)
    finally:
        print_status(plan, params.folds)


def _write_results(plan: "Plan", folds: Sequence[int], folder: Path) -> None:
    """Copies the folds' results out of their checkpoint folders, and aggregates them."""
    from audiocnn.checkpoints.failure import error_of
    from audiocnn.errors import UserError
    from audiocnn.evaluation.fold_results import read_fold_results
    from audiocnn.evaluation.table import print_table
    from audiocnn.evaluation.write import write_outs
    from audiocnn.files import write_atomically
    from audiocnn.folds.dvc import current_session

    session = current_session()
    for fold in folds:
        results = plan.results(fold)
        if results is None:
            raise UserError(error_of(plan.folder(fold), session) or f"fold {fold} did not finish: run this again.")
        for name, content in results.items():
            write_atomically((folder / "folds" if name.endswith(".json") else folder) / name, content)
    write_outs(read_fold_results(folds, folder / "folds"), folder / "metrics", folder / "all_fold_histories.pkl")
    print_table(folder / "metrics")
