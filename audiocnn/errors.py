"""Errors that a user can mend, and the one place where a command turns them into an exit code."""

import errno
import os
import sys
from collections.abc import Callable

_DISK_ERRORS = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space",
    errno.EROFS: "the file system is read-only: make it writable",
    errno.EACCES: "permission is denied: make it writable",
    errno.EPERM: "permission is denied: make it writable",
}


class UserError(Exception):
    """What a user can mend. Its text is one sentence: what, where, what was expected, what to do."""


def run_command(main: Callable[[], int | None]) -> int:
    """Runs a command's body and returns its exit code: 0, or 1 with one sentence on stderr.

    `AUDIOCNN_DEBUG=1` shows the traceback instead. Anything but a UserError or a failing disk is a bug of
    ours and keeps its traceback.
    """
    try:
        return main() or 0
    except UserError as error:
        if os.environ.get("AUDIOCNN_DEBUG") == "1":
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if os.environ.get("AUDIOCNN_DEBUG") == "1" or error.errno not in _DISK_ERRORS:
            raise
        where = error.filename or "a file"
        print(
            f"error: cannot write {where}: {_DISK_ERRORS[error.errno]} and run the same command again.", file=sys.stderr
        )
        return 1
