"""The built-in demo: a sound dataset, honestly made, the same on every machine."""

import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audiocnn.data.demo import Clip, demo_clips, mixture, spectrogram, to_16_bits, write_demo
from audiocnn.data.demo_sounds import SOUNDS
from audiocnn.data.prepare import prepare
from audiocnn.files import sha256_of_file
from audiocnn.sound.recipe import Recipe
from tests.support.processes import environment

CLIPS = list(demo_clips())
NAMES = {"features.pkl", "labels.pkl", "folds.pkl", "class_mapping.pkl", "recipe.json"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder)
    return folder


def load(demo: Path, name: str) -> Any:
    return pickle.loads((demo / f"{name}.pkl").read_bytes())


def test_the_files_are_a_dataset_of_the_published_shape(demo: Path) -> None:
    recipe = Recipe.model_validate_json((demo / "recipe.json").read_text())
    features = load(demo, "features")
    assert {file.name for file in demo.iterdir()} == NAMES
    assert features.shape == (400, *recipe.shape, 1)
    assert features.dtype == np.float32
    assert [(load(demo, name).shape, load(demo, name).dtype) for name in ("labels", "folds")] == [
        ((400,), np.int64)
    ] * 2
    assert load(demo, "class_mapping") == dict(enumerate(SOUNDS))
    assert features.max(axis=(1, 2)).tolist() == [[0.0]] * 400
    assert features.min() >= -80.0


def test_every_fold_holds_every_kind_equally(demo: Path) -> None:
    pairs = zip(load(demo, "folds").tolist(), load(demo, "labels").tolist(), strict=True)
    assert sorted(pairs) == [(fold, label) for fold in range(1, 11) for label in range(10) for _ in range(4)]


def test_no_recording_is_in_two_folds(demo: Path) -> None:
    assert load(demo, "folds").tolist() == [clip.fold for clip in CLIPS]
    assert load(demo, "labels").tolist() == [clip.label for clip in CLIPS]
    owners = {(clip.recording, clip.fold, clip.label) for clip in CLIPS}
    assert len(owners) == len({clip.recording for clip in CLIPS}) == 200


def test_prepare_accepts_it(demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = shutil.copytree(demo, tmp_path / "raw")
    (raw / "source.json").write_text('{"kind": "demo", "files": {}}')
    meta = prepare(raw, tmp_path / "prepared", range(10))
    assert (meta.source, meta.clips, meta.folds, meta.classes) == ("demo", 400, list(range(1, 11)), list(SOUNDS))
    assert "jackhammer" in capsys.readouterr().out


def test_no_two_clips_are_alike(demo: Path) -> None:
    flat = load(demo, "features").reshape(400, -1).astype(np.float64)
    squares = (flat**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * flat @ flat.T, 0.0) / flat.shape[1])
    assert distances[~np.eye(400, dtype=bool)].min() > 1.0  # dB, root mean square


def test_the_bytes_are_the_same_with_other_threads_hash_seed_and_processor_features(demo: Path, tmp_path: Path) -> None:
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    other = {
        "PYTHONHASHSEED": "7",
        "OMP_NUM_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "2",
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": " ".join(found),
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX512F",
    }
    code = "import sys, pathlib, audiocnn.data.demo as demo; demo.write_demo(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, tmp_path], env=environment(**other), check=True)
    assert {name: sha256_of_file(tmp_path / name) for name in NAMES} == {
        name: sha256_of_file(demo / name) for name in NAMES
    }


def test_no_value_lies_where_another_processors_last_bits_would_round_it_otherwise() -> None:
    """With SIMD off, waveforms differ by up to 6e-9 of a 16-bit step and spectrograms by up to 4e-13 dB."""
    waves = [mixture(clip) for clip in CLIPS]
    assert min(map(distance_to_an_edge, waves)) > 1e-7
    assert min(distance_to_an_edge(100 * spectrogram(to_16_bits(wave))) / 100 for wave in waves) > 1e-9


def distance_to_an_edge(values: NDArray[np.floating[Any]]) -> float:
    """How far the nearest value is from the middle between two whole numbers, where rounding turns."""
    return float(np.abs(values - np.floor(values) - 0.5).min())


@pytest.mark.parametrize("clip", [clip for clip in CLIPS if clip.fold == 1 and clip.take == 0][::2], ids=str)
def test_spectrograms_are_librosas_by_the_recipe(demo: Path, clip: Clip) -> None:
    librosa = pytest.importorskip("librosa")
    recipe = Recipe.model_validate_json((demo / "recipe.json").read_text())
    mel = librosa.feature.melspectrogram(
        y=to_16_bits(mixture(clip)) / 32768.0,
        sr=recipe.rate,
        n_fft=recipe.n_fft,
        hop_length=recipe.hop_length,
        n_mels=recipe.n_mels,
        fmin=recipe.fmin,
        fmax=recipe.fmax,
    )
    theirs = librosa.power_to_db(mel[:, : recipe.frames], ref=np.max, top_db=recipe.top_db)
    ours = load(demo, "features")[CLIPS.index(clip), :, :, 0]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=0.005 + 1e-4)  # half of the rounding, and float32
