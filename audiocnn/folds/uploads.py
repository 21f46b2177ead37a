"""Uploads as training sees them: a process of their own, which is never in the way."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from audiocnn.config.runtime import HubSettings
from audiocnn.config.settings import Settings
from audiocnn.errors import Stopped
from audiocnn.folds import ledger

DRAIN = 30.0  # seconds that the last pass may take once training is over


class UploadJob(Settings):
    """What the uploading process is told, as JSON on its command line: folders are checkpoint folders by fold."""

    hub: HubSettings
    root: str
    folders: dict[int, str]


@contextmanager
def uploads(hub: HubSettings, root: Path, folders: Mapping[int, Path]) -> Iterator[None]:
    """Uploads what appears in the folds' checkpoint folders, in a process beside the code in the `with` block.

    Without `hub.model_repo` nothing happens. Leaving the block takes at most DRAIN seconds, after a signal none; a line
    says how many files are not uploaded by then.
    """
    if not ledger.is_wanted(hub):
        yield
        return
    job = UploadJob(hub=hub, root=str(root), folders={fold: str(folder) for fold, folder in folders.items()})
    # A process and not a thread: it can be ended whatever the network does, and it outlives a kill of ours long enough
    # for its last pass, which it makes when its standard input ends. Its own group keeps Ctrl-C from it.
    process = subprocess.Popen(
        [sys.executable, "-m", "audiocnn.folds.uploader", job.model_dump_json()], stdin=subprocess.PIPE, process_group=0
    )
    drain = DRAIN + 5  # it ends itself after DRAIN; the rest is for an interpreter on a busy machine
    try:
        yield
    except (Stopped, KeyboardInterrupt):
        drain = 0.0
        raise
    finally:
        _end(process, drain)
        _say_what_waits(hub, folders)


def _end(process: "subprocess.Popen[bytes]", drain: float) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(drain)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _say_what_waits(hub: HubSettings, folders: Mapping[int, Path]) -> None:
    count = sum(len(ledger.waiting(folder, fold, hub)) for fold, folder in folders.items())
    if count:
        print(f"hub: files that are not in {hub.model_repo} yet: {count}; 'audiocnn upload' uploads them", flush=True)
