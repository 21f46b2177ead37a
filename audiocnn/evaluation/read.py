"""Reading metrics/ back: the summary, the tables, and what their columns tell."""

import csv
import io
from collections.abc import Container
from pathlib import Path
from typing import Any

from audiocnn.config.dvc_lock import check_settled
from audiocnn.config.settings import parse_json
from audiocnn.errors import UserError

WHOLE_NUMBERS = ("fold", "dataset_fold", "best_epoch", "epochs")  # folds.csv's columns that are not metrics


def read_metrics(path: Path) -> Any:
    """The value of metrics/summary.json, or the rows of a CSV beside it as dictionaries of text. Raises UserError."""
    try:
        content = path.read_bytes()
        check_settled(content, str(path))
        text = content.decode()
        return _summary(text) if path.suffix == ".json" else csv_rows(text)
    except FileNotFoundError:
        raise UserError(f"{path} is not here: run 'dvc repro', or restore it with 'git checkout metrics'.") from None
    except ValueError:
        raise UserError(f"{path} is damaged: restore it with 'git checkout metrics', or run 'dvc repro'.") from None


def damaged(metrics: Path) -> UserError:
    """The error where files in metrics/ can be read, but what they hold cannot be."""
    return UserError(
        f"the files in {metrics} are damaged or not of one run: restore them with 'git checkout metrics', or run "
        "'dvc repro'."
    )


def csv_rows(text: str) -> list[dict[str, str]]:
    """A CSV's rows. Raises ValueError where there is none, or one has too many or too few cells."""
    try:
        rows = list(csv.DictReader(io.StringIO(text)))
    except csv.Error as error:  # a cell of more than 131,072 characters, for example
        raise ValueError from error
    if not rows or any(None in row or None in row.values() for row in rows):
        raise ValueError
    return rows


def validation_of(columns: Container[str]) -> str:
    """train.validation of the run whose folds.csv has these columns: `held_out` has no test_acc, `none` no val_acc."""
    if "test_acc" not in columns:
        return "held_out"
    return "previous_fold" if "val_acc" in columns else "none"


def headline_metrics(validation: str) -> tuple[str, str]:
    """The accuracy and the loss that count: of the held-out fold where it was read once, after training."""
    return ("val_acc", "val_loss") if validation == "held_out" else ("test_acc", "test_loss")


def _summary(text: str) -> dict[str, Any]:
    value = parse_json(text)
    if not isinstance(value, dict) or not {"dataset", "folds", "protocol"} <= value.keys():
        raise ValueError
    if not isinstance(value["dataset"], str):
        raise ValueError
    return value
