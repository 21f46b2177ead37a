"""`python -m stages`: what `dvc repro` does, in this environment and with one line at Ctrl-C. `make repro` runs it."""

import logging
import os
import re
import signal
import sys
from pathlib import Path

from dvc.cli import main

STOPPED = 128 + signal.SIGINT  # the exit code of a stage after Ctrl-C, which has said so
# Some shells between DVC and the stage, Debian's /bin/sh among them, then end themselves by the signal.
_STOPPED = re.compile(rf"exited with ({STOPPED}|-{signal.SIGINT:d})\b")


class _Said(logging.Filter):
    """Whether DVC's error is not the one that a stage was stopped."""

    stopped = False

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not _STOPPED.search(f"{error} {error.__cause__ if error else ''}"):
            return True
        self.stopped = True
        return False


def _no_git() -> str | None:
    """Why DVC will not work here, where it is no git clone, or None."""
    here = Path.cwd()
    without = "no_scm = true" in _local_config(here)
    if without or any((folder / ".git").exists() for folder in (here, *here.parents)):
        return None
    return (
        f"{here} is no git clone (a ZIP has no history), which DVC expects: clone the repository, or run 'git init' "
        "here once; where git cannot be installed, '.venv/bin/dvc config --local core.no_scm true'. Then run the "
        "command again."
    )


def _local_config(here: Path) -> str:
    file = here / ".dvc/config.local"
    return file.read_text() if file.exists() else ""


def repro() -> int:
    """Runs `dvc repro`; its exit code, or STOPPED. The stages' `python` is this one."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    os.environ["AUDIOCNN_TABLE"] = "later"
    if why := _no_git():
        print(f"error: {why}", file=sys.stderr)
        return 1
    said = _Said()
    for handler in logging.getLogger("dvc").handlers:
        handler.addFilter(said)
    code: int = main(["repro", *sys.argv[1:]])
    return STOPPED if said.stopped else code


if __name__ == "__main__":
    sys.exit(repro())
