"""Files that people have instead of our pickles: what each is, and the Python that makes a .npy file of it.

The Python is for the owner of the file to run: what we refuse to open may run code.
"""

from pathlib import Path

# What a file begins with, and what it is.
_BEGINNINGS = {
    b"\x93NUMPY": "npy",
    b"PK\x03\x04": "npz",
    b"\x89HDF\r\n\x1a\n": "hdf5",
    b"\x1f\x8b": "joblib",
    b"\x78\x01": "joblib",
    b"\x78\x5e": "joblib",
    b"\x78\x9c": "joblib",
    b"\x78\xda": "joblib",
}
# The first part of a name in a pickle, and whose it is.
_PACKAGES = {"pandas": "pandas", "joblib": "joblib", "torch": "torch", "copy_reg": "python2"}
_WHAT = {
    "npy": "is a .npy file",
    "npz": "is a ZIP archive, such as numpy's .npz",
    "hdf5": "is an HDF5 file",
    "joblib": "was written by joblib or is compressed",
    "pandas": "holds a pandas object",
    "torch": "holds a tensor of torch",
    "python2": "was written by Python 2",
}
_PYTHON = {
    "npz": 'archive = numpy.load("{name}"); [numpy.save(f"{{key}}.npy", archive[key]) for key in archive.files]',
    "hdf5": 'file = h5py.File("{name}"); [numpy.save(f"{{key}}.npy", file[key][()]) for key in file]',
    "joblib": 'value = joblib.load("{name}"); numpy.save("{stem}.npy", value)',
    "pandas": 'value = pandas.read_pickle("{name}"); numpy.save("{stem}.npy", value.to_numpy())',
    "torch": 'value = torch.load("{name}", weights_only=True); numpy.save("{stem}.npy", value.numpy())',
    "python2": 'value = pickle.load(open("{name}", "rb"), encoding="latin1"); numpy.save("{stem}.npy", value)',
}
_NEEDED = {
    "hdf5": "h5py, numpy",
    "joblib": "joblib, numpy",
    "pandas": "numpy, pandas",
    "torch": "numpy, torch",
    "python2": "numpy, pickle",
}


def by_content(path: Path, content: bytes | memoryview) -> str | None:
    """The rest of a sentence on a file that is no pickle of ours but of a known kind; None where it is of none."""
    start = bytes(content[:8])
    kind = next((kind for beginning, kind in _BEGINNINGS.items() if start.startswith(beginning)), None)
    return None if kind is None else _sentence(path, kind)


def by_name(path: Path, module: str) -> str | None:
    """The same for a pickle that names a class of a known package."""
    kind = _PACKAGES.get(module.partition(".")[0])
    return None if kind is None else _sentence(path, kind)


def python_2(path: Path) -> str:
    """The same for a pickle with instructions that Python 3 does not write."""
    return _sentence(path, "python2")


def _sentence(path: Path, kind: str) -> str:
    if kind == "npy":
        return f"{_WHAT[kind]}: call it {path.stem}.npy, which is read as it is"
    python = _PYTHON[kind].format(name=path.name, stem=path.stem)
    return f"{_WHAT[kind]}: if you trust it, make .npy files with 'import {_NEEDED.get(kind, 'numpy')}' and '{python}'"
