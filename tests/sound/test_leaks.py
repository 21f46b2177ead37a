"""Leaks between folds are found, whoever made the folds: planted ones are, and what only resembles them is not."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("soxr")
soundfile = pytest.importorskip("soundfile")

from audiocnn.sound.fingerprints import likeness  # noqa: E402
from audiocnn.sound.recipe import Recipe  # noqa: E402
from audiocnn.sound.spectrogram import clip_spectrogram  # noqa: E402
from tests.support.paths import SHARED  # noqa: E402
from tests.support.recordings import run_features, write_table  # noqa: E402

RATE = 16_000
SECONDS = 2.0
OPTIONS = ("--rate", "16000", "--seconds", "2", "--n-mels", "64", "--jobs", "1")
Sound = NDArray[np.float64]


def sound(seed: int, events: int = 9, seconds: float = SECONDS) -> Sound:
    """Chirps, clicks and bursts of noise at random times: as many details as a recorded sound has, from a seed."""
    generator = np.random.default_rng(seed)
    mixed = 0.003 * generator.normal(size=round(seconds * RATE))
    for start in generator.uniform(0, seconds - 0.3, events):
        time = np.arange(round(generator.uniform(0.05, 0.3) * RATE)) / RATE
        pitch, bend = generator.uniform(200, 4000), generator.uniform(-2000, 4000)
        event = np.sin(2 * np.pi * (pitch + bend * time) * time) * np.exp(-time * generator.uniform(3, 30))
        event += generator.uniform(0, 0.3) * generator.normal(size=len(time)) * np.exp(-time * 20)
        first = round(start * RATE)
        mixed[first : first + len(time)] += generator.uniform(0.1, 0.5) * event
    mixed *= 0.9 / np.abs(mixed).max()
    return mixed


def late(clip: Sound, seconds: float = 0.3) -> Sound:
    return np.concatenate([np.zeros(round(seconds * RATE)), clip])[: len(clip)]


def early(clip: Sound, seconds: float = 0.3) -> Sound:
    return clip[round(seconds * RATE) :]


def write(folder: Path, name: str, clip: Sound) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, clip, RATE)
    return name


def plant(folder: Path) -> tuple[list[str], dict[str, tuple[str, str, str]]]:
    """A table's lines (file, class, fold, speaker), and by name ten leaks: the kind and the two files."""
    originals = {index: sound(index) for index in range(8)}
    copies = {
        "the same file": ("same", "wav", originals[0]),
        "the same samples in a FLAC": ("same", "flac", originals[1]),
        "re-encoded as MP3": ("similar", "mp3", originals[2]),
        "re-encoded as Vorbis": ("similar", "ogg", originals[3]),
        "0.3 s later": ("similar", "wav", late(originals[4])),
        "0.3 s earlier": ("similar", "wav", early(originals[5])),
        "at a tenth of the level": ("similar", "wav", 0.1 * originals[6]),
        "later, softer and as MP3": ("similar", "mp3", 0.3 * late(originals[7])),
    }
    lines, planted = [], {}
    for index, (name, (kind, ending, copy)) in enumerate(copies.items()):
        first = write(folder, f"a{index}.wav", originals[index])
        other = soundfile.read(folder / first)[0] if ending == "flac" else copy
        files = first, write(folder, f"b{index}.{ending}", other)
        planted[name] = (kind, *files)
        lines += [f"{file},{'owl' if index % 2 else 'bat'},{fold},{file[:2]}" for fold, file in enumerate(files, 1)]
    for number, name in enumerate(("a speaker", "another speaker")):
        files = (
            write(folder, f"c{number}.wav", sound(20 + number)),
            write(folder, f"d{number}.wav", sound(30 + number)),
        )
        planted[name] = ("group", *files)
        lines += [f"{file},owl,{fold},speaker {number}" for fold, file in enumerate(files, 1)]
    return lines, planted


def decoys(folder: Path) -> list[str]:
    """Ten pairs in two folds that are no leaks: lines of a table, each with a speaker of its own."""
    noise = np.random.default_rng(99)
    steady = 0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)
    pairs: list[tuple[Sound, Sound]] = [(sound(100 + index), sound(200 + index)) for index in range(4)]
    pairs += [(sound(110, events=2), sound(210, events=2)), (sound(111, seconds=0.6), sound(211, seconds=0.6))]
    pairs += [(noise.normal(size=2 * RATE) * 0.1, noise.normal(size=2 * RATE) * 0.1)]  # two moments of one rain
    pairs += [(steady + 0.01 * noise.normal(size=2 * RATE), steady + 0.01 * noise.normal(size=2 * RATE))]
    start = sound(120)[: RATE // 4]  # a jingle before each clip
    pairs += [(np.concatenate([start, sound(121)]), np.concatenate([start, sound(122)]))]
    pairs += [(sound(130) + 0.5 * sound(131), sound(132) + 0.5 * sound(131))]  # the same background
    lines = []
    for index, pair in enumerate(pairs):
        for fold, clip in enumerate(pair, 1):
            name = write(folder, f"decoy{index}_{fold}.wav", clip / np.abs(clip).max() * 0.8)
            lines.append(f"{name},bat,{fold},{name}")
    return lines


def test_ten_planted_leaks_are_found_and_ten_decoys_are_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "audio"
    lines, planted = plant(folder)
    table = write_table(tmp_path / "clips.csv", ["file,class,fold,speaker", *lines, *decoys(folder)])
    run_features(folder, tmp_path / "out", "--metadata", table, "--group-by", "speaker", *OPTIONS)
    with (tmp_path / "out/leaks.csv").open() as file:
        found = {(row["leak"], row["file"], row["other_file"]) for row in csv.DictReader(file)}
    groups = {pair for pair in found if pair[0] == "group"}
    assert found == set(planted.values())
    assert len(groups) == 2
    counts = json.loads((tmp_path / "out/leaks.json").read_text())
    assert counts == {"groups": 2, "same": 2, "similar": 6}
    printed = capsys.readouterr().out
    assert (
        "leaks looked for: groups in two folds: 2; pairs of clips in two folds: 2 of the same sound, 6 of nearly"
        in printed
    )
    assert "group speaker 0            1     c0.wav  2     d0.wav" in printed


def test_folds_made_by_speaker_have_no_leak_of_speakers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "audio"
    for speaker in range(4):
        for number in range(4):
            write(folder, f"{'owl' if number % 2 else 'bat'}/s{speaker}_{number}.wav", sound(speaker * 10 + number))
    run_features(folder, tmp_path / "out", "--folds", "4", "--group-by", "(s\\d)_", *OPTIONS)
    assert json.loads((tmp_path / "out/leaks.json").read_text()) == {"groups": 0, "same": 0, "similar": 0}
    printed = capsys.readouterr().out
    assert "groups in two folds: 0" in printed
    assert "leaks.csv" not in printed


ESC10 = SHARED / "audio/esc10/audio"


@pytest.mark.skipif(not ESC10.is_dir(), reason="the audio of ESC-10 is not here")
@pytest.mark.parametrize(
    ("files", "is_one"),
    [
        (("3-151080-A-3.ogg", "5-151085-A-3.ogg"), True),  # one baby, 0.65 s later, with another ending
        (("3-154926-A-6.ogg", "4-161579-A-6.ogg"), False),  # two helicopters
        (("4-181035-A-4.ogg", "5-212181-A-4.ogg"), False),  # two clocks that tick at one pace
        (("2-128631-A-5.ogg", "3-148330-A-5.ogg"), False),  # two sneezes
    ],
)
def test_the_one_recording_that_esc10_has_twice_is_told_from_its_likest_others(
    files: Sequence[str], is_one: bool
) -> None:
    first, second = (clip_spectrogram(ESC10 / file, Recipe(seconds=5.0)) for file in files)
    assert (likeness(first, second) >= 0.95) is is_one
    assert likeness(first, second) < 0.9 or is_one
