"""What git knows: asked by its command, which answers nothing where there is no git or no repository."""

import os
import subprocess
from collections.abc import Iterable
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


def contents(root: Path, commit: str, names: Iterable[str]) -> dict[str, bytes | None]:
    """The content of files of a commit by name, in one go; None where the commit has no such file."""
    wanted = list(names)
    askable = [name for name in wanted if "\n" not in name and "\0" not in name]
    asked = "".join(f"{commit}:./{name}\n" for name in askable).encode(errors="surrogateescape")
    try:
        command = ["git", "cat-file", "--batch"]
        answer = subprocess.run(command, cwd=root, input=asked, capture_output=True, check=False).stdout
    except OSError:
        answer = b""
    found: dict[str, bytes | None] = dict.fromkeys(wanted)
    start = 0
    for name in askable:
        end = answer.find(b"\n", start)
        kind, _, size = answer[start:end].rpartition(b" ")
        start = end + 1
        if size.isdigit():  # else the line ends in "missing"
            if kind.endswith(b" blob"):
                found[name] = answer[start : start + int(size)]
            start += int(size) + 1
    return found
