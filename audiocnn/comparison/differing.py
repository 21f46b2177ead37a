"""Which names differ in value between two mappings."""

from collections.abc import Mapping
from typing import Any


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The names whose value differs between two mappings, in order; a missing one counts as None."""
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
