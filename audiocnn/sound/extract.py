"""The spectrograms of many clips, made in parallel, each on disk as soon as it is made: a kill loses those under way.

UrbanSound8K takes minutes, and resuming costs a line a clip; so a run that was killed resumes.

In the partial folder stand `features.raw`, the spectrograms in the clips' order as float32 (clips, mels, frames), and
`progress.jsonl`, which holds the digest of recipe and clip list and then a line a clip. On the next run a line counts
if its clip has not changed since and its checksum is that of the bytes in features.raw.
"""

import hashlib
import multiprocessing
import os
import signal
import threading
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError
from tqdm import tqdm

from audiocnn.config.settings import Settings
from audiocnn.errors import UserError
from audiocnn.files import canonical_json, write_atomically
from audiocnn.sound.decode import BadSoundError
from audiocnn.sound.recipe import Recipe
from audiocnn.sound.spectrogram import first_window

FEATURES = "features.raw"
_PROGRESS = "progress.jsonl"
_FLOAT32 = 4  # bytes
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class ClipRecord(Settings):
    """What became of a clip: its file's size and time of change (ns), its spectrogram's crc32, or why it has none.

    damage: what of the sound was left out.
    """

    row: int
    size: int
    modified: int
    crc32: int = 0
    problem: str | None = None
    damage: str | None = None


def clip_bytes(recipe: Recipe) -> int:
    """The size of one spectrogram in features.raw."""
    return recipe.n_mels * recipe.frames * _FLOAT32


def extract(files: Sequence[Path], names: Sequence[str], recipe: Recipe, partial: Path, jobs: int) -> list[ClipRecord]:
    """Makes features.raw hold each file's spectrogram, and returns a record for each, in order.

    names: what the clips are called, whatever folder they are in. Work of an earlier run with the same recipe and names
    is kept. Raises UserError where a worker process dies, OSError where the disk is full.
    """
    partial.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(canonical_json([recipe.model_dump(), list(names)]).encode()).hexdigest()
    records = _resume(partial, key, files, recipe)
    _write_progress(partial, key, records)
    with (partial / FEATURES).open("ab") as raw:
        raw.truncate(len(files) * clip_bytes(recipe))
    todo = [row for row in range(len(files)) if row not in records]
    bar = tqdm(desc="features", total=len(files), initial=len(records), unit="clip", disable=None)
    with bar, (partial / _PROGRESS).open("a") as progress:
        for record in _in_processes(todo, files, recipe, partial / FEATURES, min(jobs, len(todo))):
            progress.write(record.model_dump_json() + "\n")
            progress.flush()
            records[record.row] = record
            bar.update()
    return [records[row] for row in range(len(files))]


def _resume(partial: Path, key: str, files: Sequence[Path], recipe: Recipe) -> dict[int, ClipRecord]:
    """What an earlier run has done: clips whose file and spectrogram are as recorded. Bad ones are tried again."""
    try:
        first, *lines = (partial / _PROGRESS).read_text().splitlines()
        raw = (partial / FEATURES).open("rb")
    except (OSError, ValueError):
        return {}
    if first != key:
        return {}
    with raw:
        return {
            record.row: record
            for record in _records(lines)
            if _stamp(files[record.row]) == (record.size, record.modified)
            and zlib.crc32(_read_clip(raw.fileno(), record.row, recipe)) == record.crc32
        }


def _records(lines: Sequence[str]) -> Iterator[ClipRecord]:
    for line in lines:
        try:
            record = ClipRecord.model_validate_json(line)
        except ValidationError:
            return  # the line that a kill cut short; there is none after it
        if record.problem is None:
            yield record


def _read_clip(raw: int, row: int, recipe: Recipe) -> bytes:
    return os.pread(raw, clip_bytes(recipe), row * clip_bytes(recipe))


def _write_progress(partial: Path, key: str, records: dict[int, ClipRecord]) -> None:
    lines = [key, *(record.model_dump_json() for record in records.values())]
    write_atomically(partial / _PROGRESS, ("\n".join(lines) + "\n").encode())


def _stamp(file: Path) -> tuple[int, int]:
    """A file's size and time of its last change; zeros where there is none."""
    try:
        status = file.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _in_processes(
    rows: Sequence[int], files: Sequence[Path], recipe: Recipe, raw: Path, jobs: int
) -> Iterator[ClipRecord]:
    """Records as they come, in any order. Few clips are under way at a time, however many there are."""
    if not rows:
        return
    with _one_thread_each(), _pool(jobs) as pool:
        waiting: set[Future[ClipRecord]] = set()
        for row in rows:
            if len(waiting) >= 4 * jobs:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
            with _ctrl_c_held_back():
                waiting.add(pool.submit(_extract_clip, row, files[row], recipe, raw))
        yield from (future.result() for future in as_completed(waiting))


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_start_worker)
    try:
        yield pool
    except BrokenProcessPool:
        raise UserError(
            "a process that decodes clips died (out of memory, or killed): run the same command again to resume, "
            "with a smaller --jobs where memory is short."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Ctrl-C waits until the block ends. Processes started in here never see it: they would die in their imports."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Workers started in here compute in one thread each: more would get in their way and may change last bits."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start_worker() -> None:
    """Ctrl-C is for the main process, and workers end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _extract_clip(row: int, file: Path, recipe: Recipe, raw: Path) -> ClipRecord:
    size, modified = _stamp(file)
    try:
        window, damage = first_window(file, recipe)
    except BadSoundError as error:
        return ClipRecord(row=row, size=size, modified=modified, problem=str(error))
    content = window.values.tobytes()
    with raw.open("r+b") as out:
        out.seek(row * len(content))
        out.write(content)
    return ClipRecord(row=row, size=size, modified=modified, crc32=zlib.crc32(content), damage=damage)
