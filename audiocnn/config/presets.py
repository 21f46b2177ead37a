"""Presets: sets of values that `audiocnn preset` writes into params.yaml. No stage reads a preset's name."""

import io
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from audiocnn.config.model_params import ModelParams
from audiocnn.config.params import PARAMS_FILE, read_params
from audiocnn.config.settings import flat
from audiocnn.config.train_params import TrainParams, effective_params
from audiocnn.files import write_atomically

_THE_USERS = ("train.seed", "train.threads", "train.precision", "train.arithmetic")  # no preset touches these
_DEFAULTS = flat(effective_params(ModelParams(), TrainParams()))
_PUBLISHED: dict[str, Any] = {name: value for name, value in _DEFAULTS.items() if name not in _THE_USERS}
# For sounds that go on, as rain or an engine does. One setting of ten that were compared on tested folds of ESC-10; its
# levers, each alone, and its accuracy over seeds are in docs/recipes.md.
_ACCURATE: dict[str, Any] = _PUBLISHED | {
    "model.encoder_dropout": 0.1,
    "model.head_dropout": 0.3,
    "train.batch_size": 16,
    "train.lr": 0.002,
    "train.min_lr": 0.0,
    "train.validation": "none",
    "train.optimizer": "adamw",
    "train.weight_decay": 0.01,
    "train.schedule": "cosine",
    "train.warmup_epochs": 5,
    "train.label_smoothing": 0.1,
    "train.normalise": "global",
    "train.augment.roll": True,
    "train.augment.crop": 0.74,
    "train.augment.mel_shift": 4,
    "train.augment.equaliser_db": 6.0,
    "train.augment.mixup_alpha": 0.3,
    "train.augment.mel_mask": 12,
    "train.augment.frame_mask": 16,
}
# For words, which have a beginning and an end: nothing turns them round or cuts them off, and shifts and masks are
# small. Made after _ACCURATE had failed on spoken digits; docs/recipes.md says how the two were compared.
_SPEECH: dict[str, Any] = _ACCURATE | {
    "train.augment.roll": False,
    "train.augment.crop": 1.0,
    "train.augment.mel_shift": 1,
    "train.augment.mel_mask": 6,
    "train.augment.frame_mask": 6,
}
_WIDEST = 4096  # columns: no line is broken anew

PRESETS = {"published": _PUBLISHED, "accurate": _ACCURATE, "speech": _SPEECH}


def write_preset(name: str, path: Path = PARAMS_FILE) -> list[str]:
    """Writes a preset's values into a params.yaml, whose comments, order and other values stay.

    Returns a line for each value that changed. Raises UserError where the file is missing or not valid; then, and where
    nothing changes, it stays as it is.
    """
    from ruamel.yaml import YAML

    read_params(path)  # whatever is wrong with it is said here
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, _WIDEST
    values = yaml.load(path.read_text(encoding="utf-8"))
    lines = [line for key, value in PRESETS[name].items() if (line := _set(values, key, value))]
    if lines:
        text = io.StringIO()
        yaml.dump(values, text)
        write_atomically(path, text.getvalue().encode())
    return lines


def _set(values: MutableMapping[str, Any], key: str, value: Any) -> str | None:
    """Sets a dotted key. Returns a line on the change, None where the value is there already."""
    *groups, last = key.split(".")
    for group in groups:
        values = values.setdefault(group, {})
    before = values.get(last)
    if before == value:
        return None
    values[last] = value
    return f"{key}: {'not set' if before is None else before} to {value}"
