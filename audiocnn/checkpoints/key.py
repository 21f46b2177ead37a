"""KEY: what a fold's result depends on, as one digest. No torch here: a stage with nothing to train is quick."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from audiocnn.config.model_params import ModelParams
from audiocnn.config.settings import read_yaml
from audiocnn.config.train_params import TrainParams, effective_params
from audiocnn.data.prepared import Meta
from audiocnn.errors import UserError
from audiocnn.files import digest, sha256_of_file

PROJECT = Path(__file__).resolve().parents[2]


def torch_version() -> str:
    """The installed torch's public version, without importing it; builds for other devices of one version share it."""
    return version("torch").split("+")[0]


def code_digests() -> dict[str, str]:
    """sha256 of each code file that dvc.yaml lists as a dependency of train_fold, by path in the project.

    Raises UserError outside a clone of the project.
    """
    dvc_file = PROJECT / "dvc.yaml"
    if not dvc_file.exists():
        raise UserError(
            f"{dvc_file} is not here: training runs from a clone of the project, not from an installed package."
        )
    deps = read_yaml(dvc_file)["stages"]["train_fold"]["do"]["deps"]
    return {path: sha256_of_file(PROJECT / path) for path in deps if path.endswith(".py")}


def fold_key(
    fold: int, model: ModelParams, train: TrainParams, meta: Meta, device: str, code: Mapping[str, str]
) -> str:
    """The KEY of fold index `fold`, 64 hex digits.

    Over the effective model and train params, everything meta.json says of the data (the arrays' digests among it), the
    fold, the code (code_digests), torch's version and the device type. Work under one KEY is never continued under
    another.
    """
    return digest(
        {
            **effective_params(model, train),
            "data": meta.model_dump(mode="json"),
            "fold": fold,
            "code": dict(code),
            "torch": torch_version(),
            "device": device,
        }
    )
