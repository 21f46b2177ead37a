"""Reads one mutated file after the other in a process of its own, and remembers what was worst.

Half of the inputs, where a time is given, are mutations of the slowest and the largest so far: that searches for the
worst, where mutations of good files alone would meet it by chance.
"""

import multiprocessing
import tempfile
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from tqdm import tqdm

from tests.fuzz.mutations import mutated
from tests.fuzz.targets import TARGETS

LIMIT_SECONDS = 10.0
LIMIT_BYTES, LIMIT_TIMES = 250_000_000, 10  # of memory, and times the file's size
_HANGS = 120.0  # seconds after which a process is given up
_KEPT = 8  # worst inputs that are mutated again
_SMALL = 1000  # bytes: of a smaller file, what it takes per byte says nothing


class Tried(NamedTuple):
    """What became of an input: the error that nobody should see, seconds, and bytes that memory grew by."""

    error: str | None
    seconds: float
    memory: int


class _Input(NamedTuple):
    name: str
    content: bytes


class Worst:
    """The largest figures so far, and the inputs that gave the slowest and the largest."""

    def __init__(self) -> None:
        self.seconds = self.memory = self.seconds_a_byte = self.memory_a_byte = 0.0
        self._kept: list[tuple[float, int, _Input]] = []

    def add(self, tried: int, one: _Input, said: Tried) -> None:
        """Takes what became of an input."""
        size = max(len(one.content), 1)
        self.seconds, self.memory = max(self.seconds, said.seconds), max(self.memory, said.memory)
        if size >= _SMALL:
            self.seconds_a_byte = max(self.seconds_a_byte, said.seconds / size)
            self.memory_a_byte = max(self.memory_a_byte, said.memory / size)
        badness = said.seconds / LIMIT_SECONDS + said.memory / LIMIT_BYTES
        self._kept = sorted([*self._kept, (badness, tried, one)], key=lambda kept: -kept[0])[:_KEPT]

    def one_of(self, random: Generator) -> _Input | None:
        """One of the worst inputs."""
        return self._kept[int(random.integers(len(self._kept)))][2] if self._kept else None

    def __str__(self) -> str:
        return (
            f"slowest {self.seconds:.2f} s, largest growth {self.memory / 1e6:.0f} MB; of files from {_SMALL} bytes "
            f"at most {1e6 * self.seconds_a_byte:.0f} us and {self.memory_a_byte:.0f} bytes of memory a byte"
        )


def fuzz(name: str, seed: int, seconds: float, keep: Path | None = None, inputs: int | None = None) -> list[str]:
    """Tries inputs for so many seconds, or so many inputs; returns the failures and prints what was seen.

    A number of inputs gives the same ones each time. keep: where inputs that failed go.
    """
    failures: list[str] = []
    tried, worst = 0, Worst()
    with tempfile.TemporaryDirectory() as temporary:
        good, folder = Path(temporary, "good"), Path(temporary, "mutated")
        good.mkdir()
        folder.mkdir()
        files = [_Input(file.name, file.read_bytes()) for file in TARGETS[name]().make(good)]
        reader = _Reader(name)
        for one in files:  # imports, and the memory of a good file
            reader.read(folder, one)
        end = time.monotonic() + seconds
        with tqdm(desc=f"fuzz {name}", unit="input", total=inputs, disable=None) as bar:
            while (time.monotonic() < end) if inputs is None else (tried < inputs):
                random = np.random.default_rng([seed, tried])
                parent = files[tried % len(files)]
                if inputs is None and random.random() < 0.5:
                    parent = worst.one_of(random) or parent
                one = parent._replace(content=mutated(parent.content, random))
                said = reader.read(folder, one)
                if why := _why_it_failed(one, said):
                    failures.append(f"{name}, seed {seed}, input {tried} ({one.name}): {why}")
                    _keep(keep, f"{name}_{seed}_{tried}_{one.name}", one.content)
                worst.add(tried, one, said)
                tried += 1
                bar.update()
        reader.stop()
    print(f"{name}: seed {seed}, {tried} inputs, {len(failures)} failures, {worst}", flush=True)
    return failures


def _why_it_failed(one: _Input, said: Tried) -> str | None:
    if said.error is not None:
        return said.error
    is_large = said.memory > LIMIT_BYTES + LIMIT_TIMES * len(one.content)
    return f"{said.seconds:.1f} s, {said.memory / 1e6:.0f} MB" if is_large or said.seconds > LIMIT_SECONDS else None


def _keep(folder: Path | None, name: str, content: bytes) -> None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _serve(name: str, connection: Connection) -> None:
    """A process that reads one file after the other and says what became of each."""
    target = TARGETS[name]()
    for path in iter(connection.recv, None):
        _forget_peak()
        before, start, error = _memory("VmRSS"), time.monotonic(), None
        try:
            target.read(path)
        except target.answers:
            pass
        except Exception as other:  # noqa: BLE001  # that is what is searched for
            error = f"{type(other).__name__}: {other}"[:200]
        connection.send(Tried(error, time.monotonic() - start, max(_memory("VmHWM") - before, 0)))


def _forget_peak() -> None:
    """Where Linux lets us, the largest memory so far (VmHWM) counts from here."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _memory(which: str) -> int:
    """Bytes, by a line of /proc/self/status; 0 where there is none."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(which):
                return int(line.split()[1]) * 1024
    return 0


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

    def read(self, folder: Path, one: _Input) -> Tried:
        """What becomes of an input, as a file of its name."""
        (folder / one.name).write_bytes(one.content)
        start = time.monotonic()
        self._connection.send(folder / one.name)
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
        """Ends the process."""
        self._process.kill()
        self._process.join()
