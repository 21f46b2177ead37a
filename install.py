"""Makes .venv and installs what constraints.txt pins, for `make`: `python3 install.py`, or with `dev` the tools, too.

It runs on any Python 3.6 or later, so that one that is too old is told so, and needs nothing but the standard library.
An environment that is complete is left as it is, which takes a moment.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin/python"
STAMP = VENV / "installed"  # what is installed, written last
SECONDS = 5  # to wait for an index that may not be reachable
SIZES = "to download: torch for the CPU 0.2 GB (with CUDA 2.7 GB), all else 0.2 GB; on disk 1.6 GB"


def main() -> None:
    """Makes or completes the environment. Ends with one sentence where it cannot."""
    dev, index = "dev" in sys.argv[1:], os.environ.get("TORCH_INDEX", "")
    wanted = requirements()
    why = why_unusable()
    if why is None and STAMP.exists() and STAMP.read_text().splitlines() in ([wanted], [wanted, "dev"])[dev:]:
        return
    if why is not None:
        check_version()
        if VENV.exists():
            print(f".venv is made again: {why}", flush=True)
            shutil.rmtree(str(VENV))
        make_environment()
    had_dev = STAMP.exists() and "dev" in STAMP.read_text()
    STAMP.unlink() if STAMP.exists() else None
    print(f"installing into .venv, which takes minutes; {SIZES}", flush=True)
    if index and not has_torch() and not has_gpu():
        torch_for_cpu(index)
    what = ".[dev]" if dev or had_dev else "."
    # compat: a line in a .pth file instead of an import hook, which a folder named audiocnn above would hide.
    pip("--constraint", "constraints.txt", "--config-settings", "editable_mode=compat", "--editable", what)
    STAMP.write_text(wanted + ("\ndev" if what == ".[dev]" else ""))


def requirements() -> str:
    """The digest of the files that say what is installed."""
    content = b"".join((ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt"))
    return hashlib.sha256(content).hexdigest()


def supported() -> "tuple[int, int]":
    """The first and the last minor version of Python 3 that pyproject.toml allows."""
    text = (ROOT / "pyproject.toml").read_text()
    match = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', text)
    assert match is not None
    return int(match.group(1)), int(match.group(2)) - 1


def why_unusable() -> "str | None":
    """What is wrong with .venv, or None."""
    if not VENV.exists():
        return "it is not there"
    code = "import sys, pip; print(sys.version_info[1], sys.prefix)"
    answer = output(str(PYTHON), "-c", code)
    if answer is None:
        return "it is half-made, or its Python is gone"
    minor, _, prefix = answer.partition(" ")
    first, last = supported()
    if not first <= int(minor) <= last:
        return f"it has Python 3.{minor}"
    return None if Path(prefix).resolve() == VENV.resolve() else "it was made for another folder"


def check_version() -> None:
    """Ends with a sentence where this Python is not one that works, naming those that are here."""
    first, last = supported()
    if sys.version_info[0] == 3 and first <= sys.version_info[1] <= last:
        return
    names = [f"python3.{minor}" for minor in range(last, first - 1, -1)]
    here = [name for name in names if output(name, "-c", "import venv, ensurepip") is not None]
    here = [f"'make {' '.join(goals())} PYTHON={name}'" for name in here]
    advice = f"run {' or '.join(here)}" if here else f"install one of {', '.join(names)}, and name it with PYTHON=..."
    version = ".".join(str(number) for number in sys.version_info[:3])
    sys.exit(f"error: {sys.executable} is Python {version}, and audiocnn works with 3.{first} to 3.{last}: {advice}.")


def goals() -> "list[str]":
    """What make was asked for."""
    return os.environ.get("GOALS", "").split() or ["repro"]


def make_environment() -> None:
    """A new .venv; where this Python has no parts for that, as Debian's without python3-venv, a sentence."""
    command = [sys.executable, "-m", "venv", str(VENV)]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode == 0:
        return
    shutil.rmtree(str(VENV), ignore_errors=True)
    said = done.stdout.decode(errors="replace")
    if "ensurepip" not in said and "No module named venv" not in said:
        sys.exit(f"error: {sys.executable} could not make .venv:\n{said}")
    package = f"python3.{sys.version_info[1]}-venv"
    sys.exit(
        f"error: {sys.executable} has no venv module: run 'sudo apt install {package}' (Debian, Ubuntu), or name "
        "another Python with PYTHON=..., then run the command again."
    )


def has_torch() -> bool:
    return output(str(PYTHON), "-c", "import importlib.metadata as m; m.version('torch')") is not None


def has_gpu() -> bool:
    """Whether torch's build for the CPU alone would leave a GPU unused; true where there is no such build to choose."""
    dev = Path("/dev")
    return sys.platform != "linux" or bool([*dev.glob("nvidia[0-9]*"), *dev.glob("dxg")])


def torch_for_cpu(index: str) -> None:
    """torch's build for the CPU from PyTorch's own index. Without it, the next step takes what pip finds elsewhere."""
    try:
        with urllib.request.urlopen(index.rstrip("/") + "/torch/", timeout=SECONDS):  # noqa: S310  # the user's own
            pass
    except (OSError, ValueError) as error:
        print(f"no NVIDIA GPU is here, but {index} does not answer ({error}): taking torch from pip's own index")
        return
    pinned = re.search(r"^torch==\S+", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    print("no NVIDIA GPU is here: torch's build for the CPU", flush=True)
    pip("--no-deps", "--index-url", index, pinned.group(), may_fail=True)


def pip(*arguments: str, may_fail: bool = False) -> None:
    """`pip install` in .venv: with a bar for each file on a terminal, else without a word."""
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", *quiet, *arguments]
    code = subprocess.call(command, cwd=str(ROOT))
    if code != 0 and not may_fail:
        sys.exit("error: pip could not install everything, and says why above: run the command again, which goes on.")


def output(*command: str) -> "str | None":
    """What a command prints, or None where it is not there or fails."""
    try:
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        done = subprocess.run(command, check=False, **streams)
    except OSError:
        return None
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("stopped: run the same command again, which goes on.")
