"""A release at its place, a folder or a repository of the Hub: opened, and believed in nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from audiocnn.config.data_params import DATASET_FILES
from audiocnn.config.hub_names import is_commit, is_repository, model_name
from audiocnn.config.settings import flat
from audiocnn.errors import UserError
from audiocnn.release.origin import ORIGIN, Origin
from audiocnn.text import displayed

_LARGEST_WEIGHTS = 1 << 30  # bytes
_LARGEST_TEXT = 1 << 26  # bytes, of a table or a JSON
_LARGEST_ORIGIN = 1 << 20  # bytes
# What a stranger's params may ask for. At all of these at once a network of 128 mels takes 3 GB with Adam's moments.
_LARGEST = {
    "model.encoder_channels": 1024,
    "model.conv1d_channels": 1024,
    "model.hidden_units": 8192,
    "train.epochs": 10_000,
    "train.batch_size": 4096,
    "train.threads": 256,
}


@dataclass(frozen=True)
class Release:
    """A release at its place: origin.json, and a function that gets a file of it, by its name and its largest size."""

    place: str
    origin: Origin
    _file: Callable[[str, int], Path | None]

    def weights(self, name: str) -> Path:
        """A file of weights on this machine. Raises UserError where there is none, or it is too large."""
        path = self._file(name, _LARGEST_WEIGHTS)
        if path is None:
            raise _lacks(self.place, name, "whose bytes are compared")
        return path

    def text(self, name: str) -> bytes | None:
        """The content of a table or a JSON, or None where the release has none. Raises UserError, as `weights` does."""
        path = self._file(name, _LARGEST_TEXT)
        return None if path is None else path.read_bytes()


def open_release(place: str) -> Release:
    """The release in a folder, or in the Hub's repository hf://OWNER/NAME[@REVISION]. Raises UserError."""
    file = _files_of(place)
    path = file(ORIGIN, _LARGEST_ORIGIN)
    if path is None:
        raise _lacks(place, ORIGIN, "which says what it was made from")
    try:
        origin = Origin.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise UserError(f"{ORIGIN} of {place} is not one of this version ({_problem(error)}): get it again.") from None
    _check(origin, place)
    return Release(place, origin, file)


def _files_of(place: str) -> Callable[[str, int], Path | None]:
    """What finds a file at the place, by its name and its largest size in bytes: its path here, None where none is."""
    if not place.startswith("hf://"):
        folder = Path(place)
        if not folder.is_dir():
            raise UserError(f"{place} is not a folder here: name one that holds a release, or hf://OWNER/NAME.")
        return lambda name, largest: _in_folder(folder / name, largest)
    name = model_name(place)
    if name is None:
        raise UserError(f"{place!r} is not a release: expected hf://OWNER/NAME, hf://OWNER/NAME@REVISION or a folder.")
    from audiocnn.hub.models import ModelRepository

    repository = ModelRepository(name, _LARGEST_WEIGHTS)
    return lambda name, largest: repository.fetch(name, largest) if name in repository.names else None


def _in_folder(path: Path, largest: int) -> Path | None:
    if not path.is_file():
        return None
    if path.stat().st_size > largest:
        raise UserError(f"{path} has {path.stat().st_size} bytes, too many for what it should hold: get it again.")
    return path


def _lacks(place: str, name: str, what: str) -> UserError:
    return UserError(f"{place} has no {name}, {what}: ask its author to publish it again with this version.")


def _problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, problem["loc"]))
    return displayed(f"{where}: {problem['msg']}"[:200])


def _check(origin: Origin, place: str) -> None:
    """Raises UserError where a release has no pins, or asks for what no sensible run does."""
    data = origin.data
    if not data.files or data.meta is None:
        raise UserError(
            f"{place} does not pin its data, so nobody can tell whether other data are the same: ask its author to "
            "publish it again where data/raw and data/prepared are."
        )
    if foreign := sorted(data.files.keys() - set(DATASET_FILES)):
        raise UserError(f"{place} pins {displayed(foreign[0][:80])}, which is not a file of a dataset: get it again.")
    if data.kind == "hub" and not (is_repository(data.repository or "") and is_commit(data.commit or "")):
        raise UserError(f"{place} names no repository and commit of its data: ask its author to publish it again.")
    if origin.folds.keys() != set(origin.params.folds):
        raise UserError(f"{place} has digests of other folds than those that its params list: get it again.")
    values = flat(origin.params.model_dump())
    for key, largest in _LARGEST.items():
        asked = max(value) if isinstance(value := values[key], tuple) else value
        if asked > largest:
            raise UserError(f"{place} asks for {key} {str(asked)[:20]}, more than the {largest} that verify allows.")
