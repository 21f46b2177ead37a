"""params.yaml as a whole: everything that decides the result, validated in one piece before any stage starts.

The groups have modules of their own, so that a stage lists in its `deps` only the groups that decide its result. This
module is in nobody's `deps`: the values that it hands on are in dvc.lock, as params.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from audiocnn.config.data_params import DataParams
from audiocnn.config.model_params import ModelParams
from audiocnn.config.settings import Settings, read_settings
from audiocnn.config.train_params import Natural, TrainParams

PARAMS_FILE = Path("params.yaml")


class Params(Settings):
    """params.yaml. `folds` are indices into the dataset's sorted distinct fold numbers."""

    folds: Annotated[tuple[Natural, ...], Field(strict=False, min_length=1)]
    data: DataParams = DataParams()
    model: ModelParams = ModelParams()
    train: TrainParams = TrainParams()

    @field_validator("folds")
    @classmethod
    def _distinct(cls, folds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(folds)) != len(folds):
            raise ValueError("each fold once")
        return folds


def read_params(path: Path = PARAMS_FILE) -> Params:
    """params.yaml, validated. Raises UserError."""
    return read_settings(path, Params)
