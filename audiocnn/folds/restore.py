"""What DVC took away for a stage that then refuses or stops: brought back from DVC's cache, as dvc.lock names it.

DVC deletes a stage's outs before it starts the stage, and `dvc exp run` those of the folds that params.yaml no longer
lists before it starts any. A value that the stage refuses would cost them.
"""

import json
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from audiocnn.config.dvc_lock import read_lock
from audiocnn.errors import exit_codes
from audiocnn.folds.dvc import cached_file, dvc_cache

_DIGEST = re.compile(r"[0-9a-f]{32}(\.dir)?")


def restore_unless_finished() -> None:
    """At the end of a stage's process: restores the outs, however it ends, unless it has done its work."""
    if exit_codes != [0]:
        restore_outs()


def restore_outs() -> None:
    """Copies those outs of the last run that are not here from DVC's cache. An out that the cache lacks stays away.

    What the system refuses is left to 'dvc checkout'.
    """
    recorded = [out for stage in read_lock(Path()).values() for out in stage.outs.items()]
    missing = {name: digest for name, digest in recorded if not Path(name).exists()}
    cache = dvc_cache() if missing else None
    for name, digest in missing.items():
        if cache is not None and _is_inside(name):
            with suppress(OSError):
                _restore(Path(name), str(digest), cache)


def _restore(path: Path, digest: str, cache: Path) -> None:
    temporary = path.with_name(f".{path.name}.restored")
    shutil.rmtree(temporary, ignore_errors=True)
    for name, source in _files(digest, cache).items():
        target = temporary / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    temporary.replace(path)


def _files(digest: str, cache: Path) -> Mapping[str, Path]:
    """The cached files of an out, by their names below its path: "" is a file itself. Raises OSError without them."""
    if not digest.endswith(".dir"):
        return {"": _cached(cache, digest)}
    try:
        entries = json.loads(_cached(cache, digest).read_bytes())
        files = {str(entry["relpath"]): _cached(cache, entry["md5"]) for entry in entries}
    except (ValueError, KeyError, TypeError):
        raise OSError from None
    if not all(map(_is_inside, files)):  # a listing may come from a DVC remote
        raise OSError
    return files


def _cached(cache: Path, digest: str) -> Path:
    if not _DIGEST.fullmatch(digest):
        raise OSError
    return cached_file(cache, digest)


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts
