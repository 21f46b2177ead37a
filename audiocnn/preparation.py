"""A raw dataset, checked and written as plain arrays: the four pickles of data/raw become data/prepared."""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from audiocnn.errors import UserError
from audiocnn.files import canonical_json, sha256_of_file, write_json
from audiocnn.params import RECIPE
from audiocnn.pickles import read_pickle
from audiocnn.prepared import ARRAYS, META, Meta

RAW = Path("data/raw")
MIN_MELS, MIN_FRAMES = 8, 16  # AudioCNN pools by (2, 2), (2, 2) and (2, 4)
_BLOCK_BYTES = 1 << 24  # of float32, checked and written at a time: little beside the features themselves
_MAX_JSON_BYTES = 1 << 16
_EXACT = 2**53  # whole numbers below it are exact in float64

Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Clips(NamedTuple):
    """Features as they come: an array (clips, ...) or a list of equal arrays, a clip being mels x frames."""

    arrays: Any
    mels: int
    frames: int


class Targets(NamedTuple):
    """labels: (clips,) int64, 0..C-1. classes: C names. folds: (clips,) int64, the dataset's own fold numbers."""

    labels: Numbers
    classes: list[str]
    folds: Numbers


def prepare(raw: Path, prepared: Path, folds: Sequence[int]) -> Meta:
    """Writes features.npy (clips, mels, frames) float32, labels.npy and folds.npy (clips,) int64 and meta.json.

    folds: indices into the dataset's sorted distinct fold numbers. `prepared` is replaced as a whole or not at all.
    Prints the shapes, classes and folds. Raises UserError where the dataset is not one that can be trained on.
    """
    targets = read_targets(raw)
    source, recipe = _read_source(raw), _read_recipe(raw)
    clips = read_clips(raw / "features.pkl")
    _check_lengths(raw, len(clips.arrays), len(targets.labels), len(targets.folds))
    _check_folds(raw, targets, folds)
    with _whole_folder(prepared) as folder:
        _write_features(folder / "features.npy", clips, raw / "features.pkl")
        _write_array(folder / "labels.npy", "<i8", targets.labels.shape, [targets.labels])
        _write_array(folder / "folds.npy", "<i8", targets.folds.shape, [targets.folds])
        meta = Meta(
            source=source,
            classes=targets.classes,
            clips=len(clips.arrays),
            mels=clips.mels,
            frames=clips.frames,
            folds=np.unique(targets.folds).tolist(),
            digests={name: sha256_of_file(folder / f"{name}.npy") for name in ARRAYS},
            recipe=recipe,
        )
        write_json(folder / META, meta.model_dump())
    print(_table(meta, targets, folds))
    return meta


def read_targets(raw: Path) -> Targets:
    """Labels, class names and folds; the labels checked against the names. Raises UserError."""
    labels, folds = _whole_numbers(raw / "labels.pkl"), _whole_numbers(raw / "folds.pkl")
    mapping = raw / "class_mapping.pkl"
    if mapping.exists():
        classes = _class_names(mapping)
        advice = f"{mapping.name} does not name it, so name every label there, or mend the labels"
    else:
        classes = [str(label) for label in range(len(np.unique(labels)))]
        advice = f"there is no {mapping.name}, so number the {len(classes)} classes from 0 without a gap"
    outside = (labels < 0) | (labels >= len(classes))
    _refuse(raw / "labels.pkl", outside, "label", f"outside 0 to {len(classes) - 1}", advice, labels.item)
    if len(classes) < 2:
        raise UserError(f"{raw / 'labels.pkl'} holds one class only: expected at least two to tell apart.")
    return Targets(labels, classes, folds)


def read_clips(path: Path) -> Clips:
    """features.pkl, its shape and type checked, its values not yet. Raises UserError."""
    value = read_pickle(path)
    if not isinstance(value, list | tuple | np.ndarray) or (isinstance(value, np.ndarray) and not value.ndim):
        raise UserError(f"{path} holds a single {type(value).__name__}: expected a numpy array of spectrograms.")
    if not len(value):
        raise UserError(f"{path} holds an empty {type(value).__name__}: expected one spectrogram a clip.")
    if not isinstance(value, np.ndarray):
        _check_list(path, value)
    elif value.dtype.kind != "f":
        raise UserError(f"{path} holds {value.dtype} values: expected float16, float32 or float64.")
    return Clips(value, *_spectrogram_size(path, value[0].shape, len(value)))


def _spectrogram_size(path: Path, shape: tuple[int, ...], clips: int) -> tuple[int, int]:
    """A clip's mels and frames, from (mels, frames), (1, mels, frames) or (mels, frames, 1)."""
    plain = shape[1:] if len(shape) == 3 and shape[0] == 1 else shape[:2] if shape[2:] == (1,) else shape
    if len(plain) != 2:
        raise UserError(
            f"{path} holds {clips} clips of shape {shape}: expected features of shape (clips, mels, frames), "
            "(clips, 1, mels, frames) or (clips, mels, frames, 1)."
        )
    mels, frames = plain
    if mels < MIN_MELS or frames < MIN_FRAMES:
        raise UserError(
            f"{path} holds {clips} clips of {mels} mels and {frames} frames, the first is row 0: the model's pooling "
            f"needs at least {MIN_MELS} mels and {MIN_FRAMES} frames, so make longer or finer spectrograms."
        )
    return mels, frames


def _check_list(path: Path, arrays: Sequence[Any]) -> None:
    """A list of features: float arrays of one shape, and no more of them than the file has bytes for."""
    other = np.array([not isinstance(array, np.ndarray) or array.dtype.kind != "f" for array in arrays], dtype=bool)
    _refuse(path, other, "item", "other than float arrays", "save one numpy array, or a list of equal float arrays")
    shapes = [array.shape for array in arrays]
    unequal = np.array([shape != shapes[0] for shape in shapes], dtype=bool)
    advice = f"the shape of row 0 is {shapes[0]}: pad or cut the clips to one length"
    _refuse(path, unequal, "clip", "of another shape", advice, lambda row: shapes[row])
    if sum(array.nbytes for array in arrays) > path.stat().st_size:  # a small file that names one array many times
        raise UserError(f"{path} lists the same array more than once: save each clip's own array.")


def _whole_numbers(path: Path) -> Numbers:
    """Labels or folds: an array (clips,) or a list of whole numbers, as int64. Raises UserError."""
    value = read_pickle(path)
    if isinstance(value, list | tuple):
        other = np.array([type(number) not in (int, float) for number in value], dtype=bool)
        _refuse(path, other, "item", "other than numbers", "save one whole number a clip")
        value = np.array([float(number) for number in value])
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf" or value.ndim != 1:
        found = f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise UserError(f"{path} holds {found}: expected one whole number a clip, an array of shape (clips,).")
    if not value.size:
        raise UserError(f"{path} is an empty array: expected one whole number a clip.")
    numbers = value.astype(np.float64) if value.dtype.kind == "f" else value
    whole = (numbers > -_EXACT) & (numbers < _EXACT)  # False for NaN
    whole[whole] = np.trunc(numbers[whole]) == numbers[whole]
    _refuse(path, ~whole, "value", "other than whole numbers", "save one whole number a clip", value.item)
    return numbers.astype(np.int64)


def _class_names(path: Path) -> list[str]:
    """class_mapping.pkl, {number: name} or {name: number}, as names by number. Raises UserError."""
    value = read_pickle(path)
    pairs = list(value.items()) if isinstance(value, dict) else []
    if pairs and type(pairs[0][0]) is str:
        pairs = [(number, name) for name, number in pairs]
    if not pairs or any(type(number) is not int or type(name) is not str for number, name in pairs):
        raise UserError(f"{path} is no dict of number to name or name to number: save one such as {{0: 'siren'}}.")
    pairs.sort()
    if [number for number, _ in pairs] != list(range(len(pairs))):
        raise UserError(f"{path} names {len(pairs)} classes, but not by 0 to {len(pairs) - 1}: number them so.")
    names = [name for _, name in pairs]
    # Names reach terminals, tables and file formats; control characters would not stay what they are there.
    first = {name: number for number, name in reversed(pairs)}
    bad = np.array([not (name.strip() and name.isprintable() and first[name] == number) for number, name in pairs])
    _refuse(
        path, bad, "name", "of no use (blank, repeated or unprintable)", "give each class a name", names.__getitem__
    )
    return names


def _check_lengths(raw: Path, clips: int, labels: int, folds: int) -> None:
    if not clips == labels == folds:
        raise UserError(
            f"{raw} holds {clips} clips in features.pkl, {labels} labels in labels.pkl and {folds} in folds.pkl: row "
            f"{min(clips, labels, folds)} is the first that is not in all, so save one of each a clip, in one order."
        )


def _check_folds(raw: Path, targets: Targets, listed: Sequence[int]) -> None:
    """Whether each fold can be held out, and the listed ones exist. Raises UserError."""
    path = raw / "folds.pkl"
    numbers, fold = np.unique(targets.folds, return_inverse=True)
    count = len(numbers)
    if count < 2:
        raise UserError(f"{path} holds one fold only, {numbers[0]} in all rows: expected at least two.")
    beyond = [index for index in listed if index >= count]
    if beyond:
        raise UserError(
            f"params.yaml lists fold index {beyond[0]} and {path} holds {count} distinct folds, so that one has no "
            f"clips: set folds: {list(range(count))}."
        )
    _check_splits(raw, targets, numbers, fold)


def _check_splits(raw: Path, targets: Targets, numbers: Numbers, fold: Numbers) -> None:
    """Each class is in two folds at least, so that holding one out leaves it in the training split."""
    lowest, highest = np.full(len(targets.classes), len(numbers)), np.full(len(targets.classes), -1)
    np.minimum.at(lowest, targets.labels, fold)
    np.maximum.at(highest, targets.labels, fold)
    lacking = np.flatnonzero(lowest >= highest)
    if not len(lacking):
        return
    label = lacking[0]
    rows = np.flatnonzero(targets.labels == label)
    where = (
        f"its {len(rows)} clips, from row {rows[0]}, are all in fold {numbers[lowest[label]]}"
        if len(rows)
        else "it has no clip"
    )
    raise UserError(
        f"{raw} has {len(lacking)} of {len(targets.classes)} classes that a training split would lack, the first is "
        f"label {label} ({targets.classes[label]}): {where}; spread each class over two folds or leave it out."
    )


def _read_source(raw: Path) -> str:
    """The kind of source that fetch recorded; a folder that was put there by hand has no record."""
    path = raw / "source.json"
    kind = _read_json(path).get("kind") if path.exists() else "folder"
    if kind not in ("demo", "hub", "folder"):
        raise UserError(f"{path} does not say demo, hub or folder as its kind: run 'dvc repro -f fetch'.")
    return str(kind)


def _read_recipe(raw: Path) -> dict[str, Any] | None:
    path = raw / RECIPE
    return _read_json(path) if path.exists() else None


def _read_json(path: Path) -> dict[str, Any]:
    """A small JSON object. Raises UserError where the file is anything else."""
    with path.open("rb") as file:
        content = file.read(_MAX_JSON_BYTES + 1)
    if len(content) > _MAX_JSON_BYTES:
        raise UserError(f"{path} is larger than {_MAX_JSON_BYTES} bytes: expected a small JSON object.")
    try:
        value = json.loads(content)
        canonical_json(value)  # refuses NaN and infinity, which are no JSON
    except (ValueError, RecursionError):
        raise UserError(f"{path} is not valid JSON: expected a JSON object; mend it or leave it out.") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} holds a JSON {type(value).__name__}: expected an object.")
    return value


@contextmanager
def _whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder that takes `path`'s place at the end, and is gone where something failed."""
    temporary = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_features(path: Path, clips: Clips, origin: Path) -> None:
    """features.npy, block by block. Raises UserError where a value is not finite in float32."""
    shape = (len(clips.arrays), clips.mels, clips.frames)
    step = max(1, _BLOCK_BYTES // (4 * clips.mels * clips.frames))
    infinite = np.zeros(len(clips.arrays), dtype=bool)

    def blocks() -> Iterator[npt.NDArray[Any]]:
        for start in tqdm(range(0, shape[0], step), desc="prepare", unit="block", disable=None, leave=False):
            with np.errstate(over="ignore"):  # a float64 too large for float32 becomes infinite, and is reported
                block = np.array(clips.arrays[start : start + step], dtype="<f4", order="C")
            infinite[start : start + step] = ~np.isfinite(block).all(axis=tuple(range(1, block.ndim)))
            yield block

    _write_array(path, "<f4", shape, blocks())
    advice = "mend or leave out these clips (silence in decibels needs a floor, such as top_db)"
    _refuse(origin, infinite, "clip", "with NaN or infinite values", advice)


def _write_array(path: Path, dtype: str, shape: tuple[int, ...], blocks: Iterable[npt.NDArray[Any]]) -> None:
    """A .npy file from blocks in C order, the same bytes as numpy.save writes."""
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    try:
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for block in blocks:
                file.write(np.ascontiguousarray(block, dtype=dtype).data)
    except OSError as error:
        error.filename = str(path)  # ENOSPC from write() names no file
        raise


def _refuse(
    path: Path, bad: Mask, noun: str, fault: str, advice: str, value: Callable[[int], Any] | None = None
) -> None:
    """Raises UserError where any row is bad: how many, and which is the first, with its value."""
    rows = np.flatnonzero(bad)
    if not len(rows):
        return
    first = int(rows[0])
    shown = f" ({value(first)!a:.80})" if value else ""
    count = f"{len(rows)} {noun}{'s' if len(rows) > 1 else ''}"
    raise UserError(f"{path} holds {count} {fault}, the first is row {first}{shown}: {advice}.")


def _table(meta: Meta, targets: Targets, listed: Sequence[int]) -> str:
    """The shapes, the classes and the folds, for the console."""
    shapes: list[Any] = [("array", "shape", "type"), ("features", (meta.clips, meta.mels, meta.frames), "float32")]
    shapes += [(name, (meta.clips,), "int64") for name in ("labels", "folds")]
    clips = np.bincount(targets.labels, minlength=len(meta.classes)).tolist()
    classes: list[Any] = [("label", "class", "clips"), *zip(range(len(clips)), meta.classes, clips, strict=True)]
    numbers, clips = (column.tolist() for column in np.unique(targets.folds, return_counts=True))
    folds: list[Any] = [("index", "fold", "clips"), *zip(range(len(clips)), numbers, clips, strict=True)]
    parts = [f"prepared {meta.clips} clips (source: {meta.source})", *map(_columns, (shapes, classes, folds))]
    if len(listed) < len(numbers):
        parts.append(
            f"{len(listed)} of the dataset's {len(numbers)} folds are listed in params.yaml: only these are held out."
        )
    return "\n\n".join(parts)


def _columns(rows: Sequence[Sequence[Any]]) -> str:
    widths = [max(len(str(cell)) for cell in column) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{cell!s:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)
