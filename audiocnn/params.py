"""params.yaml: everything that decides the result. The defaults are the published procedure."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from audiocnn.settings import Settings, read_settings

PARAMS_FILE = Path("params.yaml")
PICKLES = ("features.pkl", "labels.pkl", "folds.pkl", "class_mapping.pkl")
RECIPE = "recipe.json"

Positive = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Dropout = Annotated[float, Field(ge=0.0, lt=1.0)]


class DataParams(Settings):
    """Where the dataset comes from, and what its files must hold.

    source: `demo`, `hf://datasets/OWNER/NAME@REVISION`, or a folder.
    sha256: by file name, 64 hex digits; other bytes are refused.
    """

    source: str = "demo"
    sha256: dict[str, str] = Field(default={})

    @field_validator("source")
    @classmethod
    def _not_empty(cls, source: str) -> str:
        if not source.strip():
            raise ValueError("demo, hf://datasets/OWNER/NAME@REVISION or a folder")
        return source

    @field_validator("sha256")
    @classmethod
    def _names_and_digests(cls, digests: dict[str, str]) -> dict[str, str]:
        for name, digest in digests.items():
            if name not in (*PICKLES, RECIPE):
                raise ValueError(f"names among {', '.join((*PICKLES, RECIPE))}, not {name!r}")
            if not re.fullmatch("[0-9a-f]{64}", digest):
                raise ValueError(f"64 lower-case hex digits for {name}, not {digest!r}")
        return digests


class ModelParams(Settings):
    """AudioCNN's free sizes: channels of the three encoder blocks and of the Conv1d, hidden units, dropout shares."""

    encoder_channels: Annotated[tuple[Positive, Positive, Positive], Field(strict=False)] = (32, 64, 128)
    conv1d_channels: Positive = 64
    hidden_units: Positive = 128
    encoder_dropout: Dropout = 0.2
    head_dropout: Dropout = 0.5


class TrainParams(Settings):
    """The training procedure of one fold (Adam, cross-entropy, ReduceLROnPlateau, early stopping).

    precision: `tf32` lets a GPU multiply with 10 bits of mantissa; `bf16` runs convolutions and products in bfloat16.
    """

    seed: Natural = 0
    epochs: Positive = 50
    batch_size: Positive = 32
    lr: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] = 1e-3
    lr_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.2
    lr_patience: Natural = 5
    min_lr: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 1e-5
    early_stopping_patience: Positive = 10
    validation: Literal["held_out", "previous_fold"] = "held_out"
    threads: Positive = 1
    precision: Literal["float32", "tf32", "bf16"] = "float32"


class Params(Settings):
    """params.yaml as a whole. `folds` are indices into the dataset's sorted distinct fold numbers."""

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
