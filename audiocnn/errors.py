"""Errors that a user can fix, and the one place where a command turns them into an exit code."""

import errno
import io
import os
import signal
import sys
from collections.abc import Callable

from audiocnn.text import displayed

_DISK_ERRORS = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space",
    errno.EROFS: "the file system is read-only: make it writable",
    errno.EACCES: "permission is denied: make it writable",
    errno.EPERM: "permission is denied: make it writable",
    errno.EFBIG: "it would be larger than this process may write: raise 'ulimit -f', or take another file system",
    errno.EIO: "the disk reports a fault: look into the system's log",
}
_OTHER_ERRORS = {
    errno.EMFILE: "too many files are open: raise 'ulimit -n'",
    errno.ENFILE: "the system has too many files open: end other programs",
    errno.ENOTDIR: "a part of its path is a file: move that away",
    errno.EISDIR: "it is a folder, expected a file: move it away",
    errno.EEXIST: "something else is there: move it away",
    errno.ENOENT: "it is not here: check the path",
    errno.ELOOP: "its links lead in a circle: mend them",
    errno.ENAMETOOLONG: "its name is too long: take a shorter one",
    errno.ENOMEM: "memory is full: end other programs, or set a smaller jobs in runtime.yaml",
}
exit_codes: list[int] = []
"""What run_command has returned in this process: nothing where it raised or never began. For what is done at exit."""


class UserError(Exception):
    """What a user can fix. Its text is one sentence: what, where, what was expected, what to do."""


class Stopped(Exception):  # noqa: N818  # not an error: somebody asked for it
    """A signal asked this process to stop, and everything that matters is saved."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}: run the same command again to resume.")
        self.exit_code = 128 + signum


def sentence_of(error: BaseException) -> str | None:
    """The one sentence to show a user for an error, or None where the error is a bug of ours."""
    if isinstance(error, UserError):
        return str(error)
    if not isinstance(error, OSError) or error.errno is None:
        return None
    name = error.filename or "a file"
    if error.errno in _DISK_ERRORS:
        return f"cannot write {name}: {_DISK_ERRORS[error.errno]}, then run the command again."
    why = _OTHER_ERRORS.get(error.errno, f"{error.strerror}: AUDIOCNN_DEBUG=1 shows where")
    return f"cannot use {name}: {why}, then run the command again."


def run_command(main: Callable[[], int | None]) -> int:
    """Runs a command's body and returns its exit code: 0, or 1 with one sentence on stderr, 130 or 143 when stopped.

    `AUDIOCNN_DEBUG=1` shows the traceback instead. Anything but a UserError or what the system refuses is a bug
    of ours and keeps its traceback.
    """
    code = _run(main)
    exit_codes.append(code)
    return code


def _run(main: Callable[[], int | None]) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a class name on a Latin-1 terminal is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    try:
        return main() or 0
    except Stopped as stop:
        print(stop, file=sys.stderr)
        return stop.exit_code
    except BrokenPipeError:  # whoever read our output has seen enough: `audiocnn ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (UserError, OSError) as error:
        sentence = sentence_of(error)
        if sentence is None or os.environ.get("AUDIOCNN_DEBUG") == "1":
            raise
        print(f"error: {displayed(sentence)}", file=sys.stderr)
        return 1
