"""Spectrograms to class probabilities, by the network of one fold or the mean over several."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from audiocnn.errors import UserError
from audiocnn.inference.find_weights import LARGEST_FILE
from audiocnn.inference.pretrained import PretrainedAudioCNN, load_weights

BATCH = 32  # spectrograms that go through the network together

Floats32: TypeAlias = NDArray[np.float32]
Probabilities: TypeAlias = NDArray[np.float64]


def load_models(paths: Sequence[Path]) -> list[PretrainedAudioCNN]:
    """The networks of weights files that may vote together. Raises UserError where they answer different questions."""
    if (size := sum(path.stat().st_size for path in paths if path.exists())) > LARGEST_FILE:
        raise UserError(f"the weights from {paths[0]} on take {size} bytes, more than {LARGEST_FILE}: name one --fold.")
    models = [load_weights(path) for path in paths]
    for path, model in zip(paths[1:], models[1:], strict=True):
        for name in ("classes", "n_mels", "frames", "recipe"):
            if getattr(model, name) != getattr(models[0], name):
                raise UserError(f"{paths[0]} and {path} differ in {name}: use weights of one training, or one --fold.")
    return models


def class_probabilities(models: Sequence[PretrainedAudioCNN], spectrograms: Floats32) -> Probabilities:
    """(clips, mels, frames) in dB to (clips, classes): each network's softmax, then the mean over networks.

    The class of the largest probability of one network is that of its largest logit. NaN or infinite values in a clip
    give NaN in its row.
    """
    batch = torch.from_numpy(spectrograms)
    with torch.inference_mode():
        votes = torch.stack([model(batch).double().softmax(dim=1) for model in models])  # (models, clips, classes)
        mean: Probabilities = votes.mean(dim=0).numpy()
    return mean
