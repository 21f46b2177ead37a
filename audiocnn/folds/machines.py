"""machine.json in a fold's folder: the machine that trains it, or did, and the kind of that machine's arithmetic.

Beside the checkpoint and in no result: the same bytes say nothing of where they were made.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict, cast

from audiocnn.checkpoints.folder import fold_folder
from audiocnn.files import write_json

_MACHINE = "machine.json"
_SHOWN = 8  # hex digits of a kind


class Machine(TypedDict):
    """machine: its name. cpu: its processor's. kind: the digest of what it computes (audiocnn.folds.canary).

    attempt: how often the fold was handed out, from 1.
    """

    machine: str
    cpu: str
    kind: str
    attempt: int


def write_machine(folder: Path, machine: Machine) -> None:
    """Notes where a fold trains from here on."""
    write_json(folder / _MACHINE, machine)


def machine_of(folder: Path) -> Machine | None:
    """Where a fold trains, or trained last; None where it trained on this machine."""
    try:
        machine = json.loads((folder / _MACHINE).read_bytes())
    except (OSError, ValueError):
        return None
    names = Machine.__annotations__
    if not isinstance(machine, dict) or any(type(machine.get(n)) not in (int, str) for n in names):
        return None
    return cast(Machine, machine)


def kinds_note(root: Path, keys: Mapping[int, str]) -> str:
    """A sentence on which fold was trained by which kind of arithmetic; empty where all are of one kind.

    keys: the KEYs of finished folds, by fold. Folds of this machine, or from elsewhere without a record, do not count.
    """
    kinds: dict[str, list[int]] = {}
    cpus: dict[str, str] = {}
    for fold, key in keys.items():
        if machine := machine_of(fold_folder(root, fold, key)):
            kinds.setdefault(machine["kind"], []).append(fold)
            cpus[machine["kind"]] = machine["cpu"]
    if len(kinds) < 2:
        return ""
    parts = (f"{folds} by kind {kind[:_SHOWN]} ({cpus[kind]})" for kind, folds in kinds.items())
    return (
        f"note: folds were trained by {len(kinds)} kinds of arithmetic, {'; '.join(parts)}: they agree statistically, "
        "not to the last bit."
    )
