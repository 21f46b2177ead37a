"""Which files hold the weights of which fold: in a folder, or in a model repository of the Hub."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from audiocnn.config.all_clips import ALL_CLIPS_WEIGHTS
from audiocnn.config.hub_names import model_name
from audiocnn.config.outs import weights_name, weights_number
from audiocnn.errors import UserError
from audiocnn.model.weights import WeightsHeader, read_header

LARGEST_FILE = 1 << 30  # bytes; the published network takes 1.1 MB
_LARGEST_METADATA = 1 << 20  # bytes


def find_weights(source: str | Path, fold: int | None, all_clips: bool = False) -> list[Path]:
    """The weights files that `source` names: of one fold, counted from 0; of all folds in order; or of all clips.

    source: a .safetensors file, a folder that holds model_fold_K_best.safetensors, or a repository of the Hub that
    does, [hf://]OWNER/NAME[@REVISION]; its files come into the Hub client's cache. all_clips: the one network that is
    trained on all clips, which is also taken where nothing else is there. Raises UserError.
    """
    path = Path(source)
    name = None if path.exists() else model_name(str(source))
    if path.is_dir():
        names = (file.name for file in path.iterdir())
        return _select(names, fold, all_clips, lambda name: path / name, str(source))
    if path.exists() or path.suffix == ".safetensors":
        return [path]
    if name is None:
        raise UserError(f"{source} is not here: train with 'dvc repro', or name a folder, a file or hf://OWNER/NAME.")
    from audiocnn.hub.models import ModelRepository

    repository = ModelRepository(name, LARGEST_FILE)
    return _select(repository.names, fold, all_clips, repository.fetch, str(source))


def _select(
    names: Iterable[str], fold: int | None, all_clips: bool, fetch: Callable[[str], Path], where: str
) -> list[Path]:
    present = set(names)
    numbers = sorted({number for number in map(weights_number, present) if number is not None})
    has_all_clips = ALL_CLIPS_WEIGHTS in present
    if all_clips and not has_all_clips:
        raise UserError(
            f"{where} holds no {ALL_CLIPS_WEIGHTS}: train it with 'audiocnn train --all-clips', or name a --fold."
        )
    if has_all_clips and (all_clips or (not numbers and fold is None)):
        return [fetch(ALL_CLIPS_WEIGHTS)]
    if not numbers:
        raise UserError(
            f"{where} holds no {weights_name(0)} or the like: train with 'dvc repro', or name another place."
        )
    if fold is None:
        return [fetch(weights_name(number)) for number in numbers]
    first = 0
    if 0 not in numbers and untrusted_header(fetch(weights_name(numbers[0]))) is None:
        first = 1  # weights published without a header are named after UrbanSound8K's folds, 1 to 10
        print(f"{where} names its weights by the dataset's own folds: fold {fold} is {fold + 1} there", file=sys.stderr)
    if fold + first not in numbers:
        folds = ", ".join(str(number - first) for number in numbers)
        raise UserError(f"{where} has no fold {fold}: it has {folds}.")
    return [fetch(weights_name(fold + first))]


def untrusted_header(path: Path) -> WeightsHeader | None:
    """read_header for a file that may come from anybody, or not be one. Raises UserError."""
    try:
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
