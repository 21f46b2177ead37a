"""`python -m tests.space.look FOLDER`: the page of examples/space in a real browser, as phone and desktop show it.

FOLDER gets the screenshots, and an environment made of requirements.txt, which the next call finds there. The page is
given a file, a microphone, a broken file and a silent one, and names that would run a script if it let them; what it
says must be what app.py's functions say. It takes minutes and PyPI, so 'make test' does not run it.
"""

import argparse
import json
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import soundfile

from audiocnn.errors import UserError, run_command
from audiocnn.release.space import publish_space
from tests.support.browser import find_browser
from tests.support.modules import load_module
from tests.support.paths import ROOT
from tests.support.processes import environment, started, wait_until
from tests.support.weights import write_finished_run

PLAYWRIGHT = "playwright==1.65.2"  # drives the browser that is here; it brings none
WIDTHS = (390, 1280)
SCRIPT = "<img src=x onerror=window.ran=1>"  # as a class name, and in a file's

PAGE = ROOT / "examples/space"
app = load_module(PAGE / "app.py")


def main() -> None:
    """Looks at a page, as the options say. Raises AssertionError where it is wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--space", type=Path, help="what 'audiocnn publish --space --dry-run' wrote (made-up networks)")
    parser.add_argument("--sound", type=Path, help="5 s or more, in a format of libsndfile (noise)")
    options = parser.parse_args()
    browser = find_browser()
    if browser is None:
        raise UserError("no browser is installed: install chromium, for example.")
    options.folder.mkdir(parents=True, exist_ok=True)
    python = _environment(options.folder / "venv")
    with TemporaryDirectory() as scratch:
        space = options.space or _made_up_space(Path(scratch))
        sounds = _sounds(Path(scratch) / "sounds", options.sound)
        _look(python, browser, space, sounds, options.folder, "page")
        _look(python, browser, _with_scripts(space, Path(scratch) / "scripts"), sounds, options.folder, "scripts")


def _environment(folder: Path) -> Path:
    """The Python of an environment with what the page needs, and the browser's driver; made where it is not there."""
    wanted = f"{(PAGE / 'requirements.txt').read_text()}{PLAYWRIGHT}\n"
    made_of = folder / "made_of.txt"
    if not made_of.exists() or made_of.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        print(f"installing {PAGE / 'requirements.txt'} into {folder}", file=sys.stderr)
        (folder / "wanted.txt").write_text(wanted)
        subprocess.run([folder / "bin/pip", "install", "--quiet", "-r", folder / "wanted.txt"], check=True)
        made_of.write_text(wanted)
    return folder / "bin/python"


def _made_up_space(folder: Path) -> Path:
    """The page with networks that know nothing."""
    write_finished_run(folder / "run")
    with chdir(folder / "run"):
        publish_space("owner/sounds", ["models"], Path("space"), demo_is_meant=False)
    return folder / "run/space"


def _with_scripts(space: Path, folder: Path) -> Path:
    """The same page, whose first class has a name that is a script."""
    shutil.copytree(space, folder)
    model = onnx.load(folder / "model.onnx")
    for entry in model.metadata_props:
        if entry.key == "classes":
            entry.value = json.dumps([f"{SCRIPT} {name}" for name in json.loads(entry.value)])
    onnx.save(model, folder / "model.onnx")
    return folder


def _sounds(folder: Path, sound: Path | None) -> dict[str, Path]:
    """The files that the page is given, by what they are; the same sound as a file and from the microphone."""
    folder.mkdir()
    if sound is None:
        sound = folder / "noise.wav"
        soundfile.write(sound, np.random.default_rng(0).normal(0, 0.1, 6 * 44_100), 44_100)
    samples, rate = soundfile.read(sound)
    names = {"file": f"{SCRIPT}{sound.suffix}", "silent": "a.wav", "broken": "b.wav", "microphone": "c.wav"}
    paths = {kind: folder / name for kind, name in names.items()}
    shutil.copy(sound, paths["file"])
    soundfile.write(paths["silent"], 0 * samples, rate)
    paths["broken"].write_bytes(bytes(range(256)) * 40)
    soundfile.write(paths["microphone"], samples, rate)
    return paths


def _look(python: Path, browser: str, space: Path, sounds: dict[str, Path], folder: Path, prefix: str) -> None:
    """Gives all sounds to a page. Raises AssertionError where it says, asks for or looks like anything else."""
    with _serving(python, space, folder / f"{prefix}.log") as address:
        job = {
            "address": address,
            "browser": browser,
            "widths": WIDTHS,
            "sounds": {name: str(path) for name, path in sounds.items()},
            "seconds": 5,
            "folder": str(folder.absolute()),
            "prefix": prefix,
        }
        command = [python, Path(__file__).with_name("browse.py")]
        done = subprocess.run(command, input=json.dumps(job), env=environment(), stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0
    for found in json.loads(done.stdout):
        print(f"{prefix}, {found['width']} px, {found['name']}: {found['answer'] or found['sentence']!r}")
        _check(found, app.Model(space / "model.onnx"), sounds)


def _check(found: dict[str, Any], model: Any, sounds: dict[str, Path]) -> None:
    assert found["overflow"] == 0, "it is wider than the window"
    assert found["ran"] is None, "a name ran a script"
    assert found["hosts"] == ["127.0.0.1"], f"it asks {found['hosts']}"
    assert "Traceback" not in found["text"]
    assert not found["errors"] or found["name"] == "broken", found["errors"]  # its player complains of a broken file
    if found["name"] == "file":
        answers = model.answers(app.decode(str(sounds["file"])))
        whole, rows = app.mean(answers), app.table(answers)
        assert found["answer"] == max(whole, key=lambda name: whole[name])
        assert all(cell in found["windows"] for cell in rows[0])
    elif found["name"] == "microphone":
        assert found["answer"] in model.classes
    sentences = {"silent": app.SILENT, "broken": app.UNREADABLE}
    assert found["sentence"] == sentences.get(found["name"], "")


@contextmanager
def _serving(python: Path, space: Path, log: Path) -> Iterator[str]:
    """The page on loopback: its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"
    setting = {"cwd": space, "env": environment(GRADIO_SERVER_PORT=str(port))}
    with started(setting, str(python.absolute()), "app.py", log=log) as process:
        wait_until(lambda: _answers(address) or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield address


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address):
            return True
    except urllib.error.URLError:
        return False


if __name__ == "__main__":
    sys.exit(run_command(main))
