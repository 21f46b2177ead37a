"""`audiocnn features`: a folder of sound files becomes a dataset, in parallel, resumable, whole or not at all."""

import csv
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml

pytest.importorskip("soxr")
soundfile = pytest.importorskip("soundfile")

from audiocnn.config.data_params import DataParams  # noqa: E402
from audiocnn.data.fetch import fetch  # noqa: E402
from audiocnn.data.prepare import prepare  # noqa: E402
from audiocnn.sound.make_dataset import array_pickle  # noqa: E402  # after the skip
from audiocnn.sound.recipe import Recipe  # noqa: E402
from tests.support.hub_server import GOOD_TOKEN, FakeHub, Fault  # noqa: E402
from tests.support.paths import SHARED  # noqa: E402

RATE = 8000
OPTIONS = ("--rate", "8000", "--seconds", "1", "--n-fft", "512", "--hop-length", "128", "--n-mels", "64")
OUTS = {
    "features.pkl",
    "labels.pkl",
    "folds.pkl",
    "class_mapping.pkl",
    "recipe.json",
    "clips.csv",
    "leaks.json",
    "leaks.csv",
}
HERE_ALONE = "recordings.txt"
PICKLES = [name for name in OUTS if name.endswith(".pkl")]


def features(*arguments: str | Path, code: str = "") -> subprocess.Popen[str]:
    """Starts the command; `code` runs before it."""
    main = f"{code}\nimport sys; from audiocnn.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", main, "features", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(*arguments: str | Path, code: str = "") -> tuple[int | None, str, str]:
    process = features(*arguments, code=code)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def load(out: Path, name: str) -> Any:
    return pickle.loads((out / name).read_bytes())


def make_clips(folder: Path, count: int) -> Path:
    """Chirps named 0.wav, 1.wav, ... in three classes and two folds, in ESC-50's layout."""
    (folder / "audio").mkdir(parents=True)
    (folder / "meta").mkdir()
    lines = ["filename,fold,target,category"]
    for index in range(count):
        phase = 2 * np.pi * (200 + 9 * index) * (np.arange(RATE) / RATE) ** 2
        soundfile.write(folder / f"audio/{index}.wav", 0.5 * np.sin(phase), RATE)
        lines.append(f"{index}.wav,{index % 2 + 1},{index % 3 * 5},class {index % 3}")
    (folder / "meta/esc50.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_an_array_pickled_in_pieces_is_an_ordinary_pickle() -> None:
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4, 1)
    head, tail = array_pickle(array.shape, array.dtype)
    loaded = pickle.loads(head + array.tobytes() + tail)
    np.testing.assert_array_equal(loaded, array)
    assert (loaded.dtype, loaded.shape, loaded.flags.writeable) == (array.dtype, array.shape, True)


def test_a_folder_becomes_a_dataset_that_is_a_data_source(tmp_path: Path) -> None:
    returncode, out, err = run(make_clips(tmp_path / "audio", 12), tmp_path / "out", *OPTIONS, "--jobs", "1")
    assert (returncode, err) == (0, "")
    assert "labels are numbered anew, from 0 without gaps: 0 -> 0, 5 -> 1, 10 -> 2" in out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*OUTS, HERE_ALONE}

    assert load(tmp_path / "out", "features.pkl").shape == (12, 64, 63, 1)
    assert load(tmp_path / "out", "features.pkl").dtype == np.float32
    for name, expected in (("labels.pkl", [0, 1, 2] * 4), ("folds.pkl", [1, 2] * 6)):
        assert load(tmp_path / "out", name).dtype == np.int64
        assert load(tmp_path / "out", name).tolist() == expected
    assert load(tmp_path / "out", "class_mapping.pkl") == {0: "class 0", 1: "class 1", 2: "class 2"}
    recipe = Recipe.model_validate(json.loads((tmp_path / "out/recipe.json").read_text()))
    assert (recipe.rate, recipe.n_mels, set(recipe.libraries)) == (8000, 64, {"av", "numpy", "soxr"})

    record = fetch(DataParams(source=str(tmp_path / "out")), raw=tmp_path / "raw", staging=tmp_path / "staging")
    assert set(record.files) == OUTS - {"leaks.csv"}
    meta = prepare(tmp_path / "raw", tmp_path / "prepared", (0, 1))
    assert (meta.source, meta.clips, meta.mels, meta.frames, meta.folds) == ("folder", 12, 64, 63, [1, 2])
    assert meta.recipe == recipe.model_dump()
    stored = np.load(tmp_path / "prepared/features.npy")
    np.testing.assert_array_equal(stored, load(tmp_path / "out", "features.pkl")[..., 0])


def test_without_the_extra_one_sentence_says_what_to_install(tmp_path: Path) -> None:
    returncode, _, err = run(tmp_path, tmp_path / "out", code="import sys; sys.modules['soxr'] = None")
    assert (returncode, err.count("\n")) == (1, 1)
    assert "sound files need soxr: install them with \"pip install -c constraints.txt -e '.[audio]'\"" in err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    returncode, _, err = run(tmp_path / "nowhere", tmp_path / "out")
    assert (returncode, err.count("\n")) == (1, 1)
    assert "nowhere is not a folder" in err


@pytest.mark.slow
def test_bad_clips_are_listed_and_publish_nothing_until_they_are_mended_or_left_out(tmp_path: Path) -> None:
    audio = make_clips(tmp_path / "audio", 12)
    (audio / "audio/3.wav").write_bytes(b"")
    (audio / "audio/4.wav").write_text("text")
    soundfile.write(audio / "audio/6.wav", np.zeros(RATE), RATE)

    returncode, _, err = run(audio, tmp_path / "out", *OPTIONS)
    assert returncode == 1
    assert err.splitlines() == [
        "audio/3.wav: empty: 0 bytes",
        "audio/4.wav: unreadable: it is no sound, or of a format that is not known here "
        "(where ffmpeg knows it, 'ffmpeg -i FILE FILE.wav' converts it)",
        "audio/6.wav: silent: nothing but silence from 0 to 1 s",
        "error: 3 of 12 clips cannot be used (1 empty, 1 silent, 1 unreadable): fix or remove them, "
        "or leave them out with --skip-bad; the others are kept.",
    ]
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".features.partial"]

    (audio / "audio/5.wav").unlink()
    returncode, _, err = run(audio, tmp_path / "out", *OPTIONS)
    assert (returncode, err.count("\n")) == (1, 1)
    assert "error: 1 of 12 listed files are missing (5.wav): name the folder that holds them" in err

    returncode, _, err = run(audio, tmp_path / "out", *OPTIONS, "--skip-bad")
    assert (returncode, err.splitlines()[-1].endswith(": left out")) == (0, True)
    assert load(tmp_path / "out", "features.pkl").shape == (8, 64, 63, 1)
    with (tmp_path / "out/clips.csv").open() as file:
        assert [row["file"] for row in csv.DictReader(file)] == [
            f"audio/{index}.wav" for index in (0, 1, 2, *range(7, 12))
        ]

    for index in (3, 4, 5, 6):
        soundfile.write(audio / f"audio/{index}.wav", np.sin(np.arange(RATE) / index), RATE)
    assert run(audio, tmp_path / "out", *OPTIONS)[0] == 0
    assert load(tmp_path / "out", "features.pkl").shape == (12, 64, 63, 1)


@pytest.mark.slow
def test_a_class_whose_clips_are_all_bad_is_not_left_out_silently(tmp_path: Path) -> None:
    audio = make_clips(tmp_path / "audio", 6)
    for clip in (1, 4):
        (audio / f"audio/{clip}.wav").write_bytes(b"")
    returncode, _, err = run(audio, tmp_path / "out", *OPTIONS, "--skip-bad")
    assert returncode == 1
    assert "class class 1 has no clip that can be used" in err


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was_and_ends_in_the_same_bytes(tmp_path: Path) -> None:
    audio = make_clips(tmp_path / "audio", 600)
    assert run(audio, tmp_path / "whole", *OPTIONS, "--jobs", "3")[0] == 0

    process = features(audio, tmp_path / "out", *OPTIONS, "--jobs", "1")
    progress = tmp_path / "out/.features.partial/progress.jsonl"
    while not progress.exists() or progress.read_text().count("\n") <= 30:  # the first line is no clip
        assert process.poll() is None
        time.sleep(0.002)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert psutil.wait_procs(workers, timeout=30)[1] == []  # no process outlives the one it works for
    done = [json.loads(line)["row"] for line in progress.read_text().splitlines()[1:]]
    assert 30 <= len(done) < 600

    # What is done is not read again: nobody notices that these files hold other bytes now.
    for row in done:
        path = audio / f"audio/{row}.wav"
        status = path.stat()
        path.write_bytes(bytes(status.st_size))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert run(audio, tmp_path / "out", *OPTIONS, "--jobs", "2")[0] == 0
    for name in OUTS:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.mark.slow
def test_work_on_another_recipe_or_damaged_work_is_not_gone_on_with(tmp_path: Path) -> None:
    audio = make_clips(tmp_path / "audio", 12)
    good = (audio / "audio/3.wav").read_bytes()
    (audio / "audio/3.wav").write_bytes(b"")
    for out in ("other", "damaged"):
        assert run(audio, tmp_path / out, *OPTIONS)[0] == 1
    with (tmp_path / "damaged/.features.partial/features.raw").open("r+b") as raw:
        raw.write(b"\x00" * 999)
    (audio / "audio/3.wav").write_bytes(good)
    assert run(audio, tmp_path / "other", *OPTIONS[:-1], "32")[0] == 0
    assert load(tmp_path / "other", "features.pkl").shape == (12, 32, 63, 1)
    assert run(audio, tmp_path / "damaged", *OPTIONS)[0] == 0
    assert run(audio, tmp_path / "fresh", *OPTIONS)[0] == 0
    assert (tmp_path / "damaged/features.pkl").read_bytes() == (tmp_path / "fresh/features.pkl").read_bytes()


@pytest.mark.slow
def test_two_runs_into_one_folder_do_not_mix(tmp_path: Path) -> None:
    audio = make_clips(tmp_path / "audio", 200)
    first = features(audio, tmp_path / "out", *OPTIONS)
    while not (tmp_path / "out/.features.partial/progress.jsonl").exists():
        assert first.poll() is None
        time.sleep(0.002)
    first.send_signal(signal.SIGSTOP)  # or it may be through before the second has started
    try:
        returncode, _, err = run(audio, tmp_path / "out", *OPTIONS)
    finally:
        first.send_signal(signal.SIGCONT)
    assert returncode == 1
    assert "another process is making features in" in err
    first.communicate()
    assert first.returncode == 0


@pytest.mark.slow
def test_ctrl_c_stops_at_once_without_a_traceback(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "audiocnn.cli",
            "features",
            make_clips(tmp_path / "audio", 600),
            tmp_path / "out",
            *OPTIONS,
        ],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  # a runner may ignore it
    )
    progress = tmp_path / "out/.features.partial/progress.jsonl"
    while not progress.exists() or progress.read_text().count("\n") <= 30:  # the first line is no clip
        assert process.poll() is None
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")


SHORTER = """
from audiocnn.hub import client as hub_client
hub_client.REQUEST_TIMEOUT, hub_client.PATIENCE, hub_client.FIRST_WAIT = 0.5, 1.5, 0.1
"""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    with FakeHub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", GOOD_TOKEN)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        yield hub


@pytest.mark.slow
def test_push_uploads_everything_with_a_card_in_one_commit_and_can_be_tried_again(tmp_path: Path, hub: FakeHub) -> None:
    audio = make_clips(tmp_path / "audio", 12)
    push = (audio, tmp_path / "out", *OPTIONS, "--push", "hf://datasets/owner/chirps")
    hub.faults.append(Fault("status", path="/commit/", status=403))
    returncode, _, err = run(*push, code=SHORTER)
    assert (returncode, "cannot write to dataset owner/chirps" in err, err.count("Traceback")) == (1, True, 0)
    assert hub.datasets["owner/chirps"].files == {}

    hub.faults.clear()
    for clip in (audio / "audio").iterdir():  # not read again
        status = clip.stat()
        clip.write_bytes(bytes(status.st_size))
        os.utime(clip, ns=(status.st_atime_ns, status.st_mtime_ns))
    returncode, out, _ = run(*push, code=SHORTER)
    assert (returncode, "data.source=hf://datasets/owner/chirps" in out) == (0, True)
    repository = hub.datasets["owner/chirps"]
    assert repository.commits == [sorted({*OUTS, "README.md"})]
    for name in OUTS:
        assert repository.files[name] == (tmp_path / "out" / name).read_bytes()
    _, front_matter, text = repository.files["README.md"].decode().split("---\n", 2)
    assert yaml.safe_load(front_matter)["size_categories"] == ["n<1K"]
    assert "| 2 | class 2 | 2 | 2 |" in text
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*OUTS, HERE_ALONE}


def test_push_to_what_is_no_dataset_repository_is_refused_before_any_work(tmp_path: Path) -> None:
    audio = make_clips(tmp_path / "audio", 3)
    returncode, _, err = run(audio, tmp_path / "out", "--push", "owner/chirps")
    assert (returncode, "'owner/chirps', expected hf://datasets/OWNER/NAME." in err) == (1, True)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "audio/esc10").is_dir(), reason="the audio of ESC-10 is not here")
def test_esc10_comes_out_as_librosa_made_it(tmp_path: Path) -> None:
    returncode, out, _ = run(SHARED / "audio/esc10", tmp_path)
    assert (returncode, "layout      ESC-50\n" in out) == (0, True)
    with (tmp_path / "clips.csv").open() as file:
        rows = list(csv.DictReader(file))
    # The reference stands in the order of class, fold and file name, ours in the CSV's.
    order = sorted(range(400), key=lambda row: (int(rows[row]["label"]), int(rows[row]["fold"]), rows[row]["file"]))
    ours, reference = ({name: load(folder, name) for name in PICKLES} for folder in (tmp_path, SHARED / "data/esc10"))
    for name in ("labels.pkl", "folds.pkl"):
        np.testing.assert_array_equal(ours[name][order], reference[name])
    assert ours["class_mapping.pkl"] == reference["class_mapping.pkl"]
    assert np.abs(ours["features.pkl"][order] - reference["features.pkl"]).max() < 0.01  # dB
