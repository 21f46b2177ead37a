"""A stage's deps in dvc.yaml name the code that decides its result: all of it, and no other."""

import ast
from collections.abc import Set
from pathlib import Path

import pytest

from audiocnn.config.settings import read_yaml
from tests.support.paths import ROOT

PACKAGE = ROOT / "audiocnn"
# How to run, what to say and whom to tell: none of it decides a result. Folders, and modules by their dotted names.
# config.params hands on values that dvc.lock has as params; what their groups mean is in modules that stages list.
NO_RESULT = {
    "checkpoints.failure",
    "checkpoints.lock",
    "checkpoints.progress",
    "comparison",
    "config.params",
    "config.runtime",
    "errors",
    "evaluation.table",
    "folds",
    "hub",
    "inference",
    "processes",
    "text",
    "tracking",
}
# Stage train_fold reaches it through a process of its own, so not by an import.
STARTED = {"train_fold": {"training.loop"}}
STAGES = {name: stage.get("do", stage) for name, stage in read_yaml(ROOT / "dvc.yaml")["stages"].items()}


def file_of(name: str) -> Path | None:
    """The file of a module, or of a folder's __init__, by its dotted name below audiocnn; None where there is none."""
    path = PACKAGE.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()), None)


def imported_modules(file: Path) -> set[str]:
    """The audiocnn modules that a file imports anywhere in it, by their dotted names below audiocnn.

    A folder is among them where something is imported that its __init__.py hands out.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import, which is not followed here"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in inner if file_of(name.removeprefix("audiocnn."))}
            names |= modules if modules == inner else {*modules, str(node.module)}
    below = {name.removeprefix("audiocnn.") for name in names if name.startswith("audiocnn.")}
    return {name for name in below if file_of(name)}


def decides_no_result(name: str) -> bool:
    return name in NO_RESULT or name.split(".")[0] in NO_RESULT


def only_hands_out(file: Path) -> bool:
    """Whether a file has no code of its own: a docstring, imports, and `__all__`."""
    body = ast.parse(file.read_text()).body
    return all(isinstance(node, ast.ImportFrom) or is_text(node) or sets_all(node) for node in body)


def is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def sets_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]


def reachable_files(script: Path, started: Set[str] = frozenset()) -> set[str]:
    """The files behind a script, except those that decide no result; what only those import is theirs."""
    found: set[str] = set()
    waiting = {*imported_modules(script), *started}
    while waiting:
        name = waiting.pop()
        file = file_of(name)
        if file is None or decides_no_result(name) or name in found:
            continue
        found.add(name)
        waiting |= imported_modules(file)
    files = [file for name in found if (file := file_of(name))]
    return {
        file.relative_to(ROOT).as_posix() for file in files if file.name != "__init__.py" or not only_hands_out(file)
    }


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_a_stage_depends_on_the_code_that_decides_its_result_and_on_no_other(stage: str) -> None:
    listed = {path for path in STAGES[stage]["deps"] if path.endswith(".py")}
    script = f"stages/{stage}.py"
    assert listed == reachable_files(ROOT / script, STARTED.get(stage, set())) | {script}


@pytest.mark.parametrize(
    "line",
    [
        "import audiocnn.model.network",
        "from audiocnn.model.network import AudioCNN",
        "from audiocnn.model import network",
        "from audiocnn.model import AudioCNN",
        "def main():\n    from audiocnn.model import AudioCNN",
    ],
)
def test_a_module_is_found_however_it_is_imported(tmp_path: Path, line: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(line)
    assert "audiocnn/model/network.py" in reachable_files(script)


def test_the_modules_said_to_decide_no_result_exist() -> None:
    assert {name for name in NO_RESULT if not file_of(name)} == set()


def test_no_command_in_dvc_yaml_holds_text_out_of_params_yaml() -> None:
    assert [name for name, stage in STAGES.items() if "$" in stage["cmd"]] == []
