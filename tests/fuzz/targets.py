"""What is fuzzed: good files of each kind, and what reads them, with the errors that are its answer."""

import io
import json
import pickle
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, cast

import numpy as np
import soundfile

from audiocnn.errors import UserError


class Target(NamedTuple):
    """A maker of good files in a folder, and their reader, with the errors that are its answer."""

    make: Callable[[Path], list[Path]]
    read: Callable[[Path], Any]
    answers: tuple[type[Exception], ...]


def _sounds(folder: Path) -> list[Path]:
    from tests.support.sounds import encode

    sound = (0.3 * np.sin(np.cumsum(np.linspace(0.02, 0.4, 32_000)))).astype(np.float32)
    codecs = {"flac": "flac", "m4a": "aac", "webm": "libopus", "wma": "wmav2", "mp3": "libmp3lame", "aac": "aac"}
    made = [
        encode(folder / f"a.{suffix}", sound, 48_000 if suffix == "webm" else 16_000, codec)
        for suffix, codec in codecs.items()
    ]
    for suffix in ("wav", "ogg", "aiff", "caf"):
        soundfile.write(folder / f"a.{suffix}", sound, 16_000)
        made.append(folder / f"a.{suffix}")
    return made


def _read_sound(path: Path) -> None:
    from audiocnn.sound.decode import open_recording
    from audiocnn.sound.recipe import Recipe
    from audiocnn.sound.spectrogram import spectrograms

    with open_recording(path) as recording:
        for _ in spectrograms(recording, Recipe(rate=16_000, seconds=1.0, n_mels=64), 0.5):
            pass


def _pickles(folder: Path) -> list[Path]:
    values = {
        "array": np.random.default_rng(0).normal(size=(20, 8, 16)).astype(np.float32),
        "list": [np.zeros((8, 16)), np.ones((8, 16))],
        "mapping": {0: "dog", 1: "rain"},
        "labels": np.arange(20),
    }
    for name, value in values.items():
        for protocol in (2, 4, 5):
            (folder / f"{name}{protocol}.pkl").write_bytes(pickle.dumps(value, protocol))
    return sorted(folder.glob("*.pkl"))


def _read_pickle(path: Path) -> None:
    from audiocnn.data.pickles import read_pickle

    read_pickle(path)


def _weights(folder: Path) -> list[Path]:
    from tests.support.weights import make_weights, write_weights

    write_weights(folder, make_weights(1))
    return sorted(folder.glob("*.safetensors"))


def _read_weights(path: Path) -> None:
    from audiocnn.inference.pretrained import load_weights

    load_weights(path)


def _yamls(folder: Path) -> list[Path]:
    from tests.support.paths import ROOT

    for name in ("params.yaml", "dvc.yaml"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return sorted(folder.glob("*.yaml"))


def _read_yaml(path: Path) -> None:
    from audiocnn.config.settings import read_yaml

    read_yaml(path)


def _recipes(folder: Path) -> list[Path]:
    from audiocnn.sound.recipe import Recipe

    (folder / "recipe.json").write_text(json.dumps(Recipe().model_dump()))
    return [folder / "recipe.json"]


def _read_recipe(path: Path) -> None:
    from audiocnn.config.settings import validate
    from audiocnn.sound.recipe import Recipe

    with suppress(ValueError, RecursionError):  # no JSON
        validate(Recipe, json.loads(path.read_bytes()), "recipe.json")


def _tables(folder: Path) -> list[Path]:
    text = "filename,fold,class\n" + "".join(f"a{index}.wav,{index % 3},dog {index % 2}\n" for index in range(12))
    for name, encoding in (("utf8.csv", "utf-8"), ("utf16.csv", "utf-16"), ("latin1.csv", "latin-1")):
        (folder / name).write_bytes(text.encode(encoding))
    return sorted(folder.glob("*.csv"))


def _read_table(path: Path) -> None:
    from audiocnn.sound.tables import read_table

    read_table(path)


def _arrays(folder: Path) -> list[Path]:
    """features.npy, which predict and prepare read, and text, which prepare reads as labels."""
    from tests.support.weights import FRAMES, MELS

    clips = np.random.default_rng(0).normal(-40, 10, (12, 2 * MELS, 2 * FRAMES)).astype(np.float32)
    np.save(folder / "features.npy", clips)
    np.save(folder / "one.npy", clips[0].astype(np.float64))
    np.save(folder / "turned.npy", np.asfortranarray(clips))
    np.save(folder / "labels.npy", np.array(["dog", "rain"] * 6))
    return sorted(folder.glob("*.npy"))


@cache
def _predictor() -> Any:
    from audiocnn.inference.predictor import Predictor
    from audiocnn.inference.pretrained import load_weights
    from tests.support.weights import make_weights, without_header, write_weights

    with TemporaryDirectory() as folder:
        write_weights(Path(folder), without_header(make_weights(1)))
        return Predictor([load_weights(Path(folder, "model_fold_0_best.safetensors"))], 1.0)


def _read_array(path: Path) -> None:
    from audiocnn.data.prepare import prepare

    list(_predictor().group([path]))
    folder = path.parent / "of npy"
    raw = folder / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    values: dict[str, Any] = {
        "labels": np.arange(12) % 2,
        "folds": np.arange(12) // 6,
        "features": np.zeros((12, 16, 32), np.float32),
    }
    for name, value in values.items():
        np.save(raw / f"{name}.npy", value)
    (raw / "class_mapping.pkl").write_bytes(pickle.dumps({0: "dog", 1: "rain"}))
    shutil.copy(path, raw / ("labels.npy" if path.name == "labels.npy" else "features.npy"))
    with redirect_stdout(io.StringIO()):
        prepare(raw, folder / "prepared", (0, 1))


def _fold_results(folder: Path) -> list[Path]:
    from tests.support.results import fold_result

    (folder / "fold_0.json").write_text(json.dumps(fold_result(0, clips=6)))
    (folder / "unvalidated_0.json").write_text(json.dumps(fold_result(0, clips=6, validation="none")))
    return sorted(folder.glob("*.json"))


def _read_fold_results(path: Path) -> None:
    """With a good second fold, up to the files in metrics/."""
    from audiocnn.evaluation.fold_results import read_fold_results
    from audiocnn.evaluation.write import write_outs
    from tests.support.results import fold_result

    folder = path.parent / "of folds"
    folder.mkdir(exist_ok=True)
    validation: dict[str, Any] = {"validation": "none"} if path.name.startswith("un") else {}
    shutil.copy(path, folder / "fold_0.json")
    (folder / "fold_1.json").write_text(json.dumps(fold_result(1, clips=6, **validation)))
    write_outs(read_fold_results([0, 1], folder), folder / "metrics", folder / "histories.pkl")


def _state_files(folder: Path) -> list[Path]:
    from audiocnn.checkpoints.folder import result_names
    from audiocnn.checkpoints.training_state import save_training_state_json

    files = dict.fromkeys((*result_names(0), "epoch_1.pt"), "0" * 64)
    save_training_state_json(folder, {"last_fold": 0, "last_epoch": 2, "key": "k", "files": files, "finished": True})
    progress = {"epoch": 1, "batch": 2, "batches": 3, "best_accuracy": 0.5, "seconds_per_epoch": 1.0, "time": 1e9}
    values = {
        "progress.json": progress,
        "error.json": {"session": "now", "message": "it failed"},
        "holder.json": {"pid": 7, "host": "far", "since": "then", "beats": True},
        "uploaded.json": {"repository": "a/b", "files": {"epoch_1.safetensors": "0" * 64}},
        "hub_commits.json": {"commits": [1e9, 2e9]},
        "hub_unavailable.json": {"configuration": "", "reason": "down", "until": 1e12},
    }
    for name, value in values.items():
        (folder / name).write_text(json.dumps(value))
    return sorted(folder.glob("*.json"))


def _read_state_file(path: Path) -> None:
    try:
        _read_state_files_of(path)
    finally:
        path.unlink(missing_ok=True)


def _read_state_files_of(path: Path) -> None:
    """Under its own name, and training_state.json once more with a checksum that vouches for it."""
    from audiocnn.checkpoints.failure import error_of
    from audiocnn.checkpoints.lock import holder_of
    from audiocnn.checkpoints.outage import outage_of
    from audiocnn.checkpoints.progress import read_progress
    from audiocnn.checkpoints.training_state import TrainingState, read_finished, save_training_state_json
    from audiocnn.config.runtime import HubSettings
    from audiocnn.folds.ledger import must_stay, recent_commits, waiting

    hub = HubSettings(model_repo="a/b", upload="epochs")
    folder = path.parent
    read_progress(folder), error_of(folder, "now"), holder_of(folder), outage_of(folder, "hub")
    must_stay("epoch_1.safetensors", folder, hub), recent_commits(folder), waiting(folder, 0, hub)
    read_finished(folder, 0, "k")
    with suppress(ValueError, RecursionError):
        state = json.loads(path.read_bytes())
        if path.name == "training_state.json" and isinstance(state, dict):
            state.pop("sha256", None)
            save_training_state_json(folder, cast(TrainingState, state))
            read_finished(folder, 0, "k"), waiting(folder, 0, hub)


def _sound_target() -> Target:
    from audiocnn.sound.decode import BadSoundError

    return Target(_sounds, _read_sound, (BadSoundError,))


TARGETS: dict[str, Callable[[], Target]] = {
    "sound": _sound_target,
    "pickle": lambda: Target(_pickles, _read_pickle, (UserError,)),
    "weights": lambda: Target(_weights, _read_weights, (UserError,)),
    "yaml": lambda: Target(_yamls, _read_yaml, (UserError,)),
    "recipe": lambda: Target(_recipes, _read_recipe, (UserError,)),
    "npy": lambda: Target(_arrays, _read_array, (UserError,)),
    "folds": lambda: Target(_fold_results, _read_fold_results, (UserError,)),
    "state": lambda: Target(_state_files, _read_state_file, ()),
    "table": lambda: Target(_tables, _read_table, (UserError,)),
}
