"""A stage's deps in dvc.yaml name the code that decides its result: all of it, and no other."""

import ast
from pathlib import Path

import pytest

from audiocnn.settings import read_yaml

ROOT = Path(__file__).resolve().parent.parent
# How to run, what to say and whom to tell: none of it decides a result.
NO_RESULT = {
    "allocator",
    "committed",
    "console",
    "crossval",
    "errors",
    "hub",
    "hub_client",
    "hub_download",
    "locking",
    "pretrained",
    "results",
    "runtime",
    "signals",
    "tracking",
    "uploader",
    "wandb_config",
    "wandb_service",
    "worker",
    "workers",
}
STAGES = {name: stage.get("do", stage) for name, stage in read_yaml(ROOT / "dvc.yaml")["stages"].items()}


def imported_modules(path: Path) -> set[str]:
    """The audiocnn modules that a file imports anywhere in it, by name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "audiocnn":
            inner = (node.module or "").split(".")[1:]
            names.update(inner or [alias.name for alias in node.names])
        elif isinstance(node, ast.Import):
            names.update(alias.name.split(".")[1] for alias in node.names if alias.name.startswith("audiocnn."))
    return {name for name in names if (ROOT / "audiocnn" / f"{name}.py").exists()}


def reachable_modules(script: Path) -> set[str]:
    """All modules behind a script, except those that decide no result; what only they import is theirs."""
    found: set[str] = set()
    waiting = imported_modules(script) | ({"training"} if script.stem == "train_fold" else set())
    while waiting:
        name = waiting.pop()
        if name not in found and name not in NO_RESULT:
            found.add(name)
            waiting |= imported_modules(ROOT / "audiocnn" / f"{name}.py")
    return found


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_a_stage_depends_on_the_code_that_decides_its_result_and_on_no_other(stage: str) -> None:
    listed = {path for path in STAGES[stage]["deps"] if path.endswith(".py")}
    reached = {f"audiocnn/{name}.py" for name in reachable_modules(ROOT / "stages" / f"{stage}.py")}
    assert listed == reached | {f"stages/{stage}.py"}


def test_the_modules_said_to_decide_no_result_exist() -> None:
    assert {name for name in NO_RESULT if not (ROOT / "audiocnn" / f"{name}.py").exists()} == set()
