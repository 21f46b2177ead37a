"""Which files hold the weights of which fold: in a folder, or in a model repository of the Hub."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from audiocnn.config.hub_names import model_name
from audiocnn.config.outs import weights_name, weights_number
from audiocnn.errors import UserError
from audiocnn.inference.one_run import check_one_run, without_unlisted
from audiocnn.model.weights import WeightsHeader, read_header
from audiocnn.text import displayed

LARGEST_FILE = 1 << 30  # bytes; the published network takes 1.1 MB
_LARGEST_METADATA = 1 << 20  # bytes


def find_weights(source: str | Path, fold: int | None) -> list[Path]:
    """The weights files that `source` names: those of one fold, counted from 0, or of all folds in order.

    source: a .safetensors file, a folder that holds model_fold_K_best.safetensors, or a repository of the Hub that
    does, [hf://]OWNER/NAME[@REVISION]; its files come into the Hub client's cache. Behind hf://OWNER/NAME[@REVISION]/
    a file of the repository may stand. Raises UserError.
    """
    path = Path(source)
    if path.is_dir():
        return _select((file.name for file in path.iterdir()), fold, lambda name: path / name, str(source))
    place, file = file_of_repository(str(source))
    if path.exists() or (path.suffix == ".safetensors" and file is None):
        return [path]
    name = model_name(place)
    if name is None:
        raise UserError(f"{source} is not here: train with 'dvc repro', or name a folder, a file or hf://OWNER/NAME.")
    from audiocnn.hub.models import ModelRepository

    repository = ModelRepository(name, LARGEST_FILE)
    if file is None:
        return _select(repository.names, fold, repository.fetch, place)
    if file not in repository.names:
        present = ", ".join(sorted(name for name in repository.names if name.endswith(".safetensors")))
        raise UserError(displayed(f"{place} has no {file}: it has {present or 'no weights'}."))
    return [repository.fetch(file)]


def file_of_repository(source: str) -> tuple[str, str | None]:
    """The repository of hf://OWNER/NAME[@REVISION]/FILE and the file; of other sources all, and None."""
    place, _, file = source.rpartition("/")
    is_file = source.startswith("hf://") and file.endswith(".safetensors") and model_name(place) is not None
    return (place, file) if is_file else (source, None)


def _select(names: Iterable[str], fold: int | None, fetch: Callable[[str], Path], where: str) -> list[Path]:
    numbers = sorted({number for number in map(weights_number, names) if number is not None})
    if not numbers:
        raise UserError(
            f"{where} holds no {weights_name(0)} or the like: train with 'dvc repro', or name another place."
        )
    if fold is None:
        paths = without_unlisted({number: fetch(weights_name(number)) for number in numbers})
        check_one_run(paths, {number: untrusted_header(path) for number, path in paths.items()}, where)
        return list(paths.values())
    first = 0
    if 0 not in numbers and untrusted_header(fetch(weights_name(numbers[0]))) is None:
        first = 1  # weights published without a header are named after UrbanSound8K's folds, 1 to 10
        note = f"{where} names its weights by the dataset's own folds: fold {fold} is {fold + 1} there"
        print(displayed(note), file=sys.stderr)
    if fold + first not in numbers:
        folds = ", ".join(str(number - first) for number in numbers)
        raise UserError(f"{where} has no fold {fold}: it has {folds}.")
    return [fetch(weights_name(fold + first))]


def untrusted_header(path: Path) -> WeightsHeader | None:
    """read_header for a file that may come from anybody, or not be one. Raises UserError."""
    try:
        if not path.is_file() and path.exists():
            raise UserError(f"{path} is no regular file: name a weights file.")
        with path.open("rb") as file:
            metadata = int.from_bytes(file.read(8), "little")
        if metadata > _LARGEST_METADATA or path.stat().st_size > LARGEST_FILE:
            raise UserError(f"{path} is larger than weights of AudioCNN are, or not a weights file: name another file.")
        return read_header(path)
    except FileNotFoundError:
        raise UserError(f"{path} is not here: train with 'dvc repro', or name another weights file.") from None
    except RecursionError:  # brackets in brackets
        raise UserError(f"{path} is not a safetensors file with a header of this version: get it again.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}): name another weights file.") from None
