"""A process that dies inside its own writes: SIGKILL between opening, writing, fsyncing, renaming and deleting.

Only tests start it, in a process of its own; the code that it runs is the real one.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any


class Steps:
    """Counts the steps of this process's writes from now on, and ends it with SIGKILL at the fatal one.

    Before and after each open for writing, fsync, rename, deletion and new folder is a step, and so is the middle of
    each write.
    """

    def __init__(self, fatal: int) -> None:
        self.taken = 0
        self._fatal = fatal
        os.fsync = self._between_steps(os.fsync)
        for name in ("replace", "unlink", "mkdir"):
            setattr(Path, name, self._between_steps(getattr(Path, name)))
        Path.open = self._watching_writes(Path.open)  # type: ignore[method-assign]

    def step(self) -> None:
        self.taken += 1
        if self.taken == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def _between_steps(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **options: Any) -> Any:
            self.step()
            result = function(*arguments, **options)
            self.step()
            return result

        return watched

    def _watching_writes(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if mode not in ("wb", "xb"):
                return function(path, mode, *arguments, **options)
            self.step()
            file = function(path, mode, *arguments, **options)
            self.step()
            return TornFile(file, self.step)

        return watched


class TornFile:
    """An open file whose every write reaches the disk in two halves."""

    def __init__(self, file: IO[bytes], step: Callable[[], None]) -> None:
        self._file, self._step = file, step
        self.fileno, self.flush = file.fileno, file.flush

    def __enter__(self) -> "TornFile":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def write(self, content: bytes) -> None:
        half = len(content) // 2
        self._file.write(content[:half])
        self._file.flush()
        self._step()
        self._file.write(content[half:])
        self._step()
