"""`audiocnn train`: the whole cross-validation without DVC, by the functions that the pipeline's stages use."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from audiocnn.aggregation import write_outs
from audiocnn.crossval import Plan, current_session, make_plan, train_folds
from audiocnn.errors import UserError
from audiocnn.files import write_atomically
from audiocnn.fold_results import read_fold_results
from audiocnn.params import Params, read_params
from audiocnn.results import print_table
from audiocnn.runtime import checkpoint_root, read_runtime
from audiocnn.settings import validate
from audiocnn.signals import StopSignal
from audiocnn.status import print_status
from audiocnn.workers import error_of, forget_error


def train(options: argparse.Namespace) -> None:
    """Trains the folds that are not finished, and writes the weights, results, metrics and histories of all of them.

    All of it goes into --model-dir: model_fold_k_best.safetensors and all_fold_histories.pkl there, as in models/, and
    folds/ and metrics/ below it.
    """
    params, plan = plan_of(options)
    runtime = read_runtime()
    stop = StopSignal()
    for fold in params.folds:
        forget_error(plan.folder(fold))
        if plan.results(fold) is not None:
            print(f"fold {fold}: finished before, skipped")
    try:
        train_folds(plan, params.folds, runtime, stop)
        publish(plan, params.folds, options.model_dir)
    finally:
        print_status(plan, params.folds)


def plan_of(options: argparse.Namespace) -> tuple[Params, Plan]:
    """params.yaml with the command line's changes, and the plan that they make. Raises UserError."""
    values = read_params().model_dump()
    changes = {"epochs": options.epochs, "batch_size": options.batch_size, "lr": options.learning_rate}
    values["train"].update({name: value for name, value in changes.items() if value is not None})
    values["folds"] = options.folds or values["folds"]
    params = validate(Params, values, "the command line")
    root = options.checkpoint_dir or checkpoint_root()
    return params, make_plan(params, read_runtime(), options.processed_dir, root)


def publish(plan: Plan, folds: Sequence[int], folder: Path) -> None:
    """Copies the folds' results out of their checkpoint folders, and aggregates them."""
    session = current_session()
    for fold in folds:
        results = plan.results(fold)
        if results is None:
            raise UserError(error_of(plan.folder(fold), session) or f"fold {fold} did not finish: run this again.")
        for name, content in results.items():
            write_atomically((folder / "folds" if name.endswith(".json") else folder) / name, content)
    write_outs(read_fold_results(folds, folder / "folds"), folder / "metrics", folder / "all_fold_histories.pkl")
    print_table(folder / "metrics")
