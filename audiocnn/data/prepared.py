"""What `prepare` writes and everything after it reads: data/prepared's meta.json and array files. No torch here."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from audiocnn.config.outs import PREPARED
from audiocnn.config.settings import Settings, parse_json
from audiocnn.errors import UserError
from audiocnn.files import sha256_of_file

ARRAYS = ("features", "labels", "folds")
META = "meta.json"


class Meta(Settings):
    """meta.json: what the arrays hold.

    source: `demo`, `hub` or `folder`. classes: names, by label. folds: the dataset's own distinct fold numbers, sorted.
    digests: sha256 of each array's .npy file, by array name. recipe: how sound became spectrogram, where known.
    copied, contradicting: the clips that are identical, value for value, to one in another fold, to one of another
    label.
    """

    format: int = 1
    source: str
    classes: list[str]
    clips: int
    mels: int
    frames: int
    folds: list[int]
    digests: dict[str, str]
    recipe: dict[str, Any] | None = None
    copied: int = 0
    contradicting: int = 0

    def doubts(self) -> list[str]:
        """What keeps the results from saying anything about new clips, a sentence each."""
        of = f"of {self.clips} clips"
        doubts = (
            f"{self.copied} {of} are identical to one in another fold: what is held out was trained on as well, so the "
            "accuracy says little about new clips; put copies into one fold, or leave them out.",
            f"{self.contradicting} {of} are identical to one with another label: no network can get both right; fix "
            "their labels, or leave them out.",
        )
        return [doubt for count, doubt in zip((self.copied, self.contradicting), doubts, strict=True) if count]


def read_meta(folder: Path = PREPARED) -> Meta:
    """A prepared folder's meta.json. Raises UserError where it is missing or not what prepare writes."""
    path = folder / META
    try:
        return Meta.model_validate(parse_json(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"{path} is not here: run 'dvc repro prepare' first.") from None
    except (ValueError, ValidationError):
        raise UserError(f"{path} is damaged or from another version: run 'dvc repro -f prepare'.") from None


def verify_arrays(folder: Path, meta: Meta) -> None:
    """Raises UserError where an array file is not the one that meta.json describes."""
    for name in ARRAYS:
        path = folder / f"{name}.npy"
        if not path.exists():
            raise UserError(f"{path} is not here: run 'dvc repro prepare' first.")
        if sha256_of_file(path) != meta.digests.get(name):
            raise UserError(f"{path} is not what {folder / META} describes: run 'dvc repro -f prepare'.")
