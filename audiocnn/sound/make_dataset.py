"""A dataset's files, made from its sound files: four pickles, recipe.json and clips.csv, a folder for data.source."""

import csv
import io
import os
import pickle
import shutil
import struct
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from audiocnn.config.data_params import CLIPS, LEAKS, PICKLES, RECIPE
from audiocnn.errors import UserError
from audiocnn.files import fsync_folder, write_atomically, write_json
from audiocnn.sound.extract import FEATURES, ClipRecord, clip_bytes, extract
from audiocnn.sound.folds import check_folds
from audiocnn.sound.leaks import Leak, count_leaks, find_leaks, leaks_csv
from audiocnn.sound.recipe import Recipe
from audiocnn.sound.recordings import AudioFolder, Clip
from audiocnn.text import displayed

_PARTIAL = ".features.partial"
LEAK_PAIRS = "leaks.csv"
FILES = (*PICKLES, RECIPE, CLIPS, LEAKS, LEAK_PAIRS)
"""What of a dataset may be published."""
RECORDINGS = "recordings.txt"
"""Where the recordings are, seen from the dataset's folder: for the report's players, on this machine alone."""
_PROTOCOL = 4


def make_features(
    folder: Path, dataset: AudioFolder, recipe: Recipe, out: Path, jobs: int, skip_bad: bool
) -> tuple[list[Clip], list[Leak]]:
    """Writes features.pkl and its companions into `out`, and returns the clips that are in them and their leaks.

    features.pkl: float32 (clips, mels, frames, 1), dB. labels.pkl, folds.pkl: int64 (clips,). class_mapping.pkl:
    {label: name}. recipe.json: the recipe. clips.csv: file, label, class, fold and group of each row. leaks.json and
    leaks.csv: the leaks, counted and listed. recordings.txt: the way from `out` to `folder`. The same input gives the
    same bytes whatever `jobs`, the number of processes. No more than a few spectrograms are in memory at a time.
    Raises UserError, and publishes nothing, where clips are bad, unless `skip_bad` leaves those out.
    """
    partial = out / _PARTIAL
    with _alone(partial):
        files = [folder / clip.file for clip in dataset.clips]
        records = extract(files, [clip.file for clip in dataset.clips], recipe, partial, jobs)
        _report_bad(dataset.clips, records, skip_bad)
        good = [record.row for record in records if record.problem is None]
        clips = [dataset.clips[row] for row in good]
        _check_classes(dataset, clips)
        check_folds(replace(dataset, clips=clips))
        leaks = find_leaks(clips, _spectrograms(partial, len(records), good, recipe))
        _write_leaks(out, clips, leaks)
        write_atomically(out / RECORDINGS, f"{os.path.relpath(folder.resolve(), out.resolve())}\n".encode())
        _publish(out, partial, dataset.classes, clips, good, recipe)
    return clips, leaks


def remove_partial(out: Path) -> None:
    """Removes what make_features keeps so that the next run can resume. Call it once no next run is needed."""
    shutil.rmtree(out / _PARTIAL)


@contextmanager
def _alone(partial: Path) -> Iterator[None]:
    partial.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(partial / "lock", timeout=0):
            yield
    except Timeout:
        raise UserError(f"another process is making features in {partial.parent}: wait for it to finish.") from None


def _report_bad(clips: Sequence[Clip], records: Sequence[ClipRecord], skip_bad: bool) -> None:
    for record in records:
        if record.damage is not None:
            print(displayed(f"note: {clips[record.row].file}: {record.damage}"), file=sys.stderr)
    bad = [record for record in records if record.problem is not None]
    if not bad:
        return
    for record in bad:
        print(displayed(f"{clips[record.row].file}: {record.problem}"), file=sys.stderr)
    kinds = Counter(str(record.problem).partition(":")[0] for record in bad)
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    found = f"{len(bad)} of {len(clips)} clips cannot be used ({counts})"
    if not skip_bad:
        raise UserError(f"{found}: fix or remove them, or leave them out with --skip-bad; the others are kept.")
    print(f"{found}: left out", file=sys.stderr)


def _check_classes(dataset: AudioFolder, clips: Sequence[Clip]) -> None:
    left = {clip.label for clip in clips}
    for label, name in enumerate(dataset.classes):
        if label not in left:
            raise UserError(
                f"class {displayed(name)} has no clip that can be used: fix its clips, or take the class out."
            )


def _publish(
    out: Path, partial: Path, classes: Sequence[str], clips: Sequence[Clip], rows: Sequence[int], recipe: Recipe
) -> None:
    """features.pkl goes first and comes last: a folder that has it is complete."""
    _write_features(partial, rows, recipe)
    (out / "features.pkl").unlink(missing_ok=True)
    small = {
        "labels.pkl": np.array([clip.label for clip in clips], np.int64),
        "folds.pkl": np.array([clip.fold for clip in clips], np.int64),
        "class_mapping.pkl": dict(enumerate(classes)),
    }
    for name, value in small.items():
        write_atomically(out / name, pickle.dumps(value, protocol=_PROTOCOL))
    write_json(out / RECIPE, recipe.model_dump())
    write_atomically(out / CLIPS, _clips_csv(classes, clips).encode())
    (partial / "features.pkl").replace(out / "features.pkl")
    fsync_folder(out)


def _spectrograms(partial: Path, clips: int, rows: Sequence[int], recipe: Recipe) -> list[NDArray[np.float32]]:
    """Those rows of features.raw, (mels, frames) each: views of the file, not in memory until they are used."""
    raw = np.memmap(partial / FEATURES, np.float32, "r", shape=(clips, *recipe.shape))
    return [raw[row] for row in rows]


def _write_leaks(out: Path, clips: Sequence[Clip], leaks: Sequence[Leak]) -> None:
    write_json(out / LEAKS, count_leaks(leaks, clips).model_dump())
    write_atomically(out / LEAK_PAIRS, leaks_csv(leaks).encode())


def _write_features(partial: Path, rows: Sequence[int], recipe: Recipe) -> None:
    """Copies the rows of features.raw, one at a time, into a pickle of the array that they make."""
    size = clip_bytes(recipe)
    head, tail = array_pickle((len(rows), *recipe.shape, 1), np.dtype(np.float32))
    with (partial / FEATURES).open("rb") as raw, (partial / "features.pkl").open("wb") as file:
        file.write(head)
        for row in rows:
            file.write(os.pread(raw.fileno(), size, row * size))
        file.write(tail)
        file.flush()
        os.fsync(file.fileno())


def array_pickle(shape: tuple[int, ...], dtype: np.dtype[np.float32]) -> tuple[bytes, bytes]:
    """What stands before and after an array's bytes, in C order, in its pickle.

    pickle.dump would need all of those bytes in memory: 773 MB for UrbanSound8K.

    The opcodes are those that pickle writes for ndarray.__reduce__(): a call of a function with arguments, then a state
    of version, shape, dtype, Fortran order and bytes.
    """
    reduced: Any = np.empty(0, dtype).__reduce__()
    reconstruct, arguments, (version, _, _, fortran_order, _) = reduced
    values = b"".join(_opcodes(value) for value in (version, shape, dtype, fortran_order))
    length = struct.pack("<Q", int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
    head = [
        pickle.PROTO + bytes([_PROTOCOL]),
        _opcodes(reconstruct) + _opcodes(arguments) + pickle.REDUCE,
        pickle.MARK + values + pickle.BINBYTES8 + length,
    ]
    return b"".join(head), pickle.TUPLE + pickle.BUILD + pickle.STOP


def _opcodes(value: object) -> bytes:
    """A value's pickle without the opcodes that start and end one; protocol 3 is the last without frames."""
    return pickle.dumps(value, protocol=3)[2:-1]


def _clips_csv(classes: Sequence[str], clips: Sequence[Clip]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "label", "class", "fold", "group"])
    writer.writerows([clip.file, clip.label, classes[clip.label], clip.fold, clip.group] for clip in clips)
    return text.getvalue()
