"""What a stage asks about the dvc that runs it: is it alive, which stages were named, was --force given, and why.

DVC may be a command, `python -m dvc`, or a program or notebook that calls `dvc.repo.Repo().reproduce()`. It tells a
stage its name alone, DVC_STAGE. But for as long as a stage runs, the process that runs it stands in DVC's list of who
reads and writes which files, .dvc/tmp/rwlock: the one of our ancestors that is in this list is our dvc.

What the user asked for is on its command line, where it is a command. These forms are understood, behind `dvc`:

    train_fold@3, ./dvc.yaml:train_fold@3               a fold named by the user: this fold alone
    -f, --force; -sf, -fs, -Pf                          force, also among other short options that take no value
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path

import psutil

from audiocnn.config.dvc_lock import dvc_root, read_lock
from audiocnn.config.params import PARAMS_FILE
from audiocnn.config.settings import read_yaml
from audiocnn.errors import Stopped, UserError
from audiocnn.files import md5
from audiocnn.processes import end_with
from audiocnn.text import displayed

_FOLD_STAGE = re.compile(r"(?:.*:)?train_fold@([0-9]{1,4})")  # with the path of dvc.yaml where dvc runs elsewhere
_NAMED_FOLD = re.compile(r"(.*:)?train_fold@\d.*")
_FLAGS = "[qvispPRk]"  # the short options of repro and exp run that take no value, in DVC 3.67
_FORCE = re.compile(rf"--force|-{_FLAGS}*f[f{_FLAGS[1:]}*")
_READS, _READ_AGAIN = 100, 0.02  # looks at dvc's list while it is being written, and seconds between two


@cache
def _dvc_process() -> psutil.Process | None:
    """The dvc that runs this process as a stage, or None. As it was when first asked: it may end later."""
    if "DVC_STAGE" not in os.environ:
        return None
    running = _running_dvcs()
    return next((process for process in psutil.Process().parents() if process.pid in running), None)


def _running_dvcs() -> set[int]:
    """The process ids in .dvc/tmp/rwlock, of this project or of the one that it lies in."""
    root = dvc_root(Path.cwd())
    for _ in range(_READS):
        try:
            held = json.loads((root / ".dvc/tmp/rwlock").read_bytes())
        except OSError:
            return set()
        except ValueError:  # another dvc writes it just now, and not atomically
            time.sleep(_READ_AGAIN)
            continue
        return {holder["pid"] for holder in [*held.get("write", {}).values(), *chain(*held.get("read", {}).values())]}
    return set()


def _words() -> list[str]:
    """The command line of the dvc that runs us, from `dvc` on; nothing where it is no command."""
    dvc = _dvc_process()
    try:
        words = dvc.cmdline() if dvc else []
    except psutil.Error:
        return []
    return next((words[place:] for place, word in enumerate(words) if Path(word).name == "dvc"), [])


def fold_of_stage(arguments: Sequence[str]) -> int:
    """The fold that this process is the stage of, by the stage's name (DVC_STAGE), or by hand as the one argument.

    Raises UserError where neither is a fold index: the name comes from params.yaml, and may be any text.
    """
    name = f"train_fold@{arguments[0]}" if len(arguments) == 1 else os.environ.get("DVC_STAGE", "")
    match = _FOLD_STAGE.fullmatch(name)
    if match is None:
        raise UserError(
            f"the stage is called {displayed(name)[:80]!r}, expected train_fold@K with a fold index K: list whole "
            "numbers as folds in params.yaml, and run 'dvc repro train_fold@0'."
        )
    return int(match[1])


def end_with_dvc() -> None:
    """Ends this stage when the dvc that runs it ends. Raises Stopped where it has ended already."""
    dvc = _dvc_process()
    if dvc is not None:
        end_with(dvc)
    elif "DVC_STAGE" in os.environ:  # dvc sets it for every stage, so it started us, and was killed since
        raise Stopped(signal.SIGTERM)


def current_session() -> str:
    """A name for the dvc run (or else the process) that we work for, the same in all its stages."""
    process = _dvc_process() or psutil.Process()
    return json.dumps([process.pid, process.create_time()])


def folds_to_train(fold: int, listed: Sequence[int], jobs: int) -> tuple[list[int], bool]:
    """The folds that the stage of one fold trains, and whether all of them were asked for by force.

    All listed ones, side by side, unless the user wants this one alone: with one job, or by naming train_fold@k to dvc.
    """
    words = _words()
    if jobs == 1 or os.environ.get("AUDIOCNN_JOBS") == "1" or any(map(_NAMED_FOLD.fullmatch, words)):
        return [fold], True
    return [fold, *(other for other in listed if other != fold)], is_forced(words)


def is_forced(words: Sequence[str]) -> bool:
    """Whether a dvc command line asks to run stages that have not changed."""
    return any(map(_FORCE.fullmatch, words))


def dvc_has(fold: int, results: Mapping[str, bytes]) -> bool:
    """Whether dvc.lock records exactly these results, for the params as they stand, and DVC's cache holds them.

    Then DVC could have restored them and had no reason to run the stage but --force. A lock alone says less: in a fresh
    clone it records what the cache has yet to get.
    """
    stage = read_lock(Path()).get(f"train_fold@{fold}")
    if stage is None:
        return False
    digests = {name: md5(content) for name, content in results.items()}
    params = read_yaml(PARAMS_FILE)
    if {Path(path).name: digest for path, digest in stage.outs.items()} != digests:
        return False
    return all(params.get(group) == value for group, value in stage.params.items()) and _in_cache(digests.values())


def _in_cache(digests: Iterable[str]) -> bool:
    cache = dvc_cache()
    return cache is not None and all(cached_file(cache, digest).exists() for digest in digests)


def dvc_cache() -> Path | None:
    """The folder of DVC's cache that holds files by their md5; None where dvc does not say."""
    command = [sys.executable, "-m", "dvc", "cache", "dir"]  # ours: another dvc, or none, may be on the PATH
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return Path(answer.stdout.strip()) / "files" / "md5" if answer.returncode == 0 else None


def cached_file(cache: Path, digest: str) -> Path:
    """Where DVC's cache has, or would have, the file of an md5."""
    return cache / digest[:2] / digest[2:]
