"""A service that does not answer, noted beside the checkpoints, so that not every fold waits to find that out."""

import contextlib
import time
from pathlib import Path
from typing import NamedTuple

from audiocnn.config.settings import parse_json
from audiocnn.files import write_json

_MEMORY = 600.0  # seconds for which a service that failed is not asked again, by any process


class Outage(NamedTuple):
    """reason: half a sentence. seconds: until the service is asked again."""

    reason: str
    seconds: float


def remember_outage(root: Path, service: str, reason: str, configuration: str = "") -> None:
    """Notes that a service failed. configuration: with another one it is asked all the same. Never raises OSError."""
    memory = {"configuration": configuration, "reason": reason, "until": time.time() + _MEMORY}
    with contextlib.suppress(OSError):
        write_json(_file(root, service), memory)


def outage_of(root: Path, service: str, configuration: str = "") -> Outage | None:
    """The outage of a service that was noted less than _MEMORY seconds ago, if any."""
    try:
        memory = parse_json(_file(root, service).read_bytes())
        seconds = float(memory["until"]) - time.time()
        if memory["configuration"] == configuration and 0 < seconds <= _MEMORY:
            return Outage(str(memory["reason"]), seconds)
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        pass  # none was noted, or it cannot be read
    return None


def _file(root: Path, service: str) -> Path:
    return root / f"{service}_unavailable.json"
