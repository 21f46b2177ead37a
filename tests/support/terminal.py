"""A terminal that a command runs in: what a person would see of it, at a size that may change."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyte

CTRL_C = b"\x03"
_HISTORY = 10_000  # lines that have scrolled away


class Terminal:
    """A pseudo-terminal and the process in it, which is the leader of its session."""

    def __init__(self, process: "subprocess.Popen[bytes]", master: int, columns: int, rows: int) -> None:
        self.process, self._master = process, master
        self._screen = pyte.HistoryScreen(columns, rows, history=_HISTORY)
        self._stream = pyte.ByteStream(self._screen)

    def resize(self, columns: int, rows: int) -> None:
        """Another size, of which the processes hear."""
        _set_size(self._master, columns, rows)
        self._screen.resize(rows, columns)

    def press(self, keys: bytes) -> None:
        """What a person types."""
        os.write(self._master, keys)

    def read(self, seconds: float = 0.1) -> bool:
        """Takes what is printed within some seconds; False when nothing will come any more."""
        if not select.select([self._master], [], [], seconds)[0]:
            return True
        try:
            content = os.read(self._master, 65536)
        except OSError:  # Linux says so when the last process has closed its side
            return False
        self._stream.feed(content)
        return bool(content)

    def read_until(self, condition: Callable[[], object], seconds: float = 120) -> None:
        """Reads until a condition holds, which must be before everything has ended."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.read(), f"ended too early:\n{self.shown()}"
            assert time.monotonic() < deadline, f"waited in vain:\n{self.shown()}"

    def settle(self, seconds: float = 0.05) -> None:
        """Reads until nothing comes for a moment: a screen is not to be looked at while it is drawn."""
        while select.select([self._master], [], [], seconds)[0] and self.read():
            pass

    def read_to_end(self, seconds: float = 120) -> int:
        """Reads all that is left; returns the exit code."""
        deadline = time.monotonic() + seconds
        while self.read():
            assert time.monotonic() < deadline, f"does not end:\n{self.shown()}"
        return self.process.wait(timeout=seconds)

    def lines(self) -> list[str]:
        """The screen's lines, without the spaces at their ends."""
        return [line.rstrip() for line in self._screen.display]

    def shown(self) -> str:
        """The screen as text."""
        return "\n".join(self.lines()).rstrip()

    def all_lines(self) -> list[str]:
        """What has scrolled away, then the screen."""
        gone = ["".join(row[x].data for x in range(self._screen.columns)).rstrip() for row in self._screen.history.top]
        return [*gone, *self.lines()]


@contextmanager
def terminal(setting: dict[str, Any], *command: str, columns: int = 80, rows: int = 24) -> Iterator[Terminal]:
    """A command in a terminal; setting: its cwd and env. Ends it at the end."""
    master, slave = pty.openpty()
    _set_size(slave, columns, rows)
    variables = {**setting["env"], "TERM": "xterm-256color"}
    process = subprocess.Popen(
        command,
        cwd=setting.get("cwd"),
        env={name: value for name, value in variables.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=_take_terminal,  # noqa: PLW1509  # no thread runs here
    )
    os.close(slave)
    try:
        yield Terminal(process, master, columns, rows)
    finally:
        os.close(master)  # they hang up
        process.kill()
        process.wait()


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches all that run in it


def _set_size(descriptor: int, columns: int, rows: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
