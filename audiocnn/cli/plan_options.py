"""The options that `audiocnn train` and `audiocnn status` share: status must be told the same as train, to find it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audiocnn.config.params import Params
    from audiocnn.folds.plan import Plan


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    """What a fold's checkpoint is filed under, as options."""
    parser.add_argument(
        "--processed-dir",
        type=Path,
        default=Path("data/prepared"),
        metavar="DIR",
        help="the prepared data (default: data/prepared)",
    )
    parser.add_argument(
        "--checkpoint-dir", type=Path, metavar="DIR", help="where checkpoints are (default: checkpoints)"
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="instead of params.yaml's train.epochs")
    parser.add_argument("--batch-size", type=int, metavar="N", help="instead of train.batch_size")
    parser.add_argument("--learning-rate", type=float, metavar="LR", help="instead of train.lr")
    parser.add_argument("--folds", type=int, nargs="+", metavar="K", help="instead of params.yaml's folds")


def plan_of(options: argparse.Namespace) -> "tuple[Params, Plan]":
    """params.yaml with the command line's changes, and the plan that they make. Raises UserError."""
    from audiocnn.config.params import Params, read_params
    from audiocnn.config.runtime import checkpoint_root, read_runtime
    from audiocnn.config.settings import validate
    from audiocnn.folds.plan import make_plan

    values = read_params().model_dump()
    changes = {"epochs": options.epochs, "batch_size": options.batch_size, "lr": options.learning_rate}
    values["train"].update({name: value for name, value in changes.items() if value is not None})
    values["folds"] = options.folds or values["folds"]
    params = validate(Params, values, "the command line")
    root = options.checkpoint_dir or checkpoint_root()
    return params, make_plan(params, read_runtime(), options.processed_dir, root)
