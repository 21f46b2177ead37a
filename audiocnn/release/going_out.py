"""Where a release goes: to a repository of the Hub, or into a folder to be looked at first."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from audiocnn.config.hub_names import is_repository
from audiocnn.errors import UserError
from audiocnn.files import write_atomically
from audiocnn.text import displayed

if TYPE_CHECKING:
    from audiocnn.hub.push import Kind


def check_destination(option: str, repository: str, dry_run: Path | None) -> None:
    """Raises UserError unless `option` names a repository and, where there is a dry run, its folder is new or empty."""
    if not is_repository(repository):
        raise UserError(f"{option} is {repository!r}, expected OWNER/NAME.")
    if dry_run is not None and dry_run.exists() and (not dry_run.is_dir() or any(dry_run.iterdir())):
        raise UserError(f"{dry_run} already exists: name a new or an empty folder for --dry-run.")


def send(
    files: Mapping[str, bytes],
    repository: str,
    kind: "Kind",
    message: str,
    dry_run: Path | None,
    is_stale: Callable[[str], bool] = lambda name: False,
) -> None:
    """Shows the files with their sizes, and pushes them as hub/push.py does, or writes them into the folder `dry_run`.

    Raises UserError.
    """
    for name, content in files.items():
        print(displayed(f"{len(content):>10,} bytes  {name}"))
    if dry_run is not None:
        for name, content in files.items():
            write_atomically(dry_run / name, content)
        print(f"{len(files)} files in {dry_run}, nothing is pushed; its card is {dry_run / 'README.md'}")
        return
    from audiocnn.hub.push import push

    print(displayed(f"{len(files)} files in one commit: {push(repository, kind, files, message, is_stale)}"))
