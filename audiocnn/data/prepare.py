"""A raw dataset, checked and written as plain arrays: the four pickles of data/raw become data/prepared."""

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from audiocnn.config.data_params import LEAKS
from audiocnn.data.prepared import ARRAYS, META, Meta
from audiocnn.data.raw import Clips, Numbers, Targets, array_path, read_raw_dataset, refuse
from audiocnn.data.unequal_folds import are_unequal
from audiocnn.files import replace_folder, restore_folder, sha256_of_file, write_json
from audiocnn.sound.leak_counts import read_leaks
from audiocnn.text import aligned

_USUAL_MELS = (32, 40, 64, 80, 96, 128, 256)
_BLOCK_BYTES = 1 << 24  # of float32, checked and written at a time: little beside the features themselves


def prepare(raw: Path, prepared: Path, folds: Sequence[int]) -> Meta:
    """Writes features.npy (clips, mels, frames) float32, labels.npy and folds.npy (clips,) int64 and meta.json.

    And leaks.json, where the source has one. folds: indices into the dataset's sorted distinct fold numbers. `prepared`
    is replaced as a whole or not at all. Prints the shapes, classes and folds. Raises UserError where the dataset
    cannot be trained on.
    """
    clips, targets, source, recipe = read_raw_dataset(raw, folds)
    with _whole_folder(prepared) as folder:
        twins = _write_features(folder / "features.npy", clips, array_path(raw, "features"))
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
            copied=_differing(twins, targets.folds),
            contradicting=_differing(twins, targets.labels),
        )
        write_json(folder / META, meta.model_dump())
        leaks = read_leaks(raw)
        if leaks is not None:
            write_json(folder / LEAKS, leaks.model_dump())
    print(_table(meta, targets, folds))
    return meta


@contextmanager
def _whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder that takes `path`'s place at the end, and is deleted where something failed."""
    temporary, old = path.with_name(f".{path.name}.tmp"), path.with_name(f".{path.name}.old")
    restore_folder(path, old)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        replace_folder(temporary, path, old)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _write_features(path: Path, clips: Clips, origin: Path) -> Numbers:
    """features.npy, block by block. Returns (clips,) int64, equal for clips that are identical in float32.

    Raises UserError where a value is not finite in float32.
    """
    shape = (len(clips.arrays), clips.mels, clips.frames)
    step = max(1, _BLOCK_BYTES // (4 * clips.mels * clips.frames))
    infinite = np.zeros(len(clips.arrays), dtype=bool)
    seen: dict[bytes, int] = {}
    twins: list[int] = []

    def blocks() -> Iterator[npt.NDArray[Any]]:
        for start in tqdm(range(0, shape[0], step), desc="prepare", unit="block", disable=None, leave=False):
            with np.errstate(over="ignore"):  # a float64 too large for float32 becomes infinite, and is reported
                block = np.array(clips.arrays[start : start + step], dtype="<f4", order="C")
            infinite[start : start + step] = ~np.isfinite(block).all(axis=tuple(range(1, block.ndim)))
            twins.extend(seen.setdefault(hashlib.sha256(clip.data).digest(), len(seen)) for clip in block)
            yield block

    _write_array(path, "<f4", shape, blocks())
    advice = "fix or leave out these clips (silence in decibels needs a floor, such as top_db)"
    refuse(origin, infinite, "clip", "with NaN or infinite values", advice)
    return np.array(twins, dtype=np.int64)


def _differing(twins: Numbers, values: Numbers) -> int:
    """The number of clips that have another value (a fold, a label) than an identical clip. All (clips,) int64."""
    pairs = np.unique(np.stack([twins, values], axis=1), axis=0)
    return int((np.bincount(pairs[:, 0])[twins] > 1).sum())


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


def _table(meta: Meta, targets: Targets, listed: Sequence[int]) -> str:
    """The shapes, the classes and the folds, for the console."""
    shapes: list[Any] = [("array", "shape", "type"), ("features", (meta.clips, meta.mels, meta.frames), "float32")]
    shapes += [(name, (meta.clips,), "int64") for name in ("labels", "folds")]
    clips = np.bincount(targets.labels, minlength=len(meta.classes)).tolist()
    classes: list[Any] = [("label", "class", "clips"), *zip(range(len(clips)), meta.classes, clips, strict=True)]
    numbers, clips = (column.tolist() for column in np.unique(targets.folds, return_counts=True))
    folds: list[Any] = [("index", "fold", "clips"), *zip(range(len(clips)), numbers, clips, strict=True)]
    parts = [f"prepared {meta.clips} clips (source: {meta.source})", *map(_text, (shapes, classes, folds))]
    if len(listed) < len(numbers):
        parts.append(
            f"{len(listed)} of the dataset's {len(numbers)} folds are listed in params.yaml: only these are held out."
        )
    if are_unequal(clips):
        parts.append(
            f"folds are very unequal, {min(clips)} to {max(clips)} clips: a mean over folds counts a clip of a small"
            " one for more, so 'audiocnn results' gives the accuracy over all clips as well."
        )
    return "\n\n".join([*parts, *_hints(meta)])


def _hints(meta: Meta) -> list[str]:
    """What is odd about the data and may be meant."""
    shape = f"clips of {meta.mels} mels and {meta.frames} frames"
    is_turned = meta.recipe is None and meta.frames in _USUAL_MELS and meta.mels not in _USUAL_MELS
    hint = f"{shape} are unusual: if they are {meta.mels} frames of {meta.frames} mels, exchange the features' axes."
    return [*meta.doubts(), *([hint] if is_turned else [])]


def _text(rows: Sequence[Sequence[Any]]) -> str:
    return aligned([[str(cell) for cell in row] for row in rows], left=2)
