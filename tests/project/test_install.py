"""`make repro` on a machine as it is found: another Python, a broken .venv, an index of torch that answers or not."""

import os
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.files_server import serve
from tests.support.modules import load_module
from tests.support.paths import ROOT
from tests.support.processes import environment

FILES = ("install.py", "pyproject.toml", "constraints.txt", "Makefile")
TORCH = next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch=="))[7:]
OLD = """
import runpy, sys
sys.version_info, sys.argv = ({}, 18), ["install.py"]
runpy.run_path({!r}, run_name="__main__")
"""
NO_INDEX = {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_NO_CACHE_DIR": "1"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.mark.parametrize("version", ["3, 9", "3, 10", "3, 14"])
def test_a_python_that_does_not_work_is_told_which_do_before_anything_is_made(folder: Path, version: str) -> None:
    code = OLD.format(version, str(folder / "install.py"))
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment(GOALS="test"), capture_output=True, text=True)
    assert done.returncode == 1
    said = version.replace(", ", ".")
    assert f"is Python {said}.18, and audiocnn works with 3.11 to 3.13: run 'make test PYTHON=python3." in done.stderr
    assert not (folder / ".venv").exists()


def test_a_venv_that_is_half_made_moved_or_of_another_python_is_found_out(folder: Path) -> None:
    install = load_module(folder / "install.py")
    assert install.why_unusable() == "it is not there"
    (folder / ".venv/bin").mkdir(parents=True)
    assert install.why_unusable() == "it is half-made, or its Python is gone"
    answers(folder, "11 /elsewhere/.venv")
    assert install.why_unusable() == "it was made for another folder"
    answers(folder, f"9 {folder / '.venv'}")
    assert install.why_unusable() == "it has Python 3.9"
    answers(folder, f"12 {folder / '.venv'}")
    assert install.why_unusable() is None


def answers(folder: Path, text: str) -> None:
    python = folder / ".venv/bin/python"
    python.write_text(f"#!/bin/sh\necho '{text}'\n")
    python.chmod(0o755)


def test_a_complete_environment_is_left_as_it_is_whatever_python_make_finds(folder: Path) -> None:
    install = load_module(folder / "install.py")
    (folder / ".venv/bin").mkdir(parents=True)
    answers(folder, f"12 {folder / '.venv'}")
    (folder / ".venv/installed").write_text(install.requirements() + "\ndev")
    code = OLD.format("3, 9", str(folder / "install.py"))
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_python_without_venv_is_one_sentence_and_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install = load_module(folder / "install.py")
    fake = folder / "python"
    fake.write_text("#!/bin/sh\nmkdir -p .venv/bin\necho 'not created because ensurepip is not available'\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "executable", str(fake))
    with pytest.raises(SystemExit, match=r"has no venv module: run 'sudo apt install python3\.\d+-venv'"):
        install.make_environment()
    assert not (folder / ".venv").exists()


@pytest.mark.slow
def test_without_a_gpu_torch_is_the_build_for_the_cpu_of_the_index(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    name = f"torch-{TORCH}+cpu-py3-none-any.whl"
    site = folder / "site/torch"
    site.mkdir(parents=True)
    with zipfile.ZipFile(site / name, "w") as wheel:
        info = f"torch-{TORCH}+cpu.dist-info"
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {TORCH}+cpu\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    (site / "index.html").write_text(f'<a href="{name}">{name}</a>')
    install = load_module(folder / "install.py")
    for variable, value in NO_INDEX.items():
        monkeypatch.setenv(variable, value)
    install.make_environment()
    with serve(folder / "site") as url:
        install.torch_for_cpu(url)
    assert "no NVIDIA GPU is here: torch's build for the CPU" in capfd.readouterr().out
    assert install.has_torch()
    found = install.output(str(install.PYTHON), "-c", "import importlib.metadata as m; print(m.version('torch'))")
    assert found == f"{TORCH}+cpu"


def test_an_index_that_does_not_answer_does_not_stop_the_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install = load_module(folder / "install.py")
    monkeypatch.setattr(install, "SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        install.torch_for_cpu(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert "does not answer" in capsys.readouterr().out


def test_make_needs_no_more_than_3_81_offers() -> None:
    """What is newer: .ONESHELL, .RECIPEPREFIX, $(file ...), !=, and an exported PATH that finds a recipe's command."""
    makefile = (ROOT / "Makefile").read_text()
    assert not [word for word in (".ONESHELL", ".RECIPEPREFIX", "$(file ", "!=", "export PATH") if word in makefile]
