"""What people have instead of four pickles: read as it is where that is safe, else a sentence whose Python works."""

import pickle
import re
import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiocnn.config.data_params import DataParams
from audiocnn.data.fetch import fetch
from audiocnn.data.pickles import read_pickle
from audiocnn.data.prepare import prepare
from audiocnn.errors import UserError

FEATURES = np.random.default_rng(0).integers(-320, 0, (12, 8, 16)).astype(np.float32) / 4
NAMES = ["owl", "bat"] * 6
FOLDS = np.repeat([1, 2], 6)


def write(folder: Path, **values: Any) -> Path:
    """A folder of files, each saved in the way that its ending says; `features_npy` is features.npy."""
    folder.mkdir(exist_ok=True)
    for name, value in values.items():
        stem, _, ending = name.rpartition("_")
        path = folder / f"{stem}.{ending}"
        if ending == "npy":
            np.save(path, value)
        else:
            path.write_bytes(pickle.dumps(value, protocol=4))
    return folder


def prepared(folder: Path, **values: Any) -> tuple[list[int], list[str]]:
    """The labels and class names that a folder of such files gives, by way of fetch and prepare."""
    source = write(folder / "mine", **values)
    fetch(DataParams(source=str(source)), folder / "raw", folder / "staging")
    meta = prepare(folder / "raw", folder / "prepared", (0, 1))
    np.testing.assert_array_equal(np.load(folder / "prepared/features.npy"), FEATURES)
    labels: list[int] = np.load(folder / "prepared/labels.npy").tolist()
    return labels, meta.classes


FORMS: dict[str, dict[str, Any]] = {
    "text and no names": {"features_pkl": FEATURES, "labels_pkl": NAMES, "folds_pkl": FOLDS},
    "arrays of numpy": {"features_npy": FEATURES, "labels_npy": np.array(NAMES), "folds_npy": FOLDS},
    "arrays beside pickles": {"features_npy": FEATURES, "labels_pkl": np.array(NAMES), "folds_npy": FOLDS},
    "columns in another order": {"features_npy": np.asfortranarray(FEATURES), "labels_pkl": NAMES, "folds_npy": FOLDS},
}


@pytest.mark.parametrize("form", FORMS)
def test_text_labels_become_classes_and_npy_files_are_taken_as_they_are(tmp_path: Path, form: str) -> None:
    assert prepared(tmp_path, **FORMS[form]) == ([1, 0] * 6, ["bat", "owl"])


@pytest.mark.parametrize(
    "mapping",
    [
        defaultdict(int, {"owl": 0, "bat": 1}),
        defaultdict(None, {0: "owl", 1: "bat"}),
        Counter({"owl": 0, "bat": 1}),
        OrderedDict({0: "owl", 1: "bat"}),
    ],
)
@pytest.mark.parametrize("labels", [NAMES, [0, 1] * 6])
def test_names_may_be_any_dict_and_number_text_labels(tmp_path: Path, mapping: Any, labels: list[Any]) -> None:
    values = {"features_pkl": FEATURES, "labels_pkl": labels, "folds_pkl": FOLDS, "class_mapping_pkl": mapping}
    assert prepared(tmp_path, **values) == ([0, 1] * 6, ["owl", "bat"])


def test_two_files_for_one_thing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has features\.npy and features\.pkl: keep the one that is right"):
        prepared(tmp_path, features_pkl=FEATURES, features_npy=FEATURES, labels_pkl=NAMES, folds_pkl=FOLDS)


def test_an_npy_file_with_objects_or_a_forged_header_is_refused(tmp_path: Path) -> None:
    files = {"labels_pkl": NAMES, "folds_pkl": FOLDS}
    with pytest.raises(UserError, match=r"features\.npy is not a \.npy file of plain numbers or text"):
        prepared(tmp_path, features_npy=np.array([{}, None], dtype=object), **files)
    content = (tmp_path / "mine/features.npy").read_bytes().replace(b"'|O'", b"'<f4'").replace(b"(2,)", b"(2000000,)")
    headers = (b"[" * 3000, b"-" * 3500 + b"1", b"{'descr': '<f4', 'shape': (8, 16L), \"\"\"")  # no ValueErrors
    forged = [b"\x93NUMPY\2\0" + len(header).to_bytes(4, "little") + header for header in headers]
    for damaged in (content, content[:40], b"", b"text", b"\x93NUMPY\x01\x00\xff\xff{", *forged):
        (tmp_path / "mine/features.npy").write_bytes(damaged)
        with pytest.raises(UserError, match=r"features\.npy is not a \.npy file of plain numbers or text"):
            prepared(tmp_path, **files)


def write_npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, features=FEATURES)


def write_joblib(path: Path, compress: int = 0) -> None:
    import joblib

    joblib.dump(FEATURES, path, compress=compress)


def write_pandas(path: Path) -> None:
    import pandas

    pandas.DataFrame(FEATURES[0]).to_pickle(path)


def write_hdf5(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["features"] = FEATURES


def write_torch(path: Path) -> None:
    import torch

    path.write_bytes(pickle.dumps(torch.from_numpy(FEATURES.copy()), protocol=4))


def write_python_2(path: Path) -> None:
    """cPickle's protocol 2 of [b'owl', b'bat'], as Python 2 wrote it: strings as SHORT_BINSTRING."""
    path.write_bytes(b"\x80\x02]q\x01(U\x03owlq\x02U\x03batq\x03e.")


WRITERS = {
    "numpy": (write_npz, "is a ZIP archive, such as numpy's .npz"),
    "joblib": (write_joblib, "was written by joblib or is compressed"),
    "joblib, compressed": (lambda path: write_joblib(path, 3), "was written by joblib or is compressed"),
    "pandas": (write_pandas, "holds a pandas object"),
    "h5py": (write_hdf5, "is an HDF5 file"),
    "torch": (write_torch, "holds a tensor of torch"),
    "python 2": (write_python_2, "was written by Python 2"),
}
RUN_ELSEWHERE = ("torch",)  # torch.load takes what torch.save wrote, and this pickle is of pickle.dump


@pytest.mark.parametrize("kind", WRITERS)
def test_the_python_that_a_refusal_gives_makes_a_file_that_is_taken(tmp_path: Path, kind: str) -> None:
    package = kind.split(",")[0]
    if package != "python 2" and find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    write_file, what = WRITERS[kind]
    write_file(tmp_path / "features.pkl")
    with pytest.raises(UserError) as error:
        read_pickle(tmp_path / "features.pkl")
    text = str(error.value)
    assert (what in text, text.isprintable()) == (True, True)
    lines = re.search(r"make \.npy files with '(.*)' and '(.*)'\.$", text)
    assert lines, text
    if package not in RUN_ELSEWHERE:
        subprocess.run([sys.executable, "-c", "\n".join(lines.groups())], cwd=tmp_path, check=True)
        assert np.load(tmp_path / "features.npy", allow_pickle=False).size


def test_a_pandas_object_is_named_as_one_where_pandas_is_not_installed_too(tmp_path: Path) -> None:
    (tmp_path / "labels.pkl").write_bytes(b"\x80\x04cpandas.core.series\nSeries\n.")
    with pytest.raises(UserError, match=r"holds a pandas object: .* and 'value = pandas\.read_pickle\("):
        read_pickle(tmp_path / "labels.pkl")


def test_an_npy_file_under_a_pickles_name_is_to_be_called_by_its_own(tmp_path: Path) -> None:
    with (tmp_path / "features.pkl").open("wb") as file:
        np.save(file, FEATURES)
    with pytest.raises(UserError, match=r"is a \.npy file: call it features\.npy, which is read as it is"):
        read_pickle(tmp_path / "features.pkl")
