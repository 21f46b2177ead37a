"""What a user is promised of prepare: any accepted form becomes the same arrays, a bad dataset a sentence."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from audiocnn.data.prepare import prepare
from audiocnn.data.prepared import Meta, read_meta, verify_arrays
from audiocnn.errors import UserError
from tests.support.paths import ROOT, SHARED
from tests.support.processes import environment

CLIPS, MELS, FRAMES, FOLDS = 24, 8, 16, 3
LABELS = np.arange(CLIPS) % 2
NUMBERS = np.repeat([2, 5, 9], CLIPS // FOLDS)
NAMES = {0: "bell", 1: "siren"}
RECIPE = {"rate": 8000, "seconds": 1.0, "n_fft": 512, "hop_length": 500, "n_mels": MELS}  # of (MELS, FRAMES)

Array = npt.NDArray[Any]


def spectrograms(mels: int = MELS, frames: int = FRAMES) -> Array:
    # Quarters, which float16 holds exactly
    return np.random.default_rng(0).integers(-320, 0, (CLIPS, mels, frames)).astype(np.float32) / 4


def write(raw: Path, protocol: int = 4, **changed: Any) -> Path:
    """A raw folder of a small, good dataset, but for what is changed; None leaves a file out."""
    values = {"features": spectrograms(), "labels": LABELS, "folds": NUMBERS, "class_mapping": NAMES, **changed}
    raw.mkdir(exist_ok=True)
    for name, value in values.items():
        if value is not None:
            (raw / f"{name}.pkl").write_bytes(pickle.dumps(value, protocol))
    return raw


def run(folder: Path, listed: tuple[int, ...] = (0, 1, 2), **changed: Any) -> Meta:
    return prepare(write(folder / "raw", **changed), folder / "prepared", listed)


def refusal(folder: Path, listed: tuple[int, ...] = (0, 1, 2), **changed: Any) -> str:
    """The one sentence that refuses a dataset, which leaves nothing behind."""
    with pytest.raises(UserError) as error:
        run(folder, listed, **changed)
    text = str(error.value)
    assert text.isprintable()
    assert [path.name for path in folder.iterdir()] == ["raw"]
    return text


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_good_dataset_becomes_arrays_and_a_description_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    meta = run(tmp_path)
    prepared = tmp_path / "prepared"
    verify_arrays(prepared, meta)
    assert read_meta(prepared) == meta
    features = np.load(prepared / "features.npy")
    assert (features.dtype, features.shape) == (np.float32, (CLIPS, MELS, FRAMES))
    assert np.array_equal(features, spectrograms())
    for name, expected in (("labels", LABELS), ("folds", NUMBERS)):
        array = np.load(prepared / f"{name}.npy")
        assert array.dtype == np.int64
        assert np.array_equal(array, expected)
    assert (meta.classes, meta.folds, meta.source, meta.recipe) == (["bell", "siren"], [2, 5, 9], "folder", None)
    shown = capsys.readouterr().out
    assert re.search(r"features +\(24, 8, 16\) +float32", shown)
    assert re.search(r"1 +siren +12", shown)
    assert re.search(r"2 +9 +8", shown)
    assert "listed" not in shown


FORMS: dict[str, Any] = {
    "(N, 1, mels, frames)": lambda a: a[:, None],
    "(N, mels, frames, 1)": lambda a: a[..., None],
    "float16": lambda a: a.astype(np.float16),
    "float64": lambda a: a.astype(np.float64),
    "big-endian": lambda a: a.astype(">f4"),
    "Fortran order": np.asfortranarray,
    "transposed": lambda a: np.ascontiguousarray(a.transpose(1, 2, 0)).transpose(2, 0, 1),
    "list": list,
    "tuple of (mels, frames, 1)": lambda a: tuple(a[..., None]),
    "list of (1, mels, frames), float64": lambda a: [clip.astype(np.float64)[None] for clip in a],
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("form", FORMS)
def test_every_accepted_form_of_features_gives_the_same_bytes(tmp_path: Path, form: str, protocol: int) -> None:
    run(tmp_path)
    expected = contents(tmp_path / "prepared")
    run(tmp_path, features=FORMS[form](spectrograms()), protocol=protocol)
    assert contents(tmp_path / "prepared") == expected


@pytest.mark.parametrize(
    "changed",
    [
        {"labels": LABELS.tolist(), "folds": tuple(NUMBERS.tolist())},
        {"labels": list(LABELS), "folds": NUMBERS.astype(np.uint8)},
        {"labels": LABELS.astype(np.float16), "folds": NUMBERS.astype(">i4")},
        {"class_mapping": {"bell": 0, "siren": 1}},
        {"class_mapping": {np.int64(1): np.str_("siren"), np.int64(0): np.str_("bell")}},
        {"class_mapping": {"siren": np.uint8(1), "bell": np.uint8(0)}},
    ],
)
def test_every_accepted_form_of_labels_folds_and_names_gives_the_same_bytes(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    run(tmp_path)
    expected = contents(tmp_path / "prepared")
    run(tmp_path, **changed)
    assert contents(tmp_path / "prepared") == expected


def test_blocks_give_the_bytes_that_numpy_save_gives(tmp_path: Path) -> None:
    features = np.random.default_rng(1).standard_normal((CLIPS, 512, 512), dtype=np.float32)  # two blocks
    run(tmp_path, features=features)
    np.save(tmp_path / "whole.npy", features)
    assert (tmp_path / "prepared" / "features.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_classes_without_names_are_called_by_their_numbers(tmp_path: Path) -> None:
    assert run(tmp_path, class_mapping=None).classes == ["0", "1"]


def test_identical_clips_in_two_folds_and_under_two_labels_are_counted_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 0 (fold 2, bell) is also row 8 (fold 5, bell) and row 17 (fold 9, siren); rows 2 and 3 are both of fold 2."""
    features = spectrograms()
    features[[8, 17]] = features[0]
    features[3] = features[2]
    meta = run(tmp_path, features=features.astype(np.float64))
    assert (meta.copied, meta.contradicting) == (3, 5)
    assert read_meta(tmp_path / "prepared") == meta
    shown = capsys.readouterr().out
    assert "3 of 24 clips are identical to one in another fold" in shown
    assert "5 of 24 clips are identical to one with another label" in shown


def test_clips_of_which_none_is_another_are_not_remarked_upon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    meta = run(tmp_path)
    assert (meta.copied, meta.contradicting, meta.doubts()) == (0, 0, [])
    assert "identical" not in capsys.readouterr().out


def test_very_unequal_folds_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, (0, 1), folds=np.repeat([2, 5], [6, 18]))
    assert "folds are very unequal, 6 to 18 clips" in capsys.readouterr().out


@pytest.mark.parametrize(("shape", "hinted"), [((173, 128), True), ((128, 173), False), ((64, 64), False)])
def test_features_that_look_as_if_time_and_mel_were_exchanged_get_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shape: tuple[int, int], hinted: bool
) -> None:
    run(tmp_path, features=spectrograms(*shape))
    assert ("exchange the features' axes" in capsys.readouterr().out) is hinted


def test_source_and_recipe_are_taken_over(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw")
    (raw / "source.json").write_text(json.dumps({"kind": "hub", "files": {}}))
    (raw / "recipe.json").write_text(json.dumps(RECIPE))
    meta = prepare(raw, tmp_path / "prepared", (0, 1, 2))
    assert (meta.source, meta.recipe) == ("hub", RECIPE)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"n_mels": 10},
            r"makes clips of \(mels, frames\) \(10, 16\) and .* holds clips of \(8, 16\), expected one shape",
        ),
        ({"n_mels": 16, "hop_length": 1000}, r"\(16, 8\) .* holds clips of \(8, 16\), the one with the other's axes"),
        ({"hop": 500}, r"recipe\.json: hop is not a setting: .*Allowed here: rate, "),
    ],
)
def test_a_recipe_that_does_not_make_the_features_is_refused_with_both_shapes(
    tmp_path: Path, changes: dict[str, int], expected: str
) -> None:
    raw = write(tmp_path / "raw")
    (raw / "recipe.json").write_text(json.dumps({**RECIPE, **changes}))
    assert re.search(expected, refusal(tmp_path))


@pytest.mark.parametrize("name", ["source.json", "recipe.json"])
@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b'{"a": NaN}', b'{"a": 1e999}', b"\xff", b"[" * 60_000, b'{"a": "' + b"x" * 70_000 + b'"}'],
)
def test_a_bad_json_file_is_a_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    raw = write(tmp_path / "raw")
    (raw / name).write_bytes(content)
    assert name in refusal(tmp_path)


def changed_at(array: Array, rows: list[int], value: Any) -> Array:
    array = array.copy()
    array[rows] = value
    return array


def test_a_source_that_no_fetch_writes_is_a_sentence(tmp_path: Path) -> None:
    (write(tmp_path / "raw") / "source.json").write_text('{"kind": "elsewhere"}')
    assert "demo, hub or folder" in refusal(tmp_path)


BAD_FEATURES: dict[str, tuple[Any, str]] = {
    "NaN": (
        changed_at(spectrograms(), [17, 20, 23], np.nan),
        "3 clips with NaN or infinite values, the first is row 17",
    ),
    "infinity": (changed_at(spectrograms(), [4], -np.inf), "1 clip with NaN or infinite values, the first is row 4"),
    "NaN in a list": (list(changed_at(spectrograms(), [5], np.nan)), "the first is row 5"),
    "float64 beyond float32": (changed_at(spectrograms().astype("f8"), [6], 1e39), "1 clip with NaN or infinite"),
    "NaN in a late block": (changed_at(np.zeros((CLIPS, 512, 512), "f4"), [22], np.nan), "the first is row 22"),
    "no clips": (spectrograms()[:0], "empty"),
    "an empty list": ([], "empty"),
    "no frames": (spectrograms()[:, :, :0], "24 clips of 8 mels and 0 frames"),
    "few mels": (spectrograms(7, 16), "at least 8 mels and 16 frames"),
    "few frames": (spectrograms(8, 15), "24 clips of 8 mels and 15 frames, the first is row 0"),
    "integers": (spectrograms().astype(int), "int64"),
    "a flat array": (spectrograms()[:, 0], "(clips, mels, frames)"),
    "two channels": (np.stack([spectrograms()] * 2, axis=1), "(clips, mels, frames)"),
    "one number": (3.0, "single float"),
    "a 0-d array": (np.array(3.0), "single ndarray"),
    "a dict": ({"x": spectrograms()}, "single dict"),
    "text": (np.array(["a"] * CLIPS), "<U1"),
    "unequal clips": (
        [*spectrograms()[:22], *np.zeros((2, 8, 17), "f4")],
        "2 clips of another shape, the first is row 22",
    ),
    "numbers in a list": ([*spectrograms()[:23], 1.0], "1 item other than float arrays, the first is row 23"),
    "nested lists": (spectrograms().tolist(), "24 items other than float arrays, the first is row 0"),
    "one clip many times": ([np.zeros((64, 64))] * CLIPS, "more than once"),
    "too few": (spectrograms()[:20], "20 clips in features.pkl, 24 labels in labels.pkl and 24 in folds.pkl: row 20"),
}


@pytest.mark.parametrize("case", BAD_FEATURES)
def test_features_that_cannot_be_trained_on_are_refused(tmp_path: Path, case: str) -> None:
    features, expected = BAD_FEATURES[case]
    text = refusal(tmp_path, features=features)
    assert expected in text
    assert "features.pkl" in text


BAD_TARGETS: dict[str, tuple[dict[str, Any], str]] = {
    "label halves": ({"labels": LABELS + 0.5}, "24 values other than whole numbers, the first is row 0 (0.5)"),
    "a NaN label": (
        {"labels": changed_at(LABELS * 1.0, [7], np.nan)},
        "1 value other than whole numbers, the first is row 7",
    ),
    "a huge fold": ({"folds": changed_at(NUMBERS * 1.0, [3], 1e300)}, "folds.pkl holds 1 value other than whole"),
    "a huge whole fold": ({"folds": [2**100, *NUMBERS.tolist()[1:]]}, "row 0"),
    "text labels of one": ({"labels": np.array(["bell"] * CLIPS), "class_mapping": None}, "one class only"),
    "an unnamed text": (
        {"labels": ["bell", "drill"] * 12},
        "12 labels that class_mapping.pkl does not name, the first",
    ),
    "an escape as label": (
        {"labels": ["a", "\x1b["] * 12, "class_mapping": None},
        "labels of no use, the first is row 1",
    ),
    "text in a list": ({"labels": [*LABELS.tolist()[:-1], "bell"]}, "1 item other than numbers, the first is row 23"),
    "true and false": ({"labels": LABELS.astype(bool)}, "bool"),
    "one-hot": ({"labels": np.eye(2)[LABELS]}, "shape (24, 2)"),
    "no labels": ({"labels": LABELS[:0]}, "empty"),
    "an empty list": ({"folds": []}, "empty"),
    "a dict": ({"folds": {}}, "dict"),
    "fewer labels": ({"labels": LABELS[:-1]}, "23 labels in labels.pkl and 24 in folds.pkl: row 23"),
    "a negative label": (
        {"labels": changed_at(LABELS, [9, 11], -1)},
        "2 labels outside 0 to 1, the first is row 9 (-1)",
    ),
    "an unnamed label": ({"labels": changed_at(LABELS, [9], 2)}, "class_mapping.pkl does not name it"),
    "a gap": ({"labels": LABELS * 2, "class_mapping": None}, "12 labels outside 0 to 1, the first is row 1 (2)"),
    "from 1": ({"labels": LABELS + 1, "class_mapping": None}, "number the 2 classes from 0"),
    "one class": ({"labels": LABELS * 0, "class_mapping": None}, "one class only"),
    "one fold": ({"folds": NUMBERS * 0 + 4}, "one fold only, 4 in all rows"),
    "a class of no clips": ({"class_mapping": {**NAMES, 2: "drill"}}, "1 of 3 classes"),
    "a class of one fold": (
        {"labels": (np.arange(CLIPS) > 18) * 1},
        "label 1 (siren): its 5 clips, from row 19, are all in fold 9",
    ),
    "names from 1": ({"class_mapping": {1: "bell", 2: "siren"}}, "not by 0 to 1"),
    "one name twice": (
        {"class_mapping": {0: "bell", 1: "bell"}},
        "1 name that an earlier class has, the first is row 1 ('bell')",
    ),
    "one number twice": ({"class_mapping": {"bell": 0, "siren": 0}}, "not by 0 to 1"),
    "an escape sequence": ({"class_mapping": {0: "bell", 1: "\x1b[31m"}}, "printable characters"),
    "a script": ({"class_mapping": {0: "bell", 1: "</script><script>x"}}, "1 name of no use, the first is row 1"),
    "no names": ({"class_mapping": {}}, "class_mapping.pkl is not a dict"),
    "a list of names": ({"class_mapping": ["bell", "siren"]}, "class_mapping.pkl is not a dict"),
    "mixed keys": ({"class_mapping": {0: "bell", "siren": 1}}, "class_mapping.pkl is not a dict"),
    "halves": ({"class_mapping": {0.5: "bell"}}, "class_mapping.pkl is not a dict"),
    "no folds.pkl": ({"folds": None}, "folds.pkl is not here"),
}


@pytest.mark.parametrize("case", BAD_TARGETS)
def test_labels_folds_and_names_that_do_not_fit_are_refused(tmp_path: Path, case: str) -> None:
    changed, expected = BAD_TARGETS[case]
    assert expected in refusal(tmp_path, **changed)


def test_a_fold_that_the_data_lacks_is_refused_with_the_right_list(tmp_path: Path) -> None:
    text = refusal(tmp_path, listed=(0, 1, 2, 3))
    assert "fold index 3" in text
    assert "3 distinct folds" in text
    assert text.endswith("set folds: [0, 1, 2].")


def test_listing_fewer_folds_than_the_data_has_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, listed=(2, 0)).folds == [2, 5, 9]
    assert "2 of the dataset's 3 folds are listed" in capsys.readouterr().out


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch it_ran",)


def test_the_stage_refuses_a_hostile_dataset_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    shutil.copy(ROOT / "params.yaml", tmp_path)
    raw = write(tmp_path / "data" / "raw", class_mapping=[Evil()])
    done = subprocess.run(
        [sys.executable, "-m", "stages.prepare"],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: data/raw/class_mapping.pkl names posix.system")
    assert done.stderr.count("\n") == 1
    assert list(raw.parent.iterdir()) == [raw]
    assert not (tmp_path / "it_ran").exists()


def test_what_a_killed_run_left_behind_changes_nothing(tmp_path: Path) -> None:
    run(tmp_path)
    expected = contents(tmp_path / "prepared")
    left = tmp_path / ".prepared.tmp"
    left.mkdir()
    (left / "features.npy").write_bytes(b"half")
    (tmp_path / "prepared" / "stray").touch()
    run(tmp_path)
    assert contents(tmp_path / "prepared") == expected
    assert not left.exists()


@pytest.mark.parametrize(("name", "folds", "shape"), [("esc10", 5, (400, 128, 216)), ("fsdd", 10, (3000, 64, 63))])
def test_real_datasets_are_prepared(tmp_path: Path, name: str, folds: int, shape: tuple[int, ...]) -> None:
    if not (SHARED / "data" / name).exists():
        pytest.skip(f"{name} is not here")
    meta = prepare(SHARED / "data" / name, tmp_path / "prepared", range(folds))
    features = np.load(tmp_path / "prepared" / "features.npy", mmap_mode="r")
    assert features.shape == (meta.clips, meta.mels, meta.frames) == shape
    assert meta.folds == list(range(1, folds + 1))
    assert len(meta.classes) == 10
    verify_arrays(tmp_path / "prepared", meta)


def test_what_leaks_is_handed_on_where_it_was_looked_for(tmp_path: Path) -> None:
    run(tmp_path)
    assert not (tmp_path / "prepared/leaks.json").exists()
    (tmp_path / "raw/leaks.json").write_text('{"groups": null, "same": 0, "similar": 1}')
    run(tmp_path)
    assert json.loads((tmp_path / "prepared/leaks.json").read_text()) == {"groups": None, "same": 0, "similar": 1}
    (tmp_path / "raw/leaks.json").write_text('{"groups": -1}')
    with pytest.raises(UserError, match=r"leaks\.json is not what 'audiocnn features' writes"):
        run(tmp_path)
