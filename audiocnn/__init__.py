"""AudioCNN: a reproducible, data-versioned pipeline for classifying sounds by their mel spectrograms."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audiocnn.errors import UserError

if TYPE_CHECKING:
    from audiocnn.inference.classifier import Classifier

__version__ = "0.1.0"
__all__ = ["UserError", "__version__", "load"]


def load(source: str | Path | Sequence[str | Path] = "models", fold: int | None = None) -> "Classifier":
    """The networks of a finished cross-validation, ready for sounds. Raises UserError.

    source: a folder with model_fold_K_best.safetensors, one file of weights, or hf://OWNER/NAME[@REVISION][/FILE]; or
    several of them, whose networks vote together.
    fold: one fold's network, counted from 0; None: the mean over all of them.
    """
    from audiocnn.inference.classifier import load as load_classifier  # torch takes seconds to import

    return load_classifier(source, fold)
