"""Mutated files in search of a crash, an error that is no sentence, hours or gigabytes.

    python -m tests.fuzz sound --seconds 180 --seed 1

Each input is a good file with bytes flipped, cut, copied or set to extremes. A process of its own reads it; one that
dies, takes longer than LIMIT_SECONDS or adds more than LIMIT_BYTES to its memory has failed, and so has an error that a
user would see as a traceback. Prints how many inputs were tried, the failures with their seeds, the slowest and the
largest. `--keep FOLDER` keeps what failed.
"""

import argparse
import json
import multiprocessing
import pickle
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
from numpy.random import Generator
from tqdm import tqdm

from audiocnn.errors import UserError

LIMIT_SECONDS = 10.0
LIMIT_BYTES = 500_000_000
_HANGS = 120.0  # seconds after which a process is given up


class Target(NamedTuple):
    """What is fuzzed: a maker of good files in a folder, and the reader, with the errors that are its answer."""

    make: Callable[[Path], list[Path]]
    read: Callable[[Path], Any]
    answers: tuple[type[Exception], ...]


class Tried(NamedTuple):
    """What became of an input: the error that nobody should see, seconds, and bytes that memory grew by."""

    error: str | None
    seconds: float
    memory: int


def _sounds(folder: Path) -> list[Path]:
    from tests.support.sounds import encode

    sound = (0.3 * np.sin(np.cumsum(np.linspace(0.02, 0.4, 32_000)))).astype(np.float32)
    codecs = {"flac": "flac", "m4a": "aac", "webm": "libopus", "wma": "wmav2", "mp3": "libmp3lame", "aac": "aac"}
    made = [
        encode(folder / f"a.{suffix}", sound, 48_000 if suffix == "webm" else 16_000, codec)
        for suffix, codec in codecs.items()
    ]
    for suffix in ("wav", "ogg", "aiff", "caf"):
        soundfile.write(folder / f"a.{suffix}", sound, 16_000)
        made.append(folder / f"a.{suffix}")
    return made


def _read_sound(path: Path) -> None:
    from audiocnn.sound.decode import open_recording
    from audiocnn.sound.recipe import Recipe
    from audiocnn.sound.spectrogram import spectrograms

    with open_recording(path) as recording:
        for _ in spectrograms(recording, Recipe(rate=16_000, seconds=1.0, n_mels=64), 0.5):
            pass


def _pickles(folder: Path) -> list[Path]:
    values = {
        "array": np.random.default_rng(0).normal(size=(20, 8, 16)).astype(np.float32),
        "list": [np.zeros((8, 16)), np.ones((8, 16))],
        "mapping": {0: "dog", 1: "rain"},
        "labels": np.arange(20),
    }
    for name, value in values.items():
        for protocol in (2, 4, 5):
            (folder / f"{name}{protocol}.pkl").write_bytes(pickle.dumps(value, protocol))
    return sorted(folder.glob("*.pkl"))


def _read_pickle(path: Path) -> None:
    from audiocnn.data.pickles import read_pickle

    read_pickle(path)


def _weights(folder: Path) -> list[Path]:
    from tests.support.weights import make_weights, write_weights

    write_weights(folder, make_weights(1))
    return sorted(folder.glob("*.safetensors"))


def _read_weights(path: Path) -> None:
    from audiocnn.inference.pretrained import load_weights

    load_weights(path)


def _yamls(folder: Path) -> list[Path]:
    from tests.support.paths import ROOT

    for name in ("params.yaml", "dvc.yaml"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return sorted(folder.glob("*.yaml"))


def _read_yaml(path: Path) -> None:
    from audiocnn.config.settings import read_yaml

    read_yaml(path)


def _recipes(folder: Path) -> list[Path]:
    from audiocnn.sound.recipe import Recipe

    (folder / "recipe.json").write_text(json.dumps(Recipe().model_dump()))
    return [folder / "recipe.json"]


def _read_recipe(path: Path) -> None:
    from audiocnn.config.settings import validate
    from audiocnn.sound.recipe import Recipe

    with suppress(ValueError, RecursionError):  # no JSON
        validate(Recipe, json.loads(path.read_bytes()), "recipe.json")


def _tables(folder: Path) -> list[Path]:
    text = "filename,fold,class\n" + "".join(f"a{index}.wav,{index % 3},dog {index % 2}\n" for index in range(12))
    for name, encoding in (("utf8.csv", "utf-8"), ("utf16.csv", "utf-16"), ("latin1.csv", "latin-1")):
        (folder / name).write_bytes(text.encode(encoding))
    return sorted(folder.glob("*.csv"))


def _read_table(path: Path) -> None:
    from audiocnn.sound.tables import read_table

    read_table(path)


def _sound_target() -> Target:
    from audiocnn.sound.decode import BadSoundError

    return Target(_sounds, _read_sound, (BadSoundError,))


TARGETS: dict[str, Callable[[], Target]] = {
    "sound": _sound_target,
    "pickle": lambda: Target(_pickles, _read_pickle, (UserError,)),
    "weights": lambda: Target(_weights, _read_weights, (UserError,)),
    "yaml": lambda: Target(_yamls, _read_yaml, (UserError,)),
    "recipe": lambda: Target(_recipes, _read_recipe, (UserError,)),
    "table": lambda: Target(_tables, _read_table, (UserError,)),
}


def mutated(content: bytes, random: Generator) -> bytes:
    """A few changes, most of them near the start, where headers are."""
    data = bytearray(content)
    for _ in range(int(random.integers(1, 9))):
        if not data:
            break
        place = int(len(data) * random.random() ** random.integers(1, 5))
        size = int(random.integers(1, 9))
        change = int(random.integers(5))
        if change == 0:
            data[place] ^= 1 << int(random.integers(8))
        elif change == 1:
            data[place : place + size] = random.choice([b"\0", b"\xff", b"\x7f", b"\x80"]) * size
        elif change == 2:
            data[place : place + size] = random.bytes(size)
        elif change == 3:
            other = int(random.integers(len(data)))
            data[place:place] = data[other : other + int(random.integers(1, 400))]
        else:
            del data[place : place + (size if random.random() < 0.9 else len(data))]
    return bytes(data)


def _serve(name: str, connection: Connection) -> None:
    """A process that reads one file after the other and says what became of each."""
    target = TARGETS[name]()
    for path in iter(connection.recv, None):
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
        error = None
        try:
            target.read(path)
        except target.answers:
            pass
        except Exception as other:  # noqa: BLE001  # that is what is searched for
            error = f"{type(other).__name__}: {other}"[:200]
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        connection.send(Tried(error, time.monotonic() - start, grown * 1024))


class _Reader:
    """A process that reads, started again after each death."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(self._name, other), daemon=True)
        self._process.start()
        other.close()

    def read(self, path: Path) -> Tried:
        start = time.monotonic()
        self._connection.send(path)
        try:
            if self._connection.poll(_HANGS):
                answer: Tried = self._connection.recv()
                return answer
            error = "it hangs"
        except (EOFError, ConnectionResetError):
            self._process.join()
            error = f"the process died ({self._process.exitcode})"
        self.stop()
        self._start()
        return Tried(error, time.monotonic() - start, 0)

    def stop(self) -> None:
        self._process.kill()
        self._process.join()


def fuzz(name: str, seed: int, seconds: float, keep: Path | None = None, inputs: int | None = None) -> list[str]:
    """Tries inputs for so many seconds, or so many inputs; returns the failures and prints what was seen."""
    failures: list[str] = []
    tried, slowest, largest = 0, 0.0, 0
    with tempfile.TemporaryDirectory() as temporary:
        files = TARGETS[name]().make(Path(temporary))
        contents = [(file.suffix, file.read_bytes()) for file in files]
        reader = _Reader(name)
        for file in files:
            reader.read(file)  # imports, and the memory of a good file
        end = time.monotonic() + seconds
        with tqdm(desc=f"fuzz {name}", unit="input", total=inputs, disable=None) as bar:
            while (time.monotonic() < end) if inputs is None else (tried < inputs):
                suffix, content = contents[tried % len(contents)]
                path = Path(temporary) / f"mutated{suffix}"
                path.write_bytes(mutated(content, np.random.default_rng([seed, tried])))
                said = reader.read(path)
                slow, large = said.seconds > LIMIT_SECONDS, said.memory > LIMIT_BYTES
                if said.error or slow or large:
                    reason = said.error or f"{said.seconds:.1f} s, {said.memory / 1e6:.0f} MB"
                    failures.append(f"seed {seed}, input {tried} ({suffix}): {reason}")
                    if keep is not None:
                        keep.mkdir(parents=True, exist_ok=True)
                        (keep / f"{name}_{seed}_{tried}{suffix}").write_bytes(path.read_bytes())
                slowest, largest = max(slowest, said.seconds), max(largest, said.memory)
                tried += 1
                bar.update()
        reader.stop()
    print(
        f"{name}: seed {seed}, {tried} inputs, {len(failures)} failures, slowest {slowest:.2f} s, "
        f"largest growth {largest / 1e6:.0f} MB"
    )
    return failures


def main() -> int:
    """Fuzzes what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=[*TARGETS, "all"])
    parser.add_argument("--seconds", type=float, default=180.0, help="for each target (180)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where inputs that failed are kept")
    options = parser.parse_args()
    names = list(TARGETS) if options.target == "all" else [options.target]
    failures = [line for name in names for line in fuzz(name, options.seed, options.seconds, options.keep)]
    print("\n".join(failures))
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
