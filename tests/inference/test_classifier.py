"""The Python interface: a file, samples and a stream of blocks get the answers that the command gives."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

import audiocnn
from audiocnn.inference.answer import Answer
from audiocnn.inference.classifier import Classifier
from audiocnn.model.network import AudioCNN
from tests.support.modules import load_module
from tests.support.paths import ROOT
from tests.support.prepared import CLASSES
from tests.support.weights import FRAMES, MELS, RECIPE, make_header, make_weights, write_weights

RATE, SECONDS = RECIPE.rate, RECIPE.seconds


def noise(windows: float, seed: int = 0) -> NDArray[np.float32]:
    samples = np.random.default_rng(seed).normal(size=round(windows * SECONDS * RATE))
    return (0.1 * np.cumsum(samples)).clip(-1, 1).astype(np.float32)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_weights(tmp_path / "models", make_weights(1), make_weights(2, make_header(fold=1, dataset_fold=2)))
    return tmp_path / "models"


@pytest.fixture
def classifier(models: Path) -> Classifier:
    return audiocnn.load(models)


def assert_same(answers: list[Answer], expected: list[Answer]) -> None:
    assert [(answer.start, answer.end) for answer in answers] == [(other.start, other.end) for other in expected]
    for answer, other in zip(answers, expected, strict=True):
        assert answer.probabilities == pytest.approx(other.probabilities, abs=1e-5)


def test_a_file_samples_and_a_stream_of_blocks_get_the_same_answers(classifier: Classifier, tmp_path: Path) -> None:
    sound = noise(3.5)
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    expected = list(classifier.windows(tmp_path / "a.wav"))
    assert [answer.start for answer in expected] == pytest.approx([0, SECONDS, 2 * SECONDS, 2.5 * SECONDS])
    assert list(expected[0].probabilities) == classifier.classes == list(CLASSES)
    assert_same(list(classifier.windows(sound, RATE)), expected)
    assert_same(list(classifier.windows(torch.from_numpy(sound), RATE)), expected)
    assert_same(list(classifier.windows(np.stack([sound, sound]), RATE)), expected)
    stream = classifier.stream(RATE)
    blocks = [sound[start : start + 777] for start in range(0, len(sound), 777)]
    streamed = [answer for block in blocks for answer in stream.feed(block)]
    assert len(streamed) == 3  # each as soon as its window is full
    assert_same(streamed + stream.finish(), expected)


def test_integers_are_scaled_and_a_recordings_answer_is_the_mean_over_its_windows(classifier: Classifier) -> None:
    sound = noise(2)
    whole = classifier.predict(sound, RATE)
    windows = list(classifier.windows(sound, RATE))
    for name in classifier.classes:
        assert whole.probabilities[name] == pytest.approx(np.mean([answer.probabilities[name] for answer in windows]))
    assert whole.class_name == max(whole.probabilities, key=lambda name: whole.probabilities[name])
    assert (whole.start, whole.end, whole.is_silent) == (0.0, 2 * SECONDS, False)
    integers = classifier.predict((sound * 32767).astype(np.int16), RATE)
    assert integers.probabilities == pytest.approx(whole.probabilities, abs=1e-2)
    first, second = classifier.predict_all([sound, noise(2, seed=1)], RATE)
    assert first == whole
    assert second != whole


def test_one_folds_network_or_all_of_them_answer(models: Path) -> None:
    sound = noise(1)
    both, first, second = (audiocnn.load(models, fold=fold).predict(sound, RATE) for fold in (None, 0, 1))
    for name in both.probabilities:
        mean = (first.probabilities[name] + second.probabilities[name]) / 2
        assert both.probabilities[name] == pytest.approx(mean, abs=1e-5)


def test_silence_is_of_no_class(classifier: Classifier) -> None:
    answer = classifier.predict(np.zeros(round(SECONDS * RATE), np.float32), RATE)
    assert (answer.is_silent, answer.class_name, answer.probability, answer.probabilities) == (True, None, None, {})


@pytest.mark.parametrize(
    ("sound", "rate", "sentence"),
    [
        (np.zeros((1000, 2), np.float32), RATE, r"the sound's shape is \(1000, 2\), expected \(samples,\) or"),
        (np.zeros((1, 1, 9), np.float32), RATE, r"the sound's shape is \(1, 1, 9\)"),
        (np.zeros(1000, np.uint8), RATE, "the sound's type is uint8, expected floats of full scale 1, int16 or int32"),
        (np.zeros(1000, np.complex64), RATE, "the sound's type is complex64"),
        (np.zeros(1000, np.float32), None, "rate is None, expected the samples a second"),
        (np.zeros(1000, np.float32), 0, "rate is 0"),
        (np.zeros(0, np.float32), RATE, "empty: no samples"),
        (np.zeros(9, np.float32), RATE, "too short: 9 samples"),
        (np.full(4000, np.nan, np.float32), RATE, "non-finite: NaN or infinite samples"),
        ("gone.wav", None, "gone.wav: missing: no such file"),
    ],
)
def test_what_cannot_be_used_is_a_sentence(classifier: Classifier, sound: Any, rate: Any, sentence: str) -> None:
    with pytest.raises(audiocnn.UserError, match=sentence):
        classifier.predict(sound, rate)


@pytest.mark.parametrize("shape", [(1, MELS + 1, FRAMES), (1, MELS, FRAMES + 1), (MELS, FRAMES), (1, 1, MELS, FRAMES)])
def test_a_spectrogram_of_another_shape_is_a_sentence(models: Path, shape: tuple[int, ...]) -> None:
    network = AudioCNN.from_pretrained(models)
    with pytest.raises(audiocnn.UserError, match="expected"):
        network(torch.zeros(shape))


def test_weights_without_a_recipe_are_refused(tmp_path: Path) -> None:
    write_weights(tmp_path / "models", make_weights(header=make_header(recipe=None)))
    with pytest.raises(audiocnn.UserError, match="holds no recipe"):
        audiocnn.load(tmp_path / "models")


def test_the_microphone_example_says_a_line_a_window(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = load_module(ROOT / "examples/microphone.py")
    sound = noise(example.RATE / RATE * 10)  # ten windows at the microphone's rate
    monkeypatch.chdir(models.parent)
    monkeypatch.setattr(example, "blocks", lambda: np.array_split(sound, 30))
    example.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + int((len(sound) / example.RATE - SECONDS) / 1.0)
    assert lines[0].startswith("   0.0 to    0.3 s  ")
    assert lines[0].split()[4] in {word for name in CLASSES for word in name.split()}
