"""`audiocnn predict`: from sound files and spectrograms to classes, and a sentence for whatever cannot be used."""

import csv
import io
import json
import os
import pickle
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

import audiocnn
from audiocnn.cli.main import main
from audiocnn.model.network import AudioCNN
from audiocnn.sound.spectrogram import clip_spectrogram
from audiocnn.training.loop import train_fold
from tests.support.prepared import CLASSES, write_prepared
from tests.support.processes import environment
from tests.support.training import Watcher, make_job, result_bytes
from tests.support.weights import FRAMES, MELS, RECIPE, make_header, make_weights, without_header, write_weights

SECONDS = RECIPE.seconds
Predict = Callable[..., tuple[int, str, str]]
Objects = list[dict[str, Any]]


@pytest.fixture
def predict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Predict:
    """Runs the command in tmp_path, where models/ has two folds; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUDIOCNN_DEBUG", raising=False)
    write_weights(tmp_path / "models", make_weights(1), make_weights(2, make_header(fold=1, dataset_fold=2)))

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main(["predict", *map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def noise(seconds: float = SECONDS, seed: int = 0, rate: int = RECIPE.rate, channels: int = 1) -> NDArray[np.float32]:
    """(samples, channels) float32, louder at one end of the spectrum than at the other."""
    sound = np.random.default_rng(seed).normal(size=(round(seconds * rate), channels))
    return (0.1 * np.cumsum(sound, axis=0) / (1 + seed)).clip(-1, 1).astype(np.float32)


def write_noise(path: Path, seconds: float = SECONDS, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise(seconds, seed), RECIPE.rate)
    return path


def objects(output: str) -> Objects:
    return [json.loads(line) for line in output.splitlines()]


def expected_probabilities(models: Path, spectrogram: NDArray[np.float32], folds: tuple[int, ...]) -> NDArray[Any]:
    networks = [AudioCNN.from_pretrained(models, fold=fold) for fold in folds]
    with torch.inference_mode():
        batch = torch.from_numpy(spectrogram[None])
        votes = [torch.softmax(network(batch)[0].double(), dim=0).numpy() for network in networks]
    return np.asarray(np.mean(votes, axis=0))


@pytest.mark.parametrize(("option", "folds"), [([], (0, 1)), (["--fold", 0], (0,)), (["--fold", 1], (1,))])
def test_json_is_the_mean_probability_of_all_folds_or_of_one(
    predict: Predict, tmp_path: Path, option: list[object], folds: tuple[int, ...]
) -> None:
    path = write_noise(tmp_path / "clip.wav")
    code, out, err = predict("clip.wav", "--json", *option)
    assert (code, err) == (0, "")
    (line,) = objects(out)
    expected = expected_probabilities(tmp_path / "models", clip_spectrogram(path, RECIPE), folds)
    assert line == {
        "file": "clip.wav",
        "start": 0.0,
        "end": SECONDS,
        "silent": False,
        "class": CLASSES[int(expected.argmax())],
        "index": int(expected.argmax()),
        "probability": pytest.approx(expected.max(), abs=2e-6),
        "probabilities": {name: pytest.approx(value, abs=2e-6) for name, value in zip(CLASSES, expected, strict=True)},
    }
    assert sum(line["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_the_networks_of_several_runs_vote_together(predict: Predict, tmp_path: Path) -> None:
    path = write_noise(tmp_path / "clip.wav")
    write_weights(tmp_path / "again", make_weights(3), make_weights(4, make_header(fold=1, dataset_fold=2)))
    _, out, _ = predict("clip.wav", "--json", "--models", "models", "--models", "again")
    runs = [
        expected_probabilities(tmp_path / run, clip_spectrogram(path, RECIPE), (0, 1)) for run in ("models", "again")
    ]
    (line,) = objects(out)
    assert [line["probabilities"][name] for name in CLASSES] == pytest.approx(np.mean(runs, axis=0), abs=2e-6)
    answer = audiocnn.load([tmp_path / "models", tmp_path / "again"]).predict(path)
    assert list(answer.probabilities.values()) == pytest.approx(np.mean(runs, axis=0), abs=2e-6)


def test_a_training_clip_gets_the_class_that_training_saw(predict: Predict, tmp_path: Path) -> None:
    prepared, root = tmp_path / "prepared", tmp_path / "checkpoints"
    write_prepared(prepared)
    job = make_job(prepared, root)
    train_fold(job, Watcher())
    finished = result_bytes(job.folder)
    write_weights(tmp_path / "trained", finished["model_fold_0_best.safetensors"])
    held_out = json.loads(finished["fold_0.json"])["held_out"]
    features = np.load(prepared / "features.npy")
    np.save(tmp_path / "held_out.npy", features[held_out["rows"]])
    _, out, _ = predict("held_out.npy", "--models", "trained", "--json")
    logits = np.array(held_out["logits"])
    assert [line["index"] for line in objects(out)] == logits.argmax(axis=1).tolist()
    expected = torch.from_numpy(logits).softmax(dim=1).max(dim=1).values.tolist()
    assert [line["probability"] for line in objects(out)] == pytest.approx(expected, abs=2e-6)


def test_a_long_recording_is_answered_window_by_window(predict: Predict, tmp_path: Path) -> None:
    sound = noise(4.5 * SECONDS)
    soundfile.write(tmp_path / "long.wav", sound, RECIPE.rate)
    lines = objects(predict("long.wav", "--json")[1])
    starts = [0.0, SECONDS, 2 * SECONDS, 3 * SECONDS, 3.5 * SECONDS]
    assert [line["start"] for line in lines] == pytest.approx(starts)
    assert [line["end"] for line in lines] == pytest.approx([start + SECONDS for start in starts])
    lines = objects(predict("long.wav", "--json", "--hop", SECONDS / 2)[1])
    assert [line["start"] for line in lines] == pytest.approx([SECONDS / 2 * index for index in range(8)])


@pytest.mark.parametrize("hop", ["0", "-1", "0.001", "nan", "inf"])
def test_a_hop_that_gets_nowhere_is_refused(predict: Predict, tmp_path: Path, hop: str) -> None:
    write_noise(tmp_path / "clip.wav")
    code, out, err = predict("clip.wav", f"--hop={hop}")
    assert (code, out) == (1, "")
    assert "expected at least 0.016" in err


def test_csv_has_a_row_for_each_of_the_top_classes(predict: Predict, tmp_path: Path) -> None:
    write_noise(tmp_path / "a, b.wav")
    _, out, _ = predict("a, b.wav", "--csv", "--top", 2)
    rows = list(csv.DictReader(io.StringIO(out)))
    (line,) = objects(predict("a, b.wav", "--json")[1])
    best, second = sorted(line["probabilities"].items(), key=lambda pair: -pair[1])[:2]
    assert [(row["file"], row["rank"], row["class"], float(row["probability"])) for row in rows] == [
        ("a, b.wav", "1", *best),
        ("a, b.wav", "2", *second),
    ]
    assert objects(predict("a, b.wav", "--json", "--top", 2)[1])[0]["probabilities"] == dict([best, second])


def test_the_table_is_aligned_and_obeys_no_file_name(predict: Predict, tmp_path: Path) -> None:
    evil = write_noise(tmp_path / "\x1b[2Jevil\n.wav")
    write_noise(tmp_path / "clip.wav", 10 * SECONDS)
    _, out, _ = predict("clip.wav", evil.name, "--top", 3)
    assert "\x1b" not in out
    lines = out.splitlines()
    assert len(lines) == 12
    assert len(set(map(len, lines))) == 1
    assert lines[-1].startswith(r"\x1b[2Jevil\n.wav")


def test_folders_and_lists_are_taken_in_order(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("folder/b/2.FLAC", "folder/b/1.wav", "folder/a.ogg", "folder/c.mp3", "other.wav"):
        write_noise(tmp_path / name)
    (tmp_path / "folder/readme.txt").write_text("not a sound")
    _, out, _ = predict("folder", "--json")
    files = ["folder/a.ogg", "folder/b/1.wav", "folder/b/2.FLAC", "folder/c.mp3"]
    assert [line["file"] for line in objects(out)] == files
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"other.wav\n\nfolder/a.ogg\n")))
    _, out, _ = predict("-", "--json")
    assert [line["file"] for line in objects(out)] == ["other.wav", "folder/a.ogg"]


def test_a_files_answer_does_not_depend_on_its_neighbours(predict: Predict, tmp_path: Path) -> None:
    for index in range(70):
        write_noise(tmp_path / f"many/{index:02}.wav", seed=index)
    together = objects(predict("many", "--json")[1])
    for line in together[::23]:
        (alone,) = objects(predict(line["file"], "--json")[1])
        assert alone.pop("probabilities") == pytest.approx(line["probabilities"], abs=2e-6)
        assert (alone["file"], alone["class"], alone["index"]) == (line["file"], line["class"], line["index"])


def test_spectrograms_are_taken_as_they_are(predict: Predict, tmp_path: Path) -> None:
    stack = np.random.default_rng(0).normal(-40, 10, size=(3, MELS, FRAMES))
    np.save(tmp_path / "one.npy", stack[1].astype(np.float32))
    np.save(tmp_path / "stack.npy", stack)
    _, out, _ = predict("one.npy", "stack.npy", "--json")
    one, *rows = objects(out)
    assert (one["file"], one["start"], one["end"]) == ("one.npy", None, None)
    assert [row["file"] for row in rows] == ["stack.npy[0]", "stack.npy[1]", "stack.npy[2]"]
    assert rows[1]["probabilities"] == pytest.approx(one["probabilities"])
    assert predict("one.npy")[1].splitlines()[1].split()[1:3] == ["-", "-"]


def test_spectrograms_need_no_library_for_sound(predict: Predict, tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.eye(MELS, FRAMES, dtype=np.float32))
    script = (
        "import sys; sys.modules.update(dict.fromkeys(['av', 'soxr']))\n"
        "from audiocnn.cli.main import main; sys.exit(main(['predict', 'one.npy', '--csv']))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment(), capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"file,start,end,rank,class,index,probability\none.npy,,,1,")


class Payload:
    """A pickle that would make a file, were it opened."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("code was run",)


def write_bad_spectrograms(folder: Path) -> dict[str, str]:
    """Writes .npy files that cannot be used; returns what must be said of each."""
    np.save(folder / "integers.npy", np.zeros((MELS, FRAMES), np.int64))
    np.save(folder / "mels.npy", np.zeros((MELS + 1, FRAMES), np.float32))
    np.save(folder / "axes.npy", np.zeros((1, MELS, FRAMES, 1), np.float32))
    np.save(folder / "nan.npy", np.full((MELS, FRAMES), np.nan, np.float32))
    np.save(folder / "huge.npy", np.full((MELS, FRAMES), 1e300))
    np.save(folder / "objects.npy", np.array([Payload()], dtype=object), allow_pickle=True)
    (folder / "pickle.npy").write_bytes(pickle.dumps(Payload()))
    (folder / "empty.npy").write_bytes(b"")
    np.save(folder / "claims.npy", np.zeros((1, MELS, FRAMES), np.float32))
    claim = (folder / "claims.npy").read_bytes().replace(b"(1, ", b"(9, ")
    (folder / "claims.npy").write_bytes(claim)
    for name, header in HEADERS.items():
        (folder / name).write_bytes(
            b"\x93NUMPY\2\0" + struct.pack("<I", len(header)) + header + bytes(4 * MELS * FRAMES)
        )
    os.mkfifo(folder / "pipe.npy")
    return {
        **dict.fromkeys(HEADERS, "unreadable"),
        "pipe.npy": "unreadable: it is no regular file",
        "integers.npy": "unreadable: it is int64 (8, 16), expected float",
        "mels.npy": "unreadable: its shape is (9, 16), expected (8, 16)",
        "axes.npy": "unreadable: it is float32 (1, 8, 16, 1), expected float",
        "nan.npy": "non-finite",
        "huge.npy": "non-finite",
        "objects.npy": "unreadable",
        "pickle.npy": "unreadable",
        "empty.npy": "unreadable",
        "claims.npy": "unreadable",
    }


# What numpy raises TokenError, RecursionError, MemoryError or nothing for, where it parses the header.
HEADERS = {
    "token.npy": b"{'descr': '<f4', 'shape': (8, 16L), \"\"\"",
    "brackets.npy": b"[" * 3000,
    "minus.npy": b"-" * 3500 + b"1",
    "deep.npy": b"{" + b"'a':{" * 900,
    "digits.npy": b"{'descr': '<f4', 'fortran_order': False, 'shape': (%s, 16), }" % (b"9" * 90),
    "overflow.npy": b"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
    "type.npy": b"{'descr': '<f7', 'fortran_order': False, 'shape': (8, 16), }",
    "long.npy": b" " * 60_000,
}


def write_bad_sounds(folder: Path) -> dict[str, str]:
    """Writes sound files that cannot be used; returns what must be said of each."""
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("this is no sound at all\n" * 50)
    soundfile.write(folder / "one sample.wav", np.ones(1, np.float32), RECIPE.rate)
    soundfile.write(folder / "nan.wav", np.full(5000, np.nan, np.float32), RECIPE.rate, subtype="FLOAT")
    eight_hours = 8 * 3600 * RECIPE.rate * 2
    soundfile.write(folder / "claims.wav", np.zeros(1, np.float32), RECIPE.rate)
    wav = bytearray((folder / "claims.wav").read_bytes()[:44])
    wav[40:44] = eight_hours.to_bytes(4, "little")
    (folder / "claims.wav").write_bytes(wav)
    return {
        "empty.wav": "empty: 0 bytes",
        "text.wav": "unreadable",
        "one sample.wav": "too short: 1 samples",
        "nan.wav": "non-finite",
        "claims.wav": "empty: no samples",
        "gone.wav": "missing: no such file",
    }


@pytest.mark.parametrize("write_bad", [write_bad_sounds, write_bad_spectrograms])
def test_bad_files_are_reported_and_the_others_go_on(
    predict: Predict, tmp_path: Path, write_bad: Callable[[Path], dict[str, str]]
) -> None:
    problems = write_bad(tmp_path)
    write_noise(tmp_path / "first.wav")
    write_noise(tmp_path / "last.wav")
    code, out, err = predict("first.wav", *problems, "last.wav", "--json")
    assert code == 1
    assert [line["file"] for line in objects(out)] == ["first.wav", "last.wav"]
    said = err.splitlines()
    assert len(said) == len(problems)
    for line, (name, problem) in zip(said, problems.items(), strict=True):
        assert line.startswith(f"error: {name}: {problem}")
    assert not (tmp_path / "code was run").exists()


def test_sounds_of_any_form_are_one_sound(predict: Predict, tmp_path: Path) -> None:
    sound = np.sin(2 * np.pi * 440 * np.arange(round(192_000 * SECONDS)) / 192_000, dtype=np.float32)[:, None] / 2
    soundfile.write(tmp_path / "plain.wav", sound[::24], RECIPE.rate, subtype="FLOAT")
    soundfile.write(tmp_path / "24 bit.wav", sound[::24], RECIPE.rate, subtype="PCM_24")
    soundfile.write(tmp_path / "192 kHz.wav", sound, 192_000)
    soundfile.write(tmp_path / "6 channels.wav", np.repeat(sound[::24], 6, axis=1), RECIPE.rate, subtype="FLOAT")
    _, out, err = predict("plain.wav", "24 bit.wav", "192 kHz.wav", "6 channels.wav", "--json")
    plain, deep, fast, wide = (line["probabilities"] for line in objects(out))
    assert err == ""
    assert deep == pytest.approx(plain, abs=0.01)
    assert fast == pytest.approx(plain, abs=0.05)
    assert wide == pytest.approx(plain, abs=1e-5)


def test_without_a_recipe_a_sound_gets_a_sentence_and_a_spectrogram_an_answer(predict: Predict, tmp_path: Path) -> None:
    write_weights(tmp_path / "plain", without_header(make_weights()))
    write_weights(tmp_path / "other", make_weights(header=make_header(recipe=None)))
    write_noise(tmp_path / "clip.wav")
    np.save(tmp_path / "one.npy", np.eye(MELS, 3 * FRAMES, dtype=np.float32))
    np.save(tmp_path / "short.npy", np.zeros((MELS, FRAMES - 1), np.float32))
    for models in ("plain", "other"):
        code, _, err = predict("clip.wav", "--models", models)
        assert code == 1
        assert f"clip.wav is taken for a sound, and the weights in {models} hold no recipe" in err
    code, out, err = predict("one.npy", "--models", "plain", "--json")
    assert (code, err) == (0, "these weights have no header: classes are shown by their number\n")
    assert set(objects(out)[0]["probabilities"]) == {"0", "1", "2"}
    assert "expected 8 mels and at least 16 frames" in predict("short.npy", "--models", "plain")[2]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"classes": ["dog bark", "siren", "engine, idling"]}, "classes"),
        ({"recipe": {**RECIPE.model_dump(), "fmax": 3000.0}}, "recipe"),
    ],
)
def test_weights_that_answer_different_questions_do_not_vote_together(
    predict: Predict, tmp_path: Path, change: dict[str, Any], name: str
) -> None:
    write_weights(tmp_path / "mixed", make_weights(), make_weights(header=make_header(**change)))
    write_noise(tmp_path / "clip.wav")
    code, _, err = predict("clip.wav", "--models", "mixed")
    assert code == 1
    assert f"model_fold_1_best.safetensors differ in {name}" in err
    assert predict("clip.wav", "--models", "mixed", "--fold", 1)[0] == 0


def test_weights_of_the_demo_say_so_once(predict: Predict, tmp_path: Path) -> None:
    write_weights(tmp_path / "demo", *(make_weights(header=make_header(source="demo")) for _ in range(3)))
    write_noise(tmp_path / "clip.wav")
    code, _, err = predict("clip.wav", "clip.wav", "--models", "demo")
    assert code == 0
    assert err == "these weights are of the demo (synthetic sounds): for real ones, train on real ones\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["clip.wav", "--models", "modles"], "--models modles is not here"),
        (["clip.wav", "--models", "owner/net"], "--models owner/net is not here"),
        (["clip.wav", "--models", "."], "holds no model_fold_0_best.safetensors"),
        (["clip.wav", "--fold", "2"], "models has no fold 2: it has 0, 1."),
        (["clip.wav", "--top", "0"], "--top is 0, expected at least 1."),
        (["empty"], "empty: no files, expected spectrograms (.npy) or sounds (.3gp, "),
    ],
)
def test_mistakes_get_a_sentence(predict: Predict, tmp_path: Path, arguments: list[str], sentence: str) -> None:
    write_noise(tmp_path / "clip.wav")
    (tmp_path / "empty").mkdir()
    code, out, err = predict(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert sentence in err
    assert err.count("\n") == 1


def test_a_reader_that_goes_away_ends_it_without_a_word(predict: Predict, tmp_path: Path) -> None:
    write_noise(tmp_path / "long.wav", 3000 * SECONDS)
    command = [sys.executable, "-m", "audiocnn.cli", "predict", "long.wav", "--json"]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), **pipe) as process:  # type: ignore[call-overload]
        assert process.stdout.readline().startswith(b'{"file": "long.wav", "start": 0.0')
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 128 + signal.SIGPIPE


def test_a_damaged_recording_is_answered_with_a_note_and_no_word_of_the_decoder(
    predict: Predict, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "damaged.mp3", noise(20 * SECONDS), RECIPE.rate)
    content = bytearray((tmp_path / "damaged.mp3").read_bytes())
    places = np.random.default_rng(1).integers(500, len(content), len(content) // 8)
    for place in places:
        content[place] ^= 0xA5
    (tmp_path / "damaged.mp3").write_bytes(content)
    command = [sys.executable, "-m", "audiocnn.cli", "predict", "damaged.mp3", "gone.wav", "--csv"]
    done = [subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True) for _ in range(2)]
    assert done[0].stdout == done[1].stdout
    assert done[0].stdout.count("damaged.mp3,") > 1
    note, error = done[0].stderr.splitlines()
    assert note.startswith("note: damaged.mp3: damaged: ")
    assert error == "error: gone.wav: missing: no such file"


def test_silence_is_marked_in_each_form_and_counts_in_no_mean(predict: Predict, tmp_path: Path) -> None:
    sound = np.concatenate([noise(), np.zeros((round(SECONDS * RECIPE.rate), 1), np.float32), noise(seed=1)])
    soundfile.write(tmp_path / "a.wav", sound, RECIPE.rate)
    first, silent, last = objects(predict("a.wav", "--json")[1])
    assert (silent["silent"], silent["class"], silent["index"], silent["probability"]) == (True, None, None, None)
    assert silent["probabilities"] == {}
    assert (first["silent"], last["silent"]) == (False, False)
    assert predict("a.wav", "--csv")[1].splitlines()[2] == f"a.wav,{SECONDS},{2 * SECONDS},,silent,,"
    assert predict("a.wav")[1].splitlines()[2].split()[3:] == ["silent", "-"]
    ways: dict[str, Callable[[float, float], float]] = {"mean": lambda a, b: (a + b) / 2, "max": max}
    for way, join in ways.items():
        (whole,) = objects(predict("a.wav", "--json", "--over-windows", way)[1])
        assert (whole["start"], whole["end"]) == (0.0, 3 * SECONDS)
        expected = {name: join(first["probabilities"][name], last["probabilities"][name]) for name in CLASSES}
        assert whole["probabilities"] == pytest.approx(expected, abs=2e-6)


def test_a_folder_says_what_it_leaves_out(predict: Predict, tmp_path: Path) -> None:
    write_noise(tmp_path / "folder/a.wav")
    for name in ("notes.txt", "b/more.txt", "README"):
        (tmp_path / "folder" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "folder" / name).write_text("not a sound")
    code, _, err = predict("folder")
    assert (code, err) == (0, "folder: left out 2 .txt, 1 without suffix\n")


def test_a_pipe_is_answered_window_by_window_while_it_is_written(predict: Predict, tmp_path: Path) -> None:
    """The second half is written only after the answer to the first has come."""
    write_noise(tmp_path / "a.wav", 120 * SECONDS)  # FFmpeg looks at some 64 kB before it decodes
    content = (tmp_path / "a.wav").read_bytes()
    os.mkfifo(tmp_path / "pipe")
    command = [sys.executable, "-m", "audiocnn.cli", "predict", "pipe", "--json"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        with (tmp_path / "pipe").open("wb") as pipe:
            pipe.write(content[: len(content) // 2])
            pipe.flush()
            assert process.stdout is not None
            first = json.loads(process.stdout.readline())
            pipe.write(content[len(content) // 2 :])
        others = objects(process.stdout.read())
        assert process.wait(60) == 0
    from_file = objects(predict("a.wav", "--json")[1])
    assert [line["start"] for line in [first, *others]] == [line["start"] for line in from_file]
    assert first["probabilities"] == pytest.approx(from_file[0]["probabilities"], abs=2e-6)


def test_a_pipe_in_a_folder_is_left_out_and_one_in_the_place_of_weights_is_a_sentence(
    predict: Predict, tmp_path: Path
) -> None:
    write_noise(tmp_path / "folder/a.wav")
    (tmp_path / "weights").mkdir()
    for pipe in ("folder/b.wav", "folder/c.npy", "weights/model_fold_0_best.safetensors"):
        os.mkfifo(tmp_path / pipe)
    code, out, err = predict("folder", "--json")
    assert (code, len(objects(out)), err) == (0, 1, "folder: left out 1 .npy, 1 .wav\n")
    code, _, err = predict("folder/a.wav", "--models", "weights")
    assert (code, err) == (1, "error: weights/model_fold_0_best.safetensors is no regular file: name a weights file.\n")


def test_an_error_that_nobody_foresaw_is_its_files_line(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_noise(tmp_path / "a.wav")
    np.save(tmp_path / "b.npy", np.eye(MELS, FRAMES, dtype=np.float32))

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("audiocnn.inference.predictor.open_recording", fail)
    code, out, err = predict("a.wav", "b.npy", "--json")
    assert (code, [line["file"] for line in objects(out)]) == (1, ["b.npy"])
    assert err == "error: a.wav: unreadable: MemoryError\n"


def test_spectrograms_of_any_length_vote_where_the_weights_tell_none(predict: Predict, tmp_path: Path) -> None:
    write_weights(tmp_path / "plain", without_header(make_weights()))
    for frames in (FRAMES, 3 * FRAMES, FRAMES):
        np.save(tmp_path / f"{frames}.npy", np.eye(MELS, frames, dtype=np.float32))
    code, out, _ = predict("16.npy", "48.npy", "16.npy", "--models", "plain", "--json")
    first, _, last = objects(out)
    assert (code, first) == (0, last)
