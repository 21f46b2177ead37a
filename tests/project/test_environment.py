"""Python environments that are not quite the project's: moved, of another clone, or with a safe path."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.processes import environment

FETCH = ("-m", "stages.fetch")


def run(folder: Path, *command: str, **more: str) -> tuple[int, str]:
    done = subprocess.run(command, cwd=folder, env=environment(**more), capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def copy(folder: Path) -> Path:
    """The stages and what they import, elsewhere."""
    for name in ("audiocnn", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "params.yaml").write_text("folds: [0, 1]\ndata: {source: nothing}\n")
    return folder


def test_a_stage_is_found_where_python_looks_into_no_folder() -> None:
    code = "import stages, sys; assert sys.flags.safe_path; print(stages.__file__)"
    assert run(ROOT, sys.executable, "-c", code, PYTHONSAFEPATH="1") == (0, f"{ROOT / 'stages/__init__.py'}\n")


def test_with_a_safe_path_another_clones_stages_are_refused_in_a_sentence(tmp_path: Path) -> None:
    code, said = run(copy(tmp_path), sys.executable, *FETCH, PYTHONSAFEPATH="1")
    assert code == 1
    assert said == (
        f"error: PYTHONSAFEPATH is set, and the environment's code is that of {ROOT}: unset it, or activate this "
        "project's own environment.\n"
    )


def test_a_stage_in_a_copy_runs_the_copys_code_with_the_first_ones_environment(tmp_path: Path) -> None:
    code, said = run(copy(tmp_path), sys.executable, *FETCH)
    assert (code, f"no folder {tmp_path / 'nothing'}" in said) == (1, True)
    trace = "import audiocnn, stages; print(audiocnn.__file__, stages.__file__)"
    assert run(tmp_path, sys.executable, "-c", trace)[1].count(str(tmp_path)) == 2
