"""What of a dataset stands on both sides of a split, in numbers: leaks.json, and the line that says it."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from audiocnn.config.data_params import LEAKS
from audiocnn.config.settings import Settings
from audiocnn.errors import UserError

_Count = Annotated[int, Field(ge=0)]


class LeakCounts(Settings):
    """leaks.json. groups: that stand in two folds or more, None where no groups are known. same, similar: pairs of
    clips in two folds that are the same sound, and nearly the same.
    """

    groups: _Count | None
    same: _Count
    similar: _Count

    @property
    def sentence(self) -> str:
        """One line for a terminal, a report or a card."""
        known = "no groups are known" if self.groups is None else f"groups in two folds: {self.groups}"
        pairs = f"{self.same} of the same sound, {self.similar} of nearly the same"
        return f"looked for: {known}; pairs of clips in two folds: {pairs}"


def read_leaks(folder: Path) -> LeakCounts | None:
    """leaks.json of a folder; None where it has none, so leaks were not looked for. Raises UserError."""
    path = folder / LEAKS
    try:
        return LeakCounts.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        raise UserError(f"{path} is not what 'audiocnn features' writes: make it again, or leave it out.") from None
