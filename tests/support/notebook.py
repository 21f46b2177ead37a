"""A notebook's cells, and the same as a page of docs/: Python as it is, a shell command with its output below it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

NOTEBOOK, PAGE = ROOT / "examples/tutorial.ipynb", ROOT / "docs/tutorial.md"
_NOTEBOOK_ONLY = "notebook-only"  # the tag of a cell that the page does without


@dataclass(frozen=True)
class Cell:
    """A cell: its text, whether it is code, whether the page has it, and what it printed."""

    text: str
    is_code: bool
    is_on_page: bool
    output: str

    @property
    def command(self) -> str:
        """The shell command of a cell, which has one; nothing where it is Python or text."""
        return self.text.removeprefix("!") if self.is_code and self.text.startswith("!") else ""


def read_cells(notebook: Path = NOTEBOOK) -> list[Cell]:
    """The cells in order."""
    return [_cell(raw) for raw in json.loads(notebook.read_text())["cells"]]


def _cell(raw: dict[str, Any]) -> Cell:
    printed = ["".join(output.get("text", ())) for output in raw.get("outputs", ())]
    is_on_page = _NOTEBOOK_ONLY not in raw["metadata"].get("tags", ())
    return Cell("".join(raw["source"]), raw["cell_type"] == "code", is_on_page, "".join(printed))


def page(cells: list[Cell]) -> str:
    """The cells as Markdown."""
    return "\n\n".join(_markdown(cell) for cell in cells if cell.is_on_page) + "\n"


def _markdown(cell: Cell) -> str:
    if not cell.is_code:
        return cell.text.replace("](../docs/", "](")
    if not cell.command:
        return f"```python\n{cell.text}\n```"
    return f"```console\n$ {cell.command}\n{cell.output}```"
