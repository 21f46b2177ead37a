"""Reading a raw dataset: its pickles become features, labels, class names and folds that can be trained on."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from audiocnn.config.class_names import CLASS_NAME_RULE, is_class_name
from audiocnn.config.data_params import RECIPE, SourceKind
from audiocnn.config.model_params import MIN_FRAMES, MIN_MELS
from audiocnn.config.settings import parse_json, validate
from audiocnn.data.pickles import read_pickle
from audiocnn.errors import UserError
from audiocnn.files import canonical_json
from audiocnn.sound.recipe import Recipe

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


class RawDataset(NamedTuple):
    """A checked dataset. source: `demo`, `hub` or `folder`. recipe: how sound became spectrogram, where known."""

    clips: Clips
    targets: Targets
    source: str
    recipe: dict[str, Any] | None


def read_raw_dataset(raw: Path, folds: Sequence[int]) -> RawDataset:
    """The dataset in a folder, checked, but for whether the features are finite: prepare sees that as it writes them.

    folds: indices into the dataset's sorted distinct fold numbers, to be held out. Raises UserError.
    """
    targets = _read_targets(raw)
    source = _read_source(raw)
    clips = _read_clips(array_path(raw, "features"))
    recipe = _read_recipe(raw, (clips.mels, clips.frames))
    _check_lengths(raw, len(clips.arrays), len(targets.labels), len(targets.folds))
    _check_folds(raw, targets, folds)
    return RawDataset(clips, targets, source, recipe)


def array_path(raw: Path, name: str) -> Path:
    """The file that holds features, labels or folds: NAME.npy where there is one, else NAME.pkl."""
    array = raw / f"{name}.npy"
    return array if array.exists() else raw / f"{name}.pkl"


def _read_targets(raw: Path) -> Targets:
    """Labels, class names and folds; the labels checked against the names. Raises UserError."""
    path, mapping = array_path(raw, "labels"), raw / "class_mapping.pkl"
    value = _read_value(path)
    names = _class_names(mapping) if mapping.exists() else None
    labels, classes = _text_labels(path, value, names) if _is_text(value) else _numbered(path, value, names)
    if len(classes) < 2:
        raise UserError(f"{path} holds one class only: expected at least two to tell apart.")
    folds = array_path(raw, "folds")
    return Targets(labels, classes, _whole_numbers(folds, _read_value(folds)))


def _numbered(path: Path, value: Any, names: list[str] | None) -> tuple[Numbers, list[str]]:
    labels = _whole_numbers(path, value)
    classes = [str(label) for label in range(len(np.unique(labels)))] if names is None else names
    if names is None:
        advice = f"there is no class_mapping.pkl, so number the {len(classes)} classes from 0 without a gap"
    else:
        advice = "class_mapping.pkl does not name it, so name every label there, or fix the labels"
    outside = (labels < 0) | (labels >= len(classes))
    refuse(path, outside, "label", f"outside 0 to {len(classes) - 1}", advice, labels.item)
    return labels, classes


def _is_text(value: Any) -> bool:
    """Whether labels are names of classes: an array of text or a list of nothing else."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "U" and value.ndim == 1 and value.size > 0
    return isinstance(value, list | tuple) and len(value) > 0 and all(type(item) is str for item in value)


def _text_labels(path: Path, value: Any, names: list[str] | None) -> tuple[Numbers, list[str]]:
    """Labels by the names of class_mapping.pkl, or where there is none, by the alphabet."""
    texts = [str(text) for text in value]
    bad = np.array([not is_class_name(text) for text in texts])
    refuse(path, bad, "label", "of no use", f"expected {CLASS_NAME_RULE}, so rename the class", texts.__getitem__)
    classes = sorted(set(texts)) if names is None else names
    numbers = {name: number for number, name in enumerate(classes)}
    unknown = np.array([text not in numbers for text in texts])
    refuse(path, unknown, "label", "that class_mapping.pkl does not name", "name it there", texts.__getitem__)
    return np.array([numbers[text] for text in texts], np.int64), classes


def _read_value(path: Path) -> Any:
    """What a pickle holds, or an array of a .npy file, which is read where it is used. Raises UserError."""
    if path.suffix != ".npy":
        return read_pickle(path)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception:  # noqa: BLE001  # Python parses the header: TokenError, RecursionError, MemoryError, ...
        raise UserError(f"{path} is not a .npy file of plain numbers or text: save it with numpy.save.") from None
    if not isinstance(array, np.ndarray):  # numpy.load opens a .npz under any name
        raise UserError(f"{path} is a .npz archive: save each of its arrays with numpy.save.")
    if (
        array.dtype.kind == "U"
        and (np.frombuffer(array.tobytes(), f"{array.dtype.byteorder}u4") > sys.maxunicode).any()
    ):
        raise UserError(f"{path} is damaged, it holds text that is none: save it again with numpy.save.")
    return array


def _read_clips(path: Path) -> Clips:
    """features.pkl, its shape and type checked, its values not yet. Raises UserError."""
    value = _read_value(path)
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
    refuse(path, other, "item", "other than float arrays", "save one numpy array, or a list of equal float arrays")
    shapes = [array.shape for array in arrays]
    unequal = np.array([shape != shapes[0] for shape in shapes], dtype=bool)
    advice = f"the shape of row 0 is {shapes[0]}: pad or cut the clips to one length"
    refuse(path, unequal, "clip", "of another shape", advice, lambda row: shapes[row])
    if sum(array.nbytes for array in arrays) > path.stat().st_size:  # a small file that names one array many times
        raise UserError(f"{path} lists the same array more than once: save each clip's own array.")


def _whole_numbers(path: Path, value: Any) -> Numbers:
    """Labels or folds: an array (clips,) or a list of whole numbers, as int64. Raises UserError."""
    if isinstance(value, list | tuple):
        other = np.array([type(number) not in (int, float) for number in value], dtype=bool)
        refuse(path, other, "item", "other than numbers", "save one whole number a clip")
        value = np.array([float(number) for number in value])
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf" or value.ndim != 1:
        found = f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise UserError(f"{path} holds {found}: expected one whole number a clip, an array of shape (clips,).")
    if not value.size:
        raise UserError(f"{path} is an empty array: expected one whole number a clip.")
    numbers = value.astype(np.float64) if value.dtype.kind == "f" else value
    whole = (numbers > -_EXACT) & (numbers < _EXACT)  # False for NaN
    whole[whole] = np.trunc(numbers[whole]) == numbers[whole]
    refuse(path, ~whole, "value", "other than whole numbers", "save one whole number a clip", value.item)
    return numbers.astype(np.int64)


def _class_names(path: Path) -> list[str]:
    """class_mapping.pkl, {number: name} or {name: number}, as names by number. Raises UserError."""
    pairs = _numbers_and_names(path)
    if [number for number, _ in pairs] != list(range(len(pairs))):
        raise UserError(f"{path} names {len(pairs)} classes, but not by 0 to {len(pairs) - 1}: number them so.")
    names = [name for _, name in pairs]
    first = {name: number for number, name in reversed(pairs)}
    repeated = np.array([first[name] != number for number, name in pairs])
    refuse(path, repeated, "name", "that an earlier class has", "give each class a name of its own", names.__getitem__)
    bad = np.array([not is_class_name(name) for name in names])
    refuse(path, bad, "name", "of no use", f"expected {CLASS_NAME_RULE}, so rename the class", names.__getitem__)
    return names


def _numbers_and_names(path: Path) -> list[tuple[int, str]]:
    """class_mapping.pkl's pairs, by number. Raises UserError where it is not a dict of the one to the other."""
    value = read_pickle(path)
    pairs = list(value.items()) if isinstance(value, dict) else []
    if pairs and type(pairs[0][0]) is str:
        pairs = [(number, name) for name, number in pairs]
    if not pairs or any(type(number) is not int or type(name) is not str for number, name in pairs):
        raise UserError(f"{path} is not a dict of number to name or name to number: save one such as {{0: 'siren'}}.")
    return sorted(pairs)


def _check_lengths(raw: Path, clips: int, labels: int, folds: int) -> None:
    if not clips == labels == folds:
        raise UserError(
            f"{raw} holds {clips} clips in {array_path(raw, 'features').name}, {labels} labels in "
            f"{array_path(raw, 'labels').name} and {folds} in {array_path(raw, 'folds').name}: row "
            f"{min(clips, labels, folds)} is the first that is not in all, so save one of each a clip, in one order."
        )


def _check_folds(raw: Path, targets: Targets, listed: Sequence[int]) -> None:
    """Whether each fold can be held out, and the listed ones exist. Raises UserError."""
    path = array_path(raw, "folds")
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
    if kind not in get_args(SourceKind):
        raise UserError(f"{path} does not say demo, hub or folder as its kind: run 'dvc repro -f fetch'.")
    return str(kind)


def _read_recipe(raw: Path, shape: tuple[int, int]) -> dict[str, Any] | None:
    """recipe.json as it is, where there is one. Raises UserError where it does not make clips of this shape.

    It goes into the weights, which nobody loads whose recipe contradicts them.
    """
    path = raw / RECIPE
    if not path.exists():
        return None
    value = _read_json(path)
    made = validate(Recipe, value, str(path)).shape
    if made != shape:
        turned = "the one with the other's axes exchanged, " if made == shape[::-1] else ""
        raise UserError(
            f"{path} makes clips of (mels, frames) {made} and features.pkl holds clips of {shape}, {turned}"
            "expected one shape: save the features so, put the recipe there that made them, or leave it out."
        )
    return value


def _read_json(path: Path) -> dict[str, Any]:
    """A small JSON object. Raises UserError where the file is anything else."""
    with path.open("rb") as file:
        content = file.read(_MAX_JSON_BYTES + 1)
    if len(content) > _MAX_JSON_BYTES:
        raise UserError(f"{path} is larger than {_MAX_JSON_BYTES} bytes: expected a small JSON object.")
    try:
        value = parse_json(content)
        canonical_json(value)  # refuses NaN and infinity, which are not JSON
    except ValueError:
        raise UserError(f"{path} is not valid JSON: expected a JSON object; fix it or leave it out.") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} holds a JSON {type(value).__name__}: expected an object.")
    return value


def refuse(
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
