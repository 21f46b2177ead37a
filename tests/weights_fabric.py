"""Weights with and without headers, and a finished run around them, made up: no training."""

from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load, save

from audiocnn.aggregation import write_outs
from audiocnn.fold_results import read_fold_results
from audiocnn.key import digest
from audiocnn.model import AudioCNN
from audiocnn.params import ModelParams, TrainParams
from audiocnn.recipe import Recipe
from audiocnn.weight_files import weights_name
from audiocnn.weights import WeightsHeader, weights_bytes
from tests.fold_fabric import CLASSES, fold_result, write_fold_results

MELS, FRAMES = 8, 16
RECIPE = Recipe(rate=8000, seconds=0.256, n_fft=512, hop_length=128, n_mels=MELS)
MODEL = ModelParams(encoder_channels=(4, 4, 8), conv1d_channels=4, hidden_units=8)
PARAMS_DIGEST = digest({"model": MODEL.model_dump(mode="json"), "train": TrainParams().model_dump(mode="json")})


def make_header(**changes: Any) -> WeightsHeader:
    """A header that tells the truth about make_weights, but for the changes."""
    header = WeightsHeader(
        classes=CLASSES,
        mels=MELS,
        frames=FRAMES,
        model=MODEL,
        recipe=RECIPE.model_dump(mode="json"),
        source="folder",
        fold=0,
        dataset_fold=1,
        epoch=3,
        accuracy=0.5,
        validation="held_out",
        params_digest=PARAMS_DIGEST,
    )
    return header.model_copy(update=changes)


def make_weights(seed: int = 0, header: WeightsHeader | None = None) -> bytes:
    """A weights file of a small network with random weights, large enough that its answers differ."""
    torch.manual_seed(seed)
    model = AudioCNN(MELS, len(CLASSES), FRAMES, **MODEL.model_dump())
    for parameter in model.parameters():
        parameter.data.mul_(2)
    return weights_bytes(model, header or make_header())


def without_header(content: bytes) -> bytes:
    """The same weights in the published layout, which has no header."""
    plain: bytes = save(load(content))
    return plain


def write_weights(folder: Path, *contents: bytes, first: int = 0) -> Path:
    """Writes model_fold_K_best.safetensors for each content, K from `first` on; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for fold, content in enumerate(contents, start=first):
        (folder / weights_name(fold)).write_bytes(content)
    return folder


def write_finished_run(folder: Path, source: str = "folder", **changes: Any) -> None:
    """A project in which `dvc repro` has trained three folds: params.yaml, models/, results/folds and metrics/.

    changes: other values in the folds' results than fold_fabric's.
    """
    data = {"demo": "demo", "folder": "sounds", "hub": "hf://datasets/owner/sounds@main"}[source]
    train = {"validation": changes.get("validation", "held_out")}
    params = {"folds": [0, 1, 2], "data": {"source": data}, "model": MODEL.model_dump(mode="json"), "train": train}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    write_fold_results(folder, *(fold_result(fold, source=source, **changes) for fold in (0, 1, 2)))
    results = read_fold_results([0, 1, 2], folder / "results/folds")
    effective = {"model": MODEL.model_dump(mode="json"), "train": TrainParams(**train).model_dump(mode="json")}
    headers = [
        make_header(
            fold=result.fold,
            dataset_fold=result.dataset_fold,
            epoch=result.best_epoch,
            accuracy=result.history.val_accuracy[result.best_epoch],
            source=source,
            validation=result.validation,
            classes=list(result.classes),
            params_digest=digest(effective),
        )
        for result in results
    ]
    write_weights(folder / "models", *(make_weights(header.fold, header) for header in headers))
    write_outs(results, folder / "metrics", folder / "models/all_fold_histories.pkl")
