"""Downloading a dataset's files from the Hub, verified, into a staging folder."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from audiocnn.errors import UserError
from audiocnn.hub_client import HubError, explained, hub_api, patiently

_COMMIT = re.compile("[0-9a-f]{40}")


def resolve(repository: str, revision: str) -> str:
    """A dataset revision's commit, 40 hex digits: itself without any request, or what a branch or tag names now."""
    if _COMMIT.fullmatch(revision):
        return revision
    wanted = f"dataset {repository} at {revision}"
    api = hub_api()
    try:
        info = patiently(lambda: api.dataset_info(repository, revision=revision))
    except HubError as trouble:
        raise explained(trouble, f"get {wanted}") from None
    if not _COMMIT.fullmatch(info.sha or ""):  # it becomes a folder's name
        raise UserError(f"cannot get {wanted}: the server names no commit of 40 hex digits; check HF_ENDPOINT.")
    return str(info.sha)


def download(repository: str, commit: str, names: Sequence[str], folder: Path) -> None:
    """Makes `folder` hold those of the named files that the dataset has, each with the checksum that is listed there.

    Files that an earlier call completed stay. A file whose bytes are not what is listed is downloaded once more.
    Raises UserError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = f"dataset {repository} at {commit}"
    try:
        damaged = _download(repository, commit, names, folder)
        if damaged:
            for name in damaged:
                (folder / name).unlink()
            damaged = _download(repository, commit, names, folder)
    except HubError as trouble:
        raise explained(trouble, f"get {wanted}") from None
    if damaged:
        raise UserError(
            f"cannot get {wanted}: {damaged[0]} came twice with other bytes than the repository lists; "
            "try again later, or tell its owner."
        )
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the library's notes, with times in them


def _download(repository: str, commit: str, names: Sequence[str], folder: Path) -> list[str]:
    """One download of what is missing; returns the names of files whose checksum is wrong."""
    api = hub_api(progress=True)
    patiently(
        lambda: api.snapshot_download(
            repository,
            repo_type="dataset",
            revision=commit,
            local_dir=folder,
            allow_patterns=list(names),
            max_workers=2,
        )
    )
    # The library compares no checksum of its own over plain HTTP.
    result = patiently(
        lambda: api.verify_repo_checksums(repository, repo_type="dataset", revision=commit, local_dir=folder)
    )
    return [mismatch["path"] for mismatch in result.mismatches]
