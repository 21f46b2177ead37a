"""The process that uploads while folds train, and upload_missing, which finishes what it could not."""

import os
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from tqdm import tqdm

from audiocnn.checkpoints.outage import outage_of, remember_outage
from audiocnn.checkpoints.verified import DamagedCheckpointError, read_verified
from audiocnn.config.runtime import HubSettings
from audiocnn.errors import run_command
from audiocnn.folds import ledger
from audiocnn.folds.uploads import DRAIN, UploadJob
from audiocnn.hub.client import HubError, explained, hub_api, patiently
from audiocnn.text import displayed

if TYPE_CHECKING:
    from huggingface_hub import HfApi

HUB = "hub"  # the service's name in outages
LOOK = 2.0  # seconds between two looks into the checkpoint folders
COMMIT_EVERY = 60.0  # seconds between two commits while folds train
_COMMITS_AN_HOUR = 100  # users report that the Hub allows 128, for all of an account's repositories
_FILES_A_COMMIT = 50
_BYTES_A_COMMIT = 64 << 20  # they are in memory


@dataclass(frozen=True)
class _Waiting:
    """A committed file that the repository lacks."""

    fold: int
    folder: Path
    name: str
    sha256: str


def main() -> None:
    """Uploads what the JSON on the command line says (UploadJob) until standard input ends; then makes a last pass."""
    job = UploadJob.model_validate_json(sys.argv[1])
    root = Path(job.root)
    root.mkdir(parents=True, exist_ok=True)
    os.nice(5)  # training comes first
    closing = threading.Event()
    threading.Thread(target=_end_with_stdin, args=(closing, root), daemon=True).start()
    if outage_of(root, HUB):
        _say("no uploads in this run: the Hub did not answer less than ten minutes ago")
        return
    try:
        api = hub_api()
        _make_repository(api, job.hub)
    except HubError as trouble:
        _note(trouble, root)
        _say(f"no uploads in this run: {explained(trouble, f'write to {job.hub.model_repo}')}")
        return
    _say(f"weights go to {job.hub.model_repo}")
    while not closing.wait(LOOK):
        if not _pass(api, job, root):
            return
    left = _find(job)
    while left and _pass(api, job, root, last=True):
        before, left = left, _find(job)
        if len(left) == len(before):
            return


def _end_with_stdin(closing: threading.Event, root: Path) -> None:
    while os.read(0, 4096):  # sys.stdin would hold a lock that the interpreter needs to exit
        pass
    closing.set()
    time.sleep(DRAIN)
    remember_outage(root, HUB, "it did not answer")  # or is so slow that the next fold would wait as long
    os._exit(1)  # whatever the client library's threads are at


def _make_repository(api: "HfApi", hub: HubSettings) -> None:
    """Makes the model repository where it does not exist yet. Raises HubError."""
    assert hub.model_repo is not None
    repository = hub.model_repo
    patiently(lambda: api.create_repo(repository, repo_type="model", private=hub.private, exist_ok=True), quiet=True)


def _pass(api: "HfApi", job: UploadJob, root: Path, last: bool = False) -> bool:
    """One commit of what waits, if it is time for one. Returns whether there is any use in another pass."""
    with suppress(Timeout), FileLock(root / "hub.lock", timeout=DRAIN if last else 0):
        recent = ledger.recent_commits(root)
        too_soon = bool(recent) and time.time() - recent[-1] < (0 if last else COMMIT_EVERY)
        must_wait = outage_of(root, HUB) is not None or too_soon or len(recent) >= _COMMITS_AN_HOUR
        files = [] if must_wait else _find(job)
        try:
            if files:
                commit(api, job.hub, files)
                ledger.record_commit(root)
        except HubError as trouble:
            _note(trouble, root)
            what = "uploads pause" if trouble.temporary else "no more uploads"
            _say(f"{what}: {explained(trouble, f'write to {job.hub.model_repo}')}")
            return trouble.temporary
    return True


def _find(job: UploadJob) -> list[_Waiting]:
    return [
        _Waiting(fold, Path(folder), name, sha256)
        for fold, folder in job.folders.items()
        for name, sha256 in ledger.waiting(Path(folder), fold, job.hub).items()
    ]


def commit(api: "HfApi", hub: HubSettings, files: list[_Waiting]) -> int:
    """Uploads the first of the files, as many as a commit may hold, and enters them in the ledgers.

    Returns how many files of the list are dealt with. Raises HubError.
    """
    from huggingface_hub import CommitOperationAdd

    assert hub.model_repo is not None
    repository = hub.model_repo
    batch: dict[_Waiting, bytes] = {}
    dealt_with = 0
    for file in files[:_FILES_A_COMMIT]:
        if batch and sum(map(len, batch.values())) > _BYTES_A_COMMIT:
            break
        dealt_with += 1
        with suppress(DamagedCheckpointError):  # deleted since it was found, or damaged: nothing to upload
            batch[file] = read_verified(file.folder / file.name, file.sha256)
    message = f"{len(batch)} files of folds {sorted({file.fold for file in batch})}"
    if batch:
        patiently(
            lambda: api.create_commit(
                repository,
                [CommitOperationAdd(ledger.path_in_repo(f.name, f.fold), content) for f, content in batch.items()],
                commit_message=message,
            ),
            quiet=True,
        )
    for file in batch:
        ledger.record_uploaded(file.folder, hub, {file.name: file.sha256})
    return dealt_with


def upload_missing(hub: HubSettings, root: Path, folders: Mapping[int, Path]) -> int:
    """Uploads whatever the folds' checkpoint folders have and the repository lacks; returns how many files.

    Compares by sha256 with the repository itself, so it may be called any number of times. Raises UserError.
    """
    api = hub_api()
    try:
        _make_repository(api, hub)
        files = _missing(api, hub, folders)
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / "hub.lock"), tqdm(total=len(files), unit="file", disable=None, leave=False) as bar:
            left = files
            while left:
                done = commit(api, hub, left)
                ledger.record_commit(root)
                bar.update(done)
                left = left[done:]
    except HubError as trouble:
        raise explained(trouble, f"write to {hub.model_repo}") from None
    return len(files)


def _missing(api: "HfApi", hub: HubSettings, folders: Mapping[int, Path]) -> list[_Waiting]:
    from huggingface_hub import RepoFile

    assert hub.model_repo is not None
    tree = patiently(lambda: list(api.list_repo_tree(str(hub.model_repo), recursive=True)))
    present = {entry.path: entry.lfs.sha256 for entry in tree if isinstance(entry, RepoFile) and entry.lfs}
    missing = []
    for fold, folder in folders.items():
        wanted = ledger.uploadable(folder, fold, hub)
        there = {name: sha for name, sha in wanted.items() if present.get(ledger.path_in_repo(name, fold)) == sha}
        if there:
            ledger.record_uploaded(folder, hub, there)
        missing += [_Waiting(fold, folder, name, sha) for name, sha in wanted.items() if name not in there]
    return missing


def _note(trouble: HubError, root: Path) -> None:
    if trouble.temporary:
        remember_outage(root, HUB, "it did not answer")


def _say(message: str) -> None:
    print(displayed(f"hub: {message}"), flush=True)


if __name__ == "__main__":
    sys.exit(run_command(main))
