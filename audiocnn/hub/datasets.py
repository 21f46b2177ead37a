"""A dataset repository of the Hub: its files, verified, into a staging folder."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from audiocnn.config.hub_names import HubName, is_commit
from audiocnn.hub.client import HubError, commit_of, explained, hub_api, other_bytes, patiently


def resolve(name: HubName) -> str:
    """A dataset revision's commit, 40 hex digits: itself without any request, or what a branch or tag names now."""
    if is_commit(name.revision):
        return name.revision
    task = f"get dataset {name.repository} at {name.revision}"
    api = hub_api()
    try:
        info = patiently(lambda: api.dataset_info(name.repository, revision=name.revision))
    except HubError as trouble:
        raise explained(trouble, task) from None
    return commit_of(info, task)  # it becomes a folder's name


def sizes(repository: str, commit: str) -> dict[str, int]:
    """The files at a dataset's root, by name, and the bytes that are listed for each. Raises UserError."""
    api = hub_api()
    from huggingface_hub import RepoFile

    try:
        tree = patiently(lambda: list(api.list_repo_tree(repository, repo_type="dataset", revision=commit)))
    except HubError as trouble:
        raise explained(trouble, f"get dataset {repository} at {commit}") from None
    return {entry.path: entry.size for entry in tree if isinstance(entry, RepoFile)}


def download(repository: str, commit: str, names: Sequence[str], folder: Path) -> None:
    """Makes `folder` hold those of the named files that the dataset has, each with the checksum that is listed there.

    Files that an earlier call completed stay. A file whose bytes are not what is listed is downloaded once more.
    Raises UserError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    task = f"get dataset {repository} at {commit}"
    try:
        damaged = _download(repository, commit, names, folder) and _download(repository, commit, names, folder)
    except HubError as trouble:
        raise explained(trouble, task) from None
    if damaged:
        raise other_bytes(task, damaged[0])
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the library's notes, with times in them


def _download(repository: str, commit: str, names: Sequence[str], folder: Path) -> list[str]:
    """One download of what is missing; returns the names of files whose checksum was wrong, which are deleted."""
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
    damaged = [str(mismatch["path"]) for mismatch in result.mismatches]
    for name in damaged:  # also of the last try: the next fetch has two of its own
        (folder / name).unlink()
    return damaged
