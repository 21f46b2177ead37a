"""What the stages write, by the names that dvc.yaml has for their outs. Another name here is another out there."""

import re
from pathlib import Path

RAW = Path("data/raw")
PREPARED = Path("data/prepared")
MODELS = Path("models")
HISTORIES = MODELS / "all_fold_histories.pkl"
FOLD_RESULTS = Path("results/folds")
METRICS = Path("metrics")

_WEIGHTS = re.compile(r"model_fold_(0|[1-9][0-9]{0,3})_best\.safetensors")


def weights_name(number: int) -> str:
    """The file name of a fold's best weights."""
    return f"model_fold_{number}_best.safetensors"


def weights_number(name: str) -> int | None:
    """The fold's number in the file name of best weights; None where the file is called otherwise."""
    match = _WEIGHTS.fullmatch(name)
    return int(match[1]) if match else None


def fold_result_name(fold: int) -> str:
    """The file name of a fold's result."""
    return f"fold_{fold}.json"
