"""The error that a fold ended with, left in its folder by the worker for the stage of that fold to report."""

from pathlib import Path

from audiocnn.checkpoints.folder import FAILURE
from audiocnn.config.settings import parse_json
from audiocnn.files import write_json


def record_error(folder: Path, session: str, message: str) -> None:
    """Leaves a fold's error in its folder. session: the dvc run that it ended in."""
    write_json(folder / FAILURE, {"session": session, "message": message})


def error_of(folder: Path, session: str) -> str | None:
    """The error that a fold ended with in this dvc run, if it did."""
    try:
        error = parse_json((folder / FAILURE).read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(error, dict) or error.get("session") != session:
        return None
    return str(error.get("message", "it failed, and its error.json does not say why"))


def forget_error(folder: Path) -> None:
    """Forgets a fold's error, before it is tried again."""
    (folder / FAILURE).unlink(missing_ok=True)
