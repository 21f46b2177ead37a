"""The DVC experiments of a project, finished or not: out of git's refs and DVC's queue, without checking any out."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from audiocnn.comparison.git import git
from audiocnn.comparison.revisions import RevisionResults, present_inputs, read_revision
from audiocnn.config.dvc_lock import dvc_root, is_code
from audiocnn.errors import UserError

DONE, RUNNING, QUEUED, FAILED = "done", "running", "queued", "failed"
_REF = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]+/(?P<name>.+)")


class Experiment(NamedTuple):
    """An experiment. inputs: params by dotted name and digests of code, those that its results have or will have.

    results: of a finished one.
    """

    name: str
    state: str
    inputs: dict[str, Any]
    results: RevisionResults | None


class _Queued(NamedTuple):
    """An entry of DVC's queue: the commit that DVC stashed for it has its params."""

    name: str
    commit: str
    state: str


def read_experiments(root: Path) -> tuple[list[Experiment], list[str]]:
    """All experiments, with the results that HEAD holds as one of them, and notes on those that do not count.

    Raises UserError where this is no git repository, or DVC's queue cannot be read.
    """
    if git(root, "rev-parse", "--git-dir") is None:
        raise UserError("this is not a git repository: run this in a clone of the project.")
    notes: list[str] = []
    done = [found for name, commit in _finished(root) if (found := _read(root, name, commit, notes))]
    code = {name for experiment in done for name in experiment.inputs if is_code(name)}
    return [*done, *(_unfinished(root, entry, code) for entry in _queue(root))], notes


def _finished(root: Path) -> Iterable[tuple[str, str]]:
    """HEAD and the experiments that DVC has saved, on whatever baseline: their names and commits."""
    listing = git(root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps/") or b""
    rows = [line.split(" ", 1) for line in listing.decode(errors="replace").splitlines()]
    saved = [(match["name"], commit) for commit, ref in rows if (match := _REF.fullmatch(ref))]
    head = git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    everything = [("HEAD", head.decode().strip()), *saved] if head else saved
    return tqdm(everything, desc="experiments", unit="run", disable=None, leave=False, delay=2)


def _read(root: Path, name: str, commit: str, notes: list[str]) -> Experiment | None:
    """A saved experiment, or None, with a note why, where its results are not those of its params and code."""
    try:
        results = read_revision(root, commit)._replace(name=name)
    except UserError as error:
        if name != "HEAD":
            notes.append(f"{name} does not count: {error}")
        return None
    if results.stale or not results.inputs:
        if name != "HEAD":
            changed = f"{results.stale[0]} changed after them" if results.stale else "it has no dvc.lock"
            notes.append(f"{name} does not count: its results are not those of its params and code ({changed}).")
        return None
    return Experiment(name, DONE, results.inputs, results)


def _unfinished(root: Path, entry: _Queued, code: Iterable[str]) -> Experiment:
    return Experiment(entry.name, entry.state, present_inputs(root, entry.commit, code), None)


def _queue(root: Path) -> list[_Queued]:
    """What `dvc queue status` lists, without those that succeeded, and what runs by `dvc exp run --temp`."""
    if not (dvc_root(root) / ".dvc/tmp/exps").is_dir():
        return []  # nothing was ever queued here: dvc, which takes a second to load, has nothing to tell
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.scm import SCMError

    try:
        with Repo(str(root)) as repo:
            queues = repo.experiments
            listed = [
                (RUNNING, queues.celery_queue.iter_active()),
                (RUNNING, queues.tempdir_queue.iter_active()),
                (QUEUED, queues.celery_queue.iter_queued()),
                (FAILED, (entry for entry, _ in queues.celery_queue.iter_failed())),
            ]
            return [
                _Queued(str(entry.name or entry.stash_rev[:7]), str(entry.stash_rev), state)
                for state, entries in listed
                for entry in entries
            ]
    except (DvcException, SCMError, OSError) as error:
        raise UserError(f"DVC's queue cannot be read: {error}; see what 'dvc queue status' says.") from None
