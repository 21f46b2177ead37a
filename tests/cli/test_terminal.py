"""What files, names and settings hold never moves a terminal's cursor, whichever command repeats it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiocnn.cli.main import main
from tests.support.revisions import git
from tests.support.weights import write_finished_run

ESCAPE = "\x1b[2J\x9b1A\u202e"


def sounds(folder: Path, names: Sequence[str]) -> None:
    for index, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        noise = 0.1 * np.random.default_rng(index).normal(size=16_000).astype(np.float32)
        soundfile.write(folder / name, noise, 16_000)


FEATURES: dict[str, tuple[list[str], dict[str, str], list[str]]] = {
    "class": ([f"{word}{ESCAPE}/{index}.wav" for word in ("a", "b") for index in range(4)], {}, ["--folds", "2"]),
    "file": ([f"{word}/{index}{ESCAPE}.wav" for word in ("a", "b") for index in range(4)], {}, ["--folds", "2"]),
    "missing": (["a.wav"], {"meta.csv": f"filename,fold,class\na.wav,1,x\n{ESCAPE}.wav,2,x\n"}, []),
    "column": (["a.wav"], {"meta.csv": f"filename,{ESCAPE}fold,class{ESCAPE}\na.wav,1,x\n"}, []),
    "fold": (["a.wav", "b.wav"], {"meta.csv": f"filename,fold,class\na.wav,1{ESCAPE},x\nb.wav,2{ESCAPE},x\n"}, []),
    "seconds": (["x/a.wav"], {}, ["--seconds", ESCAPE]),
    "group": (["a.wav"], {}, ["--group-by", f"({ESCAPE}"]),
    "push": (["a.wav"], {}, ["--push", f"hf://{ESCAPE}"]),
    "table": (["a.wav"], {}, ["--metadata", f"{ESCAPE}.csv"]),
}


@pytest.mark.parametrize("case", FEATURES)
def test_features_prints_no_control_character(
    case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names, tables, options = FEATURES[case]
    monkeypatch.chdir(tmp_path)
    sounds(tmp_path / "audio", names)
    for name, text in tables.items():
        (tmp_path / "audio" / name).write_text(text)
    code = main(["features", "audio", f"out{ESCAPE}", "--n-mels", "16", "--seconds", "1", "--jobs", "1", *options])
    said = capfd.readouterr()
    assert_harmless(said.out + said.err)
    assert code == 0 or said.err.startswith("error: ") or "\nerror: " in said.err


def assert_harmless(text: str) -> None:
    assert text.strip()
    assert not [character for character in text if not character.isprintable() and character not in "\n\r"], text


HOSTILE_FILES = {
    "params.yaml": '"\\e[2J\\u009b": 1\nfolds: [0]\n',
    "runtime.yaml": '"\\e[2J": 1\n',
    "metrics/folds.csv": f"fold,{ESCAPE}\n{ESCAPE},1\n",
    "metrics/summary.json": '{"\\u001b[2J": 1}',
    "metrics/classes.csv": f"class,{ESCAPE}\n",
}
COMMANDS = (
    ["results"],
    ["preset", "accurate"],
    ["status"],
    ["report"],
    ["compare", f"HEAD{ESCAPE}"],
    ["publish", "--repo", "a/b", "--dry-run", "release"],
)


@pytest.mark.parametrize("name", HOSTILE_FILES)
def test_no_command_prints_a_control_character_out_of_a_file_or_a_revision(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_finished_run(tmp_path)
    (tmp_path / name).write_text(HOSTILE_FILES[name])
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "nothing")
    codes = [main(command) for command in COMMANDS]
    said = capfd.readouterr()
    assert_harmless(said.out + said.err)
    assert 1 in codes
