"""Weights with and without headers, and a finished run around them, made up without training."""

import hashlib
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load, save

from audiocnn.config.all_clips import ALL_CLIPS_RECORD, ALL_CLIPS_WEIGHTS
from audiocnn.config.outs import weights_name
from audiocnn.config.params import read_params
from audiocnn.config.train_params import TrainParams, params_digest
from audiocnn.evaluation.fold_results import read_fold_results
from audiocnn.evaluation.write import write_outs
from audiocnn.files import write_json
from audiocnn.folds.all_clips import all_clips_train
from audiocnn.model.network import AudioCNN
from audiocnn.model.weights import WeightsHeader, weights_bytes
from audiocnn.sound.recipe import Recipe
from tests.support.prepared import CLASSES
from tests.support.results import fold_result, write_fold_results
from tests.support.training import MODEL

MELS, FRAMES = 8, 16
RECIPE = Recipe(rate=8000, seconds=0.256, n_fft=512, hop_length=128, n_mels=MELS)
PARAMS_DIGEST = params_digest(MODEL, TrainParams())


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

    changes: other values in the folds' results than fold_result's.
    """
    data = {"demo": "demo", "folder": "sounds", "hub": "hf://datasets/owner/sounds@main"}[source]
    train = {"validation": changes.get("validation", "held_out")}
    params = {"folds": [0, 1, 2], "data": {"source": data}, "model": MODEL.model_dump(mode="json"), "train": train}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    write_fold_results(folder, *(fold_result(fold, source=source, **changes) for fold in (0, 1, 2)))
    results = read_fold_results([0, 1, 2], folder / "results/folds")
    headers = [
        make_header(
            fold=result.fold,
            dataset_fold=result.dataset_fold,
            epoch=result.best_epoch,
            accuracy=result.val_accuracy,
            source=source,
            validation=result.validation,
            classes=list(result.classes),
            params_digest=params_digest(MODEL, TrainParams(**train)),
        )
        for result in results
    ]
    write_weights(folder / "models", *(make_weights(header.fold, header) for header in headers))
    write_outs(results, folder / "metrics", folder / "models/all_fold_histories.pkl")


def write_all_clips(run: Path) -> None:
    """The network that 'audiocnn train --all-clips' would leave in a finished run."""
    params, results = read_params(), read_fold_results([0, 1, 2])
    train = all_clips_train(params.train, results)
    header = make_header(
        fold=-1,
        dataset_fold=-1,
        epoch=train.epochs - 1,
        accuracy=None,
        validation="none",
        params_digest=params_digest(params.model, train),
    )
    weights = make_weights(9, header)
    record = {
        "format": 1,
        "key": "0" * 64,
        "clips": 72,
        "device": "cpu",
        "torch": "2.13.0",
        "history": {name: [0.5] * train.epochs for name in ("loss", "accuracy", "lr")},
        "weights": hashlib.sha256(weights).hexdigest(),
        "folds": {str(result.fold): result.key for result in results},
    }
    (run / "models" / ALL_CLIPS_WEIGHTS).write_bytes(weights)
    write_json(run / "models" / ALL_CLIPS_RECORD, record)
