"""`audiocnn export`: one ONNX file that says of sound what `audiocnn predict` says, by onnxruntime alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxscript")
pytest.importorskip("soxr")

import onnxruntime

import audiocnn
from audiocnn.cli.main import main
from audiocnn.inference import onnx_export
from audiocnn.model.normalisation import Normalisation
from tests.support.prepared import CLASSES
from tests.support.weights import MELS, RECIPE, make_header, make_weights, write_weights

RECIPES = {
    "relative": {"floor": "relative"},
    # 500 is no power of two; frames and mels stay those of the weights. Lower than 80 dB below a tone is rounding.
    "absolute": {"floor": "absolute", "n_fft": 500, "fmin": 100.0, "fmax": 3000.0, "top_db": 60.0},
}


def weights(fold: int, **recipe: Any) -> bytes:
    """A fold's weights whose input is normalised."""
    normalisation = Normalisation(mean=(-40.0,) * MELS, std=tuple(10.0 + mel for mel in range(MELS)))
    values = {**RECIPE.model_dump(mode="json"), **recipe}
    return make_weights(fold, make_header(fold=fold, recipe=values, normalisation=normalisation))


def sounds() -> list[Any]:
    """Windows of noise and tones, quiet and loud, some of them shorter than a window."""
    generator, time = np.random.default_rng(1), np.arange(RECIPE.samples) / RECIPE.rate
    tones = [np.sin(2 * np.pi * hertz * time) for hertz in (110, 440, 3500)]
    noise = [generator.normal(size=RECIPE.samples) * level for level in (0.3, 1e-2, 1e-4)]
    return [sound.astype(np.float32)[:length] for sound in (*tones, *noise) for length in (RECIPE.samples, 900)]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_onnxruntime_says_of_sound_what_predict_says(tmp_path: Path, recipe: dict[str, Any]) -> None:
    write_weights(tmp_path / "models", *(weights(fold, **recipe) for fold in range(2)))
    file = tmp_path / "model.onnx"
    assert main(["export", "--onnx", str(file), "--models", str(tmp_path / "models")]) == 0
    session = onnxruntime.InferenceSession(file)
    classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
    windows = np.stack([np.pad(sound, (0, RECIPE.samples - len(sound))) for sound in sounds()])
    probabilities, silent = session.run(None, {"sound": windows})
    classifier = audiocnn.load(tmp_path / "models")
    expected = [classifier.predict(sound, RECIPE.rate).probabilities for sound in sounds()]
    for row, answer in zip(probabilities, expected, strict=True):
        assert dict(zip(classes, row.tolist(), strict=True)) == pytest.approx(answer, abs=1e-4)
    assert not silent.any()
    assert np.ptp(probabilities, axis=0).max() > 0.1  # else any answer would do


def test_the_network_on_all_clips_is_exported_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_weights(tmp_path, weights(0), weights(1))
    own = tmp_path / "model_all_clips.safetensors"
    own.write_bytes(make_weights(2, make_header(fold=-1, dataset_fold=-1, accuracy=None, validation="none")))
    assert main(["export", "--onnx", str(tmp_path / "own.onnx"), "--models", str(own)]) == 0
    assert "own.onnx: one network, " in capsys.readouterr().out
    told = onnxruntime.InferenceSession(tmp_path / "own.onnx").get_modelmeta().custom_metadata_map
    assert [header["fold"] for header in json.loads(told["weights"])] == [-1]


def test_the_file_tells_what_a_program_needs_and_nothing_of_where_it_was_made(tmp_path: Path) -> None:
    write_weights(tmp_path / "models", weights(0))
    contents = []
    for name in ("first.onnx", "second.onnx"):
        assert main(["export", "--onnx", str(tmp_path / name), "--models", str(tmp_path / "models")]) == 0
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]
    for word in (b".py", str(tmp_path).encode(), str(Path(audiocnn.__file__).parent).encode()):
        assert word not in contents[0]
    session = onnxruntime.InferenceSession(contents[0])
    told = {name: json.loads(value) for name, value in session.get_modelmeta().custom_metadata_map.items()}
    assert told["classes"] == CLASSES
    assert told["recipe"] == RECIPE.model_dump(mode="json")
    assert told["weights"][0]["fold"] == 0
    assert session.get_inputs()[0].shape[1] == RECIPE.samples
    probabilities, silent = session.run(None, {"sound": np.zeros((2, RECIPE.samples), np.float32)})
    assert silent.tolist() == [True, True]
    assert np.isfinite(probabilities).all()


def test_a_file_that_says_something_else_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_weights(tmp_path / "models", weights(0))
    monkeypatch.setattr(onnx_export, "log_mel", lambda sound, recipe: np.zeros(recipe.shape, np.float32))
    assert main(["export", "--onnx", str(tmp_path / "model.onnx"), "--models", str(tmp_path / "models")]) == 1
    assert "from torch's, more than 0.0001: nothing is written" in capsys.readouterr().err
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize(
    ("name", "recipe", "sentence"),
    [("model.pt", RECIPE, "a file name that ends in .onnx"), ("model.onnx", None, "hold no recipe")],
)
def test_what_cannot_be_exported_is_said_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, recipe: Any, sentence: str
) -> None:
    header = make_header(recipe=None if recipe is None else recipe.model_dump(mode="json"))
    write_weights(tmp_path / "models", make_weights(0, header))
    assert main(["export", "--onnx", str(tmp_path / name), "--models", str(tmp_path / "models")]) == 1
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / name).exists()
