"""Where the readers of a model card get the code: this clone's public address, where it has one."""

import re
from pathlib import Path

from audiocnn.comparison.git import git

# Of a form that a shell takes in double quotes. No user and no password, which would leave with the card.
_PUBLIC = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~+-]+)+")


def public_address(root: Path, commit: str | None) -> str | None:
    """The https:// address of a clone's `origin` that has the commit, as far as git knows here; None without one."""
    url = (git(root, "remote", "get-url", "origin") or b"").decode(errors="replace").strip().rstrip("/")
    if commit is None or not _PUBLIC.fullmatch(url):
        return None
    return url if git(root, "branch", "--remotes", "--list", "origin/*", "--contains", commit) else None
