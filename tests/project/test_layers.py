"""Imports point one way, as .importlinter says: from the command down to the errors, without a circle."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.processes import environment


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs `lint-imports` on the audiocnn/ in a folder."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of audiocnn/ and of its contracts."""
    shutil.copytree(ROOT / "audiocnn", tmp_path / "audiocnn", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def add_import(root: Path, name: str, imported: str) -> None:
    """Adds an import of one module to another, both by their dotted names."""
    path = root.joinpath(*name.split(".")).with_suffix(".py")
    path.write_text(f"{path.read_text()}\nimport {imported}\n")


def test_every_import_of_this_code_points_down() -> None:
    ran = lint_imports(ROOT)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        ("audiocnn.errors", "audiocnn.files"),  # between floors
        ("audiocnn.data.prepared", "audiocnn.data.prepare"),  # within a folder
    ],
)
def test_an_import_that_closes_a_circle_is_refused_by_name(copied: Path, lower: str, upper: str) -> None:
    assert lint_imports(copied).returncode == 0
    add_import(copied, lower, upper)
    ran = lint_imports(copied)
    assert ran.returncode != 0
    for name in (lower, upper):
        assert f".{name.rpartition('.')[2]}" in ran.stdout


def test_a_new_module_without_a_floor_is_refused_by_name(copied: Path) -> None:
    (copied / "audiocnn/utilities.py").write_text('"""Nobody said where this belongs."""\n')
    ran = lint_imports(copied)
    assert ran.returncode != 0
    assert "utilities" in ran.stdout


def test_the_map_in_the_design_has_every_folder_and_module_with_its_own_sentence() -> None:
    """Each row of docs/design.md's first table is the first line of the docstring of what it names, and none lacks."""
    text = (ROOT / "docs/design.md").read_text()
    rows = dict(re.findall(r"^\| ([a-z_]+/|[a-z_]+\.py) \| (.+) \|$", text, flags=re.MULTILINE))
    package = ROOT / "audiocnn"
    folders = [path for path in package.iterdir() if (path / "__init__.py").exists()]
    modules = [path for path in package.glob("*.py") if path.name != "__init__.py"]
    files = {f"{path.name}/": path / "__init__.py" for path in folders} | {path.name: path for path in modules}
    docstrings = {name: str(ast.get_docstring(ast.parse(path.read_text()))) for name, path in files.items()}
    assert rows == {name: docstring.split("\n")[0] for name, docstring in docstrings.items()}
