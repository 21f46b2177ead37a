"""Weights as safetensors files that explain themselves, through one metadata entry, `audiocnn`."""

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from audiocnn.config.model_params import ModelParams
from audiocnn.config.settings import Settings
from audiocnn.errors import UserError
from audiocnn.files import canonical_json
from audiocnn.model.crops import Crops
from audiocnn.model.normalisation import Normalisation

METADATA_ENTRY = "audiocnn"


class WeightsHeader(Settings):
    """What the weights are: enough to build the network, make its input, name its output and know its origin.

    mels, frames: the input's shape. recipe: how sound becomes spectrogram, where known. source: the kind of data it was
    trained on (`demo`, `hub`, `folder`). epoch counts from 0. accuracy: on the validation clips, 0 to 1; None where
    nothing validates. params_digest: sha256 of the effective model and train params. Where they are used: the
    normalisation of the input, the crops over which a clip is answered, the temperature that logits are divided by.
    """

    format: int = 1
    classes: list[str]
    mels: int
    frames: int
    model: ModelParams = ModelParams()
    recipe: dict[str, Any] | None = None
    source: str
    fold: int
    dataset_fold: int
    epoch: int
    accuracy: float | None
    validation: str
    params_digest: str
    normalisation: Normalisation | None = None
    crops: Crops | None = None
    temperature: Annotated[float, Field(ge=0.01, le=100.0)] | None = None

    def text(self) -> str:
        """The metadata entry. What came later than the format, and is not there, is not said either."""
        absent = {name for name in ("normalisation", "crops", "temperature") if getattr(self, name) is None}
        return canonical_json(self.model_dump(mode="json", exclude=absent))


def weights_bytes(model: nn.Module, header: WeightsHeader) -> bytes:
    """A safetensors file's content; the same bytes for the same weights and header.

    There is one metadata entry, because safetensors writes several in random order.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    return save(tensors, metadata={METADATA_ENTRY: header.text()})


def read_header(path: Path) -> WeightsHeader | None:
    """The header of a weights file; None where it has none, as the published weights. Raises UserError."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        return (
            WeightsHeader.model_validate(json.loads(metadata[METADATA_ENTRY])) if METADATA_ENTRY in metadata else None
        )
    except FileNotFoundError:
        raise UserError(f"{path} is not here: train with 'dvc repro', or name another weights file.") from None
    except (SafetensorError, ValueError, ValidationError):
        raise UserError(f"{path} is not a safetensors file with a header of this version: get it again.") from None
