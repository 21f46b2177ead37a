"""What README.md, CONTRIBUTING.md and docs/ tell a reader to type: all of it is run, or said here why not.

A command runs as it stands there, in a clone whose params.yaml has a small model, with twenty clips of noise instead of
ESC-50 and of a dataset of spectrograms beside it, and a Hub on loopback. Where output is shown, each of its lines must
be printed, in that order, but for numbers and names of classes.
"""

import csv
import pickle
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from dvc.cli.parser import get_main_parser

from tests.support.clones import Project, make_clone
from tests.support.documents import DOCUMENTS, Block, Command, blocks
from tests.support.hub_server import FakeHub, Repository
from tests.support.paths import ROOT
from tests.support.recordings import write_sounds as write_chirps
from tests.support.voices import VOICES, WORDS

# Documents whose blocks another test runs, all of them, or which take a cluster: what they do there is tested.
RUN_ELSEWHERE = {"run-cache.md": "test_run_cache.py", "many-machines.md": "tests/folds/test_ray.py"}
# Commands that are not run, and why. `make` and `dvc` are asked whether they know them.
NOT_RUN = {
    "git clone REPOSITORY audiocnn && cd audiocnn": "the network, and an address that each reader knows",
    "git clone https://github.com/karolpiczak/ESC-50 ../ESC-50": "the network",
    "make repro": "installs from the network; the rest of it is 'dvc repro' and 'audiocnn results'",
    "python -m venv space-env && space-env/bin/pip install -r space/requirements.txt": "the network",
    "space-env/bin/python space/app.py": "the environment that the line above makes: tests.space.look",
    "python -m venv page-env && page-env/bin/pip install -r page/requirements.txt": "the network",
    "page-env/bin/python page/app.py": "the environment that the line above makes: tests.space.look",
    "audiocnn publish --repo OWNER/sounds": "an account: test_publish.py",
    "audiocnn publish --space OWNER/sounds": "an account: test_space.py",
    "make test": "installs from the network, and this is one of its tests",
    "make test-fast": "the same",
}
# The same for whole blocks, by a command in them.
NOT_RUN_WITH = {
    "kill -9 $!": "what has been trained by then is a matter of chance: test_kills_through_dvc.py",
    "dvc queue start -j 2": "nine cross-validations: test_experiments.py has two",
}
NOT_RUN_BLOCKS = {"mermaid": "a picture", "text": "output alone", "yaml": "only in documents that are run elsewhere"}
# Output that depends on the moment, or names what DVC gave a random name: what of it is compared.
TABLE = r"(AudioCNN|fold  |\d  |mean|std).*"
COMPARED = {
    "dvc exp run -S data.source=data/tutorial -S 'folds=[0,1,2]' -S train.epochs=5": TABLE,
    "dvc exp run --queue -S train.lr=0.001,0.003 -S train.seed=0,1": "Queueing.*",
    "dvc exp run --run-all": TABLE,
    "audiocnn experiments": "val_acc is selected.*",
    "dvc exp run -S train.epochs=15": TABLE,
    "audiocnn status": "fold .*",
    "audiocnn train --epochs 6 --folds 0 1 2 --model-dir quick": r"(fold  |\d ).*",
}
CLIPS, CLASSES, FOLDS, SECONDS = 20, ["chainsaw", "clock_tick", "dog_bark", "sea_waves"], 5, 5
SMALL = {"encoder_channels": [4, 4, 8], "conv1d_channels": 4, "hidden_units": 8}
# Documents show output of the committed results, and of ESC-10.
SHOWN_CLASSES = [row["class"] for row in csv.DictReader((ROOT / "metrics/classes.csv").read_text().splitlines())]
SHOWN_CLASSES += [
    "sneezing",
    "crackling_fire",
    "crying_baby",
    "rooster",
    "helicopter",
    *WORDS,
    "bell",
    "horn",
    "siren",
    "whistle",
]
ESC10 = ["1-100032-A-0.wav", "1-116765-A-41.wav", "1-17150-A-12.wav"]  # with the clips that the README predicts


def documents(*languages: str) -> list[Block]:
    return [block for document in DOCUMENTS for block in blocks(document) if block.language in languages]


COMMANDS = [command for block in documents("console") for command in block.commands]
each_command = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.place)


@each_command
def test_a_command_is_known_to_its_tool(command: Command) -> None:
    """Whether it is run or not: dvc's own parser, make's own rules and bash's own grammar take it."""
    check_grammar(command.text)
    words = shlex.split(re.sub(r"^(\w+=\S+ )*|[ &]*$", "", command.text))  # variables before it, & behind it
    if words[0] == "dvc":
        get_main_parser().parse_args(words[1:])
    if words[0] == "make":
        subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("block", documents("bash"), ids=lambda block: f"{block.document.name}:{block.line}")
def test_a_script_is_bash(block: Block) -> None:
    check_grammar(block.text)


def check_grammar(script: str) -> None:
    subprocess.run(["bash", "-n"], input=script, text=True, check=True, capture_output=True)


def test_every_block_is_run_or_said_not_to_be() -> None:
    known = {"console", "bash", "python", *NOT_RUN_BLOCKS}
    assert {block.language for document in DOCUMENTS for block in blocks(document)} <= known
    scripts = {block.document.name for block in documents("bash", "yaml")}
    assert scripts <= set(RUN_ELSEWHERE), "a new script: run it as test_run_cache.py runs its own"
    said = {command.text for command in COMMANDS}
    assert {*NOT_RUN, *NOT_RUN_WITH, *GIVEN, *COMPARED} <= said, "no document says this any more"


# --- The clone in which commands run ---


@pytest.fixture(scope="module")
def clone(hub_server: FakeHub, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Nothing has run in it yet."""
    folder = tmp_path_factory.mktemp("reader")
    write_sounds(folder / "ESC-50")
    write_pickles(folder / "spectrograms")
    hub_server.reset()
    files = {path.name: path.read_bytes() for path in (folder / "spectrograms").iterdir()}
    hub_server.datasets["owner/sounds"] = Repository(files=files)
    project = make_clone(folder / "clone")
    project.set_params(data={"source": "../spectrograms"}, model=SMALL, train={"epochs": 2, "seed": 0})
    project.run("git", "commit", "-q", "-a", "-m", "a smaller model")
    hub = {"HF_ENDPOINT": hub_server.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(folder / "home"), "HF_TOKEN": ""}
    return Project(project.path, hub)


def write_sounds(folder: Path) -> None:
    """ESC-50's layout: noise, a class a level."""
    generator, rate = np.random.default_rng(0), 22050
    names = [*ESC10, *(f"noise-{clip}.wav" for clip in range(CLIPS - len(ESC10)))]
    (folder / "audio").mkdir(parents=True)
    (folder / "meta").mkdir()
    with (folder / "meta/esc50.csv").open("w") as file:
        table = csv.writer(file)
        table.writerow(["filename", "fold", "target", "category", "esc10", "src_file", "take"])
        for clip, name in enumerate(names):
            label = clip % len(CLASSES)
            sound = generator.normal(size=SECONDS * rate) * 0.1 * np.linspace(1, label, SECONDS * rate)
            soundfile.write(folder / "audio" / name, sound, rate)
            table.writerow([name, 1 + clip // len(CLASSES), label, CLASSES[label], True, clip, "A"])


def write_pickles(folder: Path) -> None:
    labels = np.arange(CLIPS) % len(CLASSES)
    features = np.random.default_rng(0).normal(size=(CLIPS, 128, 216)) + labels[:, None, None]
    folder.mkdir(parents=True)
    values = {
        "features": features.astype(np.float32),
        "labels": labels,
        "folds": 1 + np.arange(CLIPS) // len(CLASSES),
        "class_mapping": dict(enumerate(CLASSES)),
    }
    for name, value in values.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(value, protocol=4))


def from_the_hub(clone: Project) -> None:
    clone.set_params(data={"source": "hf://datasets/owner/sounds@main"})


def with_committed_results(clone: Project) -> None:
    with_esc10(clone)
    clone.commit("results")


def with_esc10(clone: Project) -> None:
    """The run that the README makes."""
    clone.set_params(data={"source": "data/esc10"})
    clone.dvc("repro")


def with_recordings(clone: Project) -> None:
    """Chirps under the names of the README's words, and those of a voice that it then predicts."""
    names = [f"words/{word}/{speaker}_{take}.wav" for word in WORDS for speaker in VOICES for take in range(4)]
    write_chirps(clone.path, [*names, "dora/left.wav", "dora/seven.wav", "dora/stop.wav"])


# What a document presumes where it says this.
GIVEN: dict[str, Callable[[Project], None]] = {
    "audiocnn features words data/words --folds 3 --group-by '^([a-z]+)_' --seconds auto": with_recordings,
    "dvc repro prepare": from_the_hub,
    "audiocnn publish --repo OWNER/NAME --dry-run release": with_esc10,
    "dvc exp run -S train.lr=3e-4": with_committed_results,
}
RUN_HERE = [path for path in DOCUMENTS if path.name not in RUN_ELSEWHERE and "\n$ " in path.read_text()]


@pytest.mark.slow
@pytest.mark.parametrize("document", RUN_HERE, ids=lambda path: path.name)
def test_what_a_document_says_to_type_runs_and_prints_what_it_shows(document: Path, clone: Project) -> None:
    for block in blocks(document):
        if block.language == "python":
            clone.run("python", "-c", block.text)
        if not {command.text for command in block.commands} & NOT_RUN_WITH.keys():
            for command in block.commands:
                run(command, clone)


def run(command: Command, clone: Project) -> None:
    if command.text in NOT_RUN:
        return
    if command.text in GIVEN:
        GIVEN[command.text](clone)
    printed = clone.run("bash", "-c", command.text)
    compared = COMPARED.get(command.text, ".*")
    rest = iter([stable(line) for line in printed.splitlines()])
    for line in command.shown:
        if line not in ("", "...") and re.fullmatch(compared, line):
            assert stable(line) in rest, f"{command.place}: {line!r} is not printed there, but\n{printed}"


def stable(line: str) -> str:
    """A line without what another dataset or another day changes: numbers, digests, classes, and the space around."""
    line = re.sub(r"\b[0-9a-f]{32,}\b", "DIGEST", line)
    line = re.sub(r"[-+]?\d[\d,.]*(e-?\d+)?( ?[kM]?B\b)?", "N", line)
    line = re.sub(rf"\b({'|'.join([*CLASSES, *SHOWN_CLASSES])})\b", "CLASS", line)
    line = re.sub(r"(CLASS N to N)( CLASS N to N)+", r"\1", line)  # how many classes changed most
    line = re.sub("--+", "--", line)
    return " ".join(re.sub(r"file:///\S*/dvc_plots", "file:///.../dvc_plots", line).split())
