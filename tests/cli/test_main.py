"""The `audiocnn` command runs the code of the copy of the project that one stands in, or says whose code it is."""

import subprocess
from pathlib import Path

import pytest

from audiocnn.cli.main import check_own_code, main
from tests.support.paths import ROOT
from tests.support.processes import environment


@pytest.fixture
def other_copy(tmp_path: Path) -> Path:
    """A folder that looks like another clone of the project."""
    (tmp_path / "audiocnn").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "audiocnn/__init__.py").touch()
    (tmp_path / "dvc.yaml").touch()
    return tmp_path


def test_in_another_copy_of_the_project_it_says_in_a_sentence_whose_code_it_is(other_copy: Path) -> None:
    done = subprocess.run(
        ["audiocnn", "results"], cwd=other_copy / "data", env=environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert f"is the code of {ROOT}, and {other_copy} is another copy" in done.stderr


def test_in_its_own_project_and_outside_of_any_it_runs(tmp_path: Path) -> None:
    check_own_code(ROOT / "docs")
    check_own_code(tmp_path)


@pytest.mark.parametrize("command", ["results", "status", "train", "clean"])
def test_in_a_folder_of_the_project_a_command_names_the_root(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT / "docs")
    assert main([command]) == 1
    place = f"{ROOT / 'docs'} lies below the project, and this command works in its root"
    assert capsys.readouterr().err == f"error: {place}: run 'cd {ROOT}' first.\n"


def test_a_link_to_its_own_project_is_its_own_project(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(ROOT)
    check_own_code(tmp_path / "link")
