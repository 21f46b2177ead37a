"""Small folders of recordings, and the table that `audiocnn features` prints of them."""

import argparse
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from audiocnn.cli import features

RATE = 8000


def write_sounds(folder: Path, names: Iterable[str], seconds: float = 0.5) -> Path:
    """A chirp for each name below the folder, no two alike."""
    import soundfile

    for index, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        time = np.arange(round(seconds * RATE)) / RATE
        soundfile.write(path, 0.5 * np.sin(2 * np.pi * (300 + 17 * index) * time**2), RATE)
    return folder


def write_table(path: Path, lines: Sequence[str], encoding: str = "utf-8") -> Path:
    """A text file of these lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\n".join([*lines, ""]).encode(encoding))
    return path


def run_features(*words: str | Path) -> None:
    """`audiocnn features` in this process. Raises UserError."""
    parser = argparse.ArgumentParser()
    features.add_parser(parser.add_subparsers())
    options = parser.parse_args(["features", *map(str, words)])
    options.run(options)


def rows_of(printed: str) -> dict[str, str]:
    """The rows of the table of what was recognised, by name, each as one line."""
    rows: dict[str, str] = {}
    name = ""
    for line in printed.partition("recognised\n")[2].splitlines():
        match = re.match(
            r"(layout|read from|columns|clips|classes|folds|groups|lengths|seconds|padding| {5,}) +(.+)", line
        )
        if not match:
            break
        name = match[1].strip() or name
        rows[name] = f"{rows[name]} {match[2]}" if name in rows else match[2]
    return rows
