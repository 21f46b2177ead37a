"""The Dockerfile's lines, run as it says, in a folder that has what it has copied by then; no image is built."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.processes import environment

LINES = re.findall(r"^(COPY|RUN|CMD) (.+)$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
# install.py as it is, but for what takes minutes: it must find all that it reads.
PYTHON = """#!{python}
import sys
sys.argv = sys.argv[1:]
sys.path.insert(0, ".")
import install
install.make_environment = lambda: print("made")
install.pip = lambda *arguments, **options: print("pip", *arguments)
install.VENV.mkdir()
install.why_unusable = lambda: None
install.main()
"""


def command(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def test_each_line_of_the_dockerfile_works_with_what_was_copied_before_it(tmp_path: Path) -> None:
    image, bin_folder = tmp_path / "image", tmp_path / "bin"
    image.mkdir()
    bin_folder.mkdir()
    command(bin_folder, "apt-get", '#!/bin/sh\necho "apt-get $*"\n')
    command(bin_folder, "rm", "#!/bin/sh\n")  # not this machine's lists
    command(bin_folder, "python", PYTHON.format(python=sys.executable))
    variables = environment(PYTHON=str(bin_folder / "python"), TORCH_INDEX="")
    variables["PATH"] = f"{bin_folder}{os.pathsep}{variables['PATH']}"
    printed = ""
    for kind, rest in LINES:
        if kind == "COPY":
            copy(rest.split(), image)
        elif kind == "RUN":
            done = subprocess.run(["sh", "-c", rest], cwd=image, env=variables, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            printed += done.stdout
    assert "apt-get install -y --no-install-recommends git make" in printed
    assert "pip --constraint constraints.txt --config-settings editable_mode=compat --editable ." in printed
    assert (image / ".git").is_dir()
    assert json.loads(LINES[-1][1]) == ["make", "repro"]


def copy(words: list[str], image: Path) -> None:
    *names, target = words
    for name in names:
        if name == ".":
            shutil.copy(ROOT / "dvc.yaml", image)
            continue
        (image / target).mkdir(exist_ok=True)
        shutil.copy(ROOT / name, image / target)


def test_what_the_package_is_made_of_is_copied_before_it_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["readme"] in (ROOT / "Dockerfile").read_text().split("RUN make")[0]


def test_the_devcontainer_runs_a_goal_of_the_makefile() -> None:
    setting = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    words = setting["postCreateCommand"].split()
    assert words[0] == "make"
    subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, check=True, capture_output=True)
