"""How repositories of the Hugging Face Hub are written in settings and on command lines."""

import re
from typing import NamedTuple

_REPOSITORY = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
_REVISION = r"(?:@(?P<revision>[\w./+-]+))?"
REPOSITORY_PATTERN = f"^{_REPOSITORY}$"
DATASETS = "hf://datasets/"


class HubName(NamedTuple):
    """A repository, OWNER/NAME, at a revision: 40 hex digits, or a branch or tag that may move."""

    repository: str
    revision: str


def is_repository(name: str) -> bool:
    """Whether a text is OWNER/NAME."""
    return re.fullmatch(_REPOSITORY, name) is not None


def is_commit(revision: str) -> bool:
    """Whether a revision is a commit, 40 hex digits, and so never moves."""
    return re.fullmatch("[0-9a-f]{40}", revision) is not None


def dataset_name(address: str) -> HubName | None:
    """What hf://datasets/OWNER/NAME[@REVISION] names, by default the branch main; None for other texts."""
    return _name(re.fullmatch(f"{DATASETS}(?P<repository>{_REPOSITORY}){_REVISION}", address))


def model_name(address: str) -> HubName | None:
    """What [hf://]OWNER/NAME[@REVISION] names, by default the branch main; None for other texts."""
    return _name(re.fullmatch(f"(?:hf://)?(?P<repository>{_REPOSITORY}){_REVISION}", address))


def _name(match: re.Match[str] | None) -> HubName | None:
    return None if match is None else HubName(match["repository"], match["revision"] or "main")
