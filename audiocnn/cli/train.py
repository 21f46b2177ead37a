"""`audiocnn train`: the whole cross-validation without DVC, or, once there is one, the network on all clips."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audiocnn.cli.commands import Commands
from audiocnn.cli.plan_options import add_plan_options, plan_of
from audiocnn.cli.status import print_status
from audiocnn.config.all_clips import ALL_CLIPS

if TYPE_CHECKING:
    from audiocnn.config.params import Params
    from audiocnn.config.runtime import Runtime
    from audiocnn.folds.plan import Plan
    from audiocnn.processes import StopSignal


def add_parser(commands: Commands) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("train", help="the whole cross-validation without DVC, or one network on all clips")
    parser.add_argument("--model-dir", type=Path, default=Path("models"), metavar="DIR", help="for results (models)")
    parser.add_argument("--all-clips", action="store_true", help="one network on all clips, after the cross-validation")
    add_plan_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Trains what is not finished of the cross-validation, or of the network on all clips. Raises UserError."""
    from audiocnn.config.runtime import read_runtime
    from audiocnn.processes import StopSignal

    params, plan = plan_of(options)
    train = _train_all_clips if options.all_clips else _cross_validate
    train(params, plan, read_runtime(), StopSignal(), options.model_dir)


def _cross_validate(params: "Params", plan: "Plan", runtime: "Runtime", stop: "StopSignal", folder: Path) -> None:
    """Trains the folds that are not finished, and writes the weights, results, metrics and histories of all of them.

    All of it goes into the folder: model_fold_k_best.safetensors and all_fold_histories.pkl there, as in models/, and
    folds/ and metrics/ below it. Raises UserError.
    """
    from audiocnn.checkpoints.failure import forget_error
    from audiocnn.folds.supervisor import train_folds

    for fold in params.folds:
        forget_error(plan.folder(fold))
        if plan.results(fold) is not None:
            print(f"fold {fold}: finished before, skipped")
    try:
        train_folds(plan, params.folds, runtime, stop)
        _write_results(plan, params.folds, folder)
    finally:
        print_status(plan, params.folds)


def _train_all_clips(params: "Params", plan: "Plan", runtime: "Runtime", stop: "StopSignal", folder: Path) -> None:
    """Trains the network on all clips as long as the finished cross-validation says, and writes it with its record."""
    from audiocnn.checkpoints.failure import error_of, forget_error
    from audiocnn.config.runtime import HubSettings
    from audiocnn.errors import UserError
    from audiocnn.folds.all_clips import all_clips_plan, finished_folds, what_it_is_worth, write_all_clips
    from audiocnn.folds.dvc import current_session
    from audiocnn.folds.supervisor import train_folds

    results = finished_folds(plan, params.folds)
    own = all_clips_plan(plan, results)
    clips, epochs = plan.meta.clips, own.train.epochs
    print(f"all {clips} clips; epochs: {epochs}, the median of those that the {len(results)} folds' weights took")
    forget_error(own.folder(ALL_CLIPS))
    try:
        # Nothing is uploaded: what the Hub gets is what 'audiocnn publish' puts beside a card.
        train_folds(own, [ALL_CLIPS], runtime.model_copy(update={"hub": HubSettings()}), stop)
    finally:
        print_status(plan, params.folds)
    path = write_all_clips(own, results, folder)
    if path is None:
        failure = error_of(own.folder(ALL_CLIPS), current_session())
        raise UserError(failure or "the network on all clips did not finish: run this again.")
    print(f"\n{path}: {what_it_is_worth(clips, epochs, results)}")


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
