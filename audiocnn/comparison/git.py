"""What git knows: asked by its command, which answers nothing where there is no git or no repository."""

import os
import subprocess
from pathlib import Path

from audiocnn.errors import UserError


def git(root: Path, *arguments: str) -> bytes | None:
    """What a git command prints, or None where it fails or there is no git.

    Raises UserError where git answers nothing because the clone belongs to another user.
    """
    in_english = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False, env=in_english)
    except (OSError, ValueError):  # ValueError: a zero byte in a name
        return None
    if done.returncode and b"dubious ownership" in done.stderr:
        raise UserError(
            f"git reads nothing of {root.absolute()}, which belongs to another user: where you trust it, run "
            f"'git config --global --add safe.directory {root.absolute()}'."
        )
    return None if done.returncode else done.stdout
