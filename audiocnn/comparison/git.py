"""What git knows: asked by its command, which answers nothing where there is no git or no repository."""

import subprocess
from pathlib import Path


def git(root: Path, *arguments: str) -> bytes | None:
    """What a git command prints, or None where it fails or there is no git."""
    try:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=True).stdout
    except (OSError, ValueError, subprocess.CalledProcessError):  # ValueError: a zero byte in a name
        return None
