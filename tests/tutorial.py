"""`python -m tests.tutorial`: runs the notebook examples/tutorial.ipynb in a fresh clone, and keeps what it printed.

The outputs go into the notebook, long ones without their middle, and the whole into docs/tutorial.md.
"""

import json
import re
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from audiocnn.errors import run_command
from audiocnn.files import write_atomically
from tests.support.clones import Project, make_clone
from tests.support.notebook import NOTEBOOK, PAGE, Cell, page, read_cells
from tests.support.paths import ROOT

_FIRST, _LAST = 3, 26  # lines of an output that are kept, where it is longer


def main() -> None:
    """Runs all cells, and writes notebook and page."""
    notebook = json.loads(NOTEBOOK.read_text())
    with TemporaryDirectory() as scratch:
        clone = _clone(Path(scratch) / "clone")
        cells = [(raw, cell) for raw, cell in zip(notebook["cells"], read_cells(), strict=True) if cell.is_code]
        for raw, cell in tqdm(cells, unit="cell"):
            printed = shortened(run(cell, clone))
            raw["outputs"] = [{"name": "stdout", "output_type": "stream", "text": printed}] if printed else []
    write_atomically(NOTEBOOK, (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode())
    write_atomically(PAGE, page(read_cells()).encode())


def _clone(path: Path) -> Project:
    """A clone as a reader has it: with the project's own params and results."""
    project = make_clone(path)
    for name in ("params.yaml", "dvc.lock"):
        shutil.copy(ROOT / name, path)
    shutil.copytree(ROOT / "metrics", path / "metrics", dirs_exist_ok=True)
    project.commit("the project's own params and results")
    return project


def run(cell: Cell, clone: Project) -> str:
    """What a cell of code prints."""
    return clone.run("bash", "-c", cell.command) if cell.command else clone.run("python", "-c", cell.text)


def shortened(printed: str) -> list[str]:
    """Lines as a notebook keeps them, without control characters and what names this machine's folders."""
    lines = [f"{line}\n" for line in re.sub(r".*\r|\x1b\[[0-9;]*[A-Za-z]", "", printed).splitlines()]
    return lines if len(lines) <= _FIRST + _LAST + 1 else [*lines[:_FIRST], "...\n", *lines[-_LAST:]]


if __name__ == "__main__":
    sys.exit(run_command(main))
