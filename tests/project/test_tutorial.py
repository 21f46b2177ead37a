"""The tutorial is one text: a notebook, and the page that test_doc_commands.py runs, made of it."""

import json

from tests.support.notebook import NOTEBOOK, PAGE, page, read_cells


def test_the_page_is_the_notebook() -> None:
    assert PAGE.read_text() == page(read_cells()), "run 'python -m tests.tutorial'"


def test_the_notebook_shows_what_each_command_printed_and_no_error() -> None:
    cells = read_cells()
    assert sum(bool(cell.command) for cell in cells) > 5
    for cell in cells:
        assert bool(cell.output) == cell.command.startswith(("audiocnn ", "dvc ")), cell.text
        assert "error:" not in cell.output.lower()


def test_jupyter_opens_the_notebook() -> None:
    """What nbformat 4.5 asks for."""
    notebook = json.loads(NOTEBOOK.read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    for cell in notebook["cells"]:
        assert {"cell_type", "metadata", "source"} <= cell.keys()
        assert ("outputs" in cell) == ("execution_count" in cell) == (cell["cell_type"] == "code")
