"""The page's functions, without gradio: from a file to classes, window by window, as `audiocnn predict` says it."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxscript")
pytest.importorskip("soxr")
pytest.importorskip("soundfile")

import onnx
import soundfile
from onnx import helper

import audiocnn
from audiocnn.cli.main import main
from tests.support.modules import load_module
from tests.support.paths import ROOT, SHARED
from tests.support.processes import environment
from tests.support.sounds import encode
from tests.support.weights import RECIPE, make_weights, write_weights

REAL = sorted((SHARED / "audio/esc10/audio").glob("*.ogg"))[:3]
PAGE = ROOT / "examples/space"
app = load_module(PAGE / "app.py")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of two networks, and their model.onnx beside it."""
    folder = tmp_path_factory.mktemp("space")
    write_weights(folder / "models", make_weights(0), make_weights(1))
    assert main(["export", "--onnx", str(folder / "model.onnx"), "--models", str(folder / "models")]) == 0
    return folder / "models"


@pytest.fixture(scope="module")
def model(models: Path) -> Any:
    return app.Model(models.with_name("model.onnx"))


def noise(seconds: float, rate: int, seed: int = 0) -> Any:
    """Noise that swells, float32 (samples,)."""
    samples = round(seconds * rate)
    return (np.random.default_rng(seed).normal(size=samples) * np.linspace(0.01, 0.2, samples)).astype(np.float32)


def write_wav(path: Path, sound: Any, rate: int) -> Path:
    soundfile.write(path, sound, rate, subtype="FLOAT")
    return path


def recordings(folder: Path) -> list[Path]:
    """Of other rates and channels, of another codec, shorter than a window, and with a second of digital silence."""
    gap = np.concatenate([noise(0.6, 44_100), np.zeros(44_100, np.float32), noise(0.5, 44_100, 1)])
    return [
        write_wav(folder / "of_its_rate.wav", noise(2, RECIPE.rate), RECIPE.rate),
        write_wav(folder / "stereo.wav", np.stack([noise(1.3, 44_100), noise(1.3, 44_100, 1)], axis=1), 44_100),
        write_wav(folder / "short.wav", noise(0.1, 16_000), 16_000),
        write_wav(folder / "gap.wav", gap, 44_100),
        encode(folder / "phone.m4a", noise(1.5, 48_000), 48_000, "aac"),
        encode(folder / "browser.webm", noise(1.5, 48_000), 48_000, "libopus"),
    ]


def test_each_window_gets_the_answer_that_predict_gives(tmp_path: Path, models: Path, model: Any) -> None:
    classifier = audiocnn.load(models)
    silent = 0
    for path in [*recordings(tmp_path), *REAL]:
        found, expected = model.answers(app.decode(str(path))), list(classifier.windows(path))
        for ours, theirs in zip(found, expected, strict=True):
            assert (ours.start, ours.end) == pytest.approx((theirs.start, theirs.end))
            assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-4)
        assert app.mean(found) == pytest.approx(classifier.predict(path).probabilities, abs=1e-4)
        silent += sum(row.is_silent for row in expected)
    assert silent > 1  # the gap's


def test_the_table_has_a_row_a_window(model: Any) -> None:
    quiet = np.zeros(RECIPE.samples, np.float32)
    rows = app.table(model.answers(app.Sound(np.concatenate([noise(0.256, RECIPE.rate), quiet]), RECIPE.rate, "")))
    assert rows[0][0] == "0.00 to 0.26"
    assert rows[0][1] in model.classes
    assert re.fullmatch(r"[01]\.\d\d", rows[0][2])
    assert rows[1] == ["0.26 to 0.51", "(silent)", ""]


def test_a_name_is_text_in_the_page() -> None:
    assert app.as_text("dog 犬_1") == "dog 犬&#95;1"
    assert not set("<>[]()*`$\\!") & set(app.as_text("<b>[x](y)*`$\\(!"))


def test_digital_silence_is_of_no_class(tmp_path: Path, model: Any) -> None:
    silence = write_wav(tmp_path / "silence.wav", np.zeros(8000, np.float32), 8000)
    assert app.mean(model.answers(app.decode(str(silence)))) == {}


BROKEN = {
    "noise.mp3": bytes(range(256)) * 40,
    "empty.wav": b"",
    "text.wav": b"this is no sound\n" * 20,
    "playlist.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nsecret.wav\n#EXT-X-ENDLIST\n",
    "list.ffconcat": b"ffconcat version 1.0\nfile secret.wav\n",
    "billions.wav": b"RIFF$\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\xff\xff\xff\x7f\0\0\0\0\2\0\x10\0data\4\0\0\0\1\0\2\0",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_holds_no_sound_is_one_sentence_and_opens_no_other_file(tmp_path: Path, name: str) -> None:
    write_wav(tmp_path / "secret.wav", noise(1, 8000), 8000)
    (tmp_path / name).write_bytes(BROKEN[name])
    with pytest.raises(app.BadSoundError, match=r"^This file holds no sound that can be read here"):
        app.decode(str(tmp_path / name))


def test_samples_that_are_no_numbers_are_the_same_sentence(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "nan.wav", np.full(8000, np.nan, np.float32), 8000)
    with pytest.raises(app.BadSoundError, match=r"^This file holds no sound"):
        app.decode(str(path))


def test_a_recording_that_is_too_short_is_a_sentence(model: Any) -> None:
    with pytest.raises(app.BadSoundError, match="too short"):
        model.answers(app.Sound(noise(0.01, 8000), 8000, ""))


def test_of_a_damaged_file_what_decodes_is_heard_and_the_rest_is_said(tmp_path: Path, model: Any) -> None:
    path = encode(tmp_path / "whole.flac", noise(4, 16_000), 16_000, "flac")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    sound = app.decode(str(path))
    assert 1 < len(sound.samples) / sound.rate < 3
    assert model.answers(sound)
    assert re.fullmatch(r"This file is damaged: what follows \d\.\d s could not be read\.", sound.note)


def test_a_long_recording_is_heard_up_to_a_limit_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_wav(tmp_path / "long.wav", noise(5, 8000), 8000)
    monkeypatch.setattr(app, "MOST_SAMPLES", 16_000)
    sound = app.decode(str(path))
    assert 16_000 <= len(sound.samples) < 20_000
    assert sound.note == "This recording is long: its first 2 s were heard."
    assert app.decode(str(write_wav(tmp_path / "short.wav", noise(1, 8000), 8000))).note == ""


def test_it_needs_neither_audiocnn_nor_gradio_until_the_page_is_made() -> None:
    code = "import app, sys; print(sorted({'audiocnn', 'gradio', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PAGE, env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_it_is_tested_with_the_versions_that_it_asks_for() -> None:
    asked = set(re.findall(r"^[\w-]+==\S+", (PAGE / "requirements.txt").read_text(), flags=re.MULTILINE))
    assert len(asked) == 5
    ours = {line for line in asked if not line.startswith("gradio==")}
    assert ours <= set((ROOT / "constraints.txt").read_text().splitlines())


def foreign_model() -> bytes:
    """An ONNX file that anybody may have: it gives back its input."""
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "graph", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("content", [None, b"no model", foreign_model()], ids=["none", "garbage", "foreign"])
def test_without_a_model_of_ours_it_says_how_to_make_one(content: bytes | None, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_bytes((PAGE / "app.py").read_bytes())
    if content is not None:
        (tmp_path / "model.onnx").write_bytes(content)
    command = [sys.executable, "app.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "write it with 'audiocnn export --onnx" in done.stderr
    assert done.stderr.count("\n") == 1
