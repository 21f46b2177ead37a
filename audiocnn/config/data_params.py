"""The `data` group of params.yaml: where the dataset comes from. fetch depends on it, training does not."""

import re
from typing import Literal

from pydantic import Field, field_validator

from audiocnn.config.settings import Settings

PICKLES = ("features.pkl", "labels.pkl", "folds.pkl", "class_mapping.pkl")
RECIPE = "recipe.json"
LEAKS = "leaks.json"
CLIPS = "clips.csv"
"""The recording behind each row; the report reads it, no result depends on it."""
ARRAYS = ("features.npy", "labels.npy", "folds.npy")
"""What may stand in the place of the pickles of the same name."""
DATASET_FILES = (*PICKLES, *ARRAYS, RECIPE, LEAKS, CLIPS)

SourceKind = Literal["demo", "hub", "folder"]


def source_kind(source: str) -> SourceKind:
    """The kind of source that `data.source` names."""
    if source == "demo":
        return "demo"
    return "hub" if source.startswith("hf://") else "folder"


def without_password(source: str) -> str:
    """A source as a message may repeat it: without the user and password of an address."""
    return re.sub(r"(\w+://)[^/\s]*@", r"\1", source)


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
            if name not in DATASET_FILES:
                raise ValueError(f"names among {', '.join(DATASET_FILES)}, not {name!r}")
            if not re.fullmatch("[0-9a-f]{64}", digest):
                raise ValueError(f"64 lower-case hex digits for {name}, not {digest!r}")
        return digests
