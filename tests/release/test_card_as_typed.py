"""A model card's code works as it stands, for somebody who has the card and a sound, and no clone."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support.clones import Project, make_clone
from tests.support.hub_server import GOOD_TOKEN, FakeHub
from tests.support.processes import environment

NAME = "owner/net"
ADDRESS = "https://code.example/owner/audiocnn"
RATE = 16000
pytestmark = pytest.mark.slow


def on_hub(hub: FakeHub, home: Path, token: str = "") -> dict[str, str]:
    return {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(home), "HF_TOKEN": token}


@pytest.fixture(scope="module")
def author(tmp_path_factory: pytest.TempPathFactory, hub_server: FakeHub) -> Project:
    """A clone, pushed to its address, that has published the demo with a tiny network, and one on all clips."""
    folder = tmp_path_factory.mktemp("author")
    clone = make_clone(folder / "clone")
    clone.set_params(data={"source": "demo"}, train={"epochs": 2, "batch_size": 32})
    clone.dvc("repro")
    clone.commit("results")
    clone.run("git", "remote", "add", "origin", ADDRESS)
    clone.run("git", "update-ref", "refs/remotes/origin/main", "HEAD")
    hub_server.reset()
    project = Project(clone.path, on_hub(hub_server, folder / "home", GOOD_TOKEN))
    project.run("python", "-m", "audiocnn", "train", "--all-clips")
    project.run("python", "-m", "audiocnn", "publish", "--repo", NAME, "--yes-this-is-the-demo")
    return project


@pytest.fixture(scope="module")
def card(author: Project, hub_server: FakeHub) -> str:
    """As the Hub shows it."""
    return hub_server.models[NAME].files["README.md"].decode()


@pytest.fixture(scope="module")
def reader(author: Project, card: str, hub_server: FakeHub, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A folder with a sound, beside what the card's first command installs. The address leads to the author's clone."""
    folder = tmp_path_factory.mktemp("reader")
    site = folder / "site"
    env = environment(
        **on_hub(hub_server, folder / "home"),
        PIP_TARGET=str(site),
        PIP_NO_DEPS="1",  # they are here already
        PIP_NO_BUILD_ISOLATION="0",  # pip reads this variable the other way round
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        GIT_CONFIG_COUNT="1",
        GIT_CONFIG_KEY_0=f"url.file://{author.path}.insteadOf",
        GIT_CONFIG_VALUE_0=ADDRESS,
        PYTHONPATH=str(site),
    )
    env["PATH"] = f"{site / 'bin'}:{env['PATH']}"
    (folder / "here").mkdir()
    sound = 0.2 * np.random.default_rng(0).normal(size=3 * RATE)
    soundfile.write(folder / "here/clip.wav", sound, RATE)
    project = Project(folder / "here", env)
    assert code(card)[0].startswith("pip install ")
    run(project, "bash", code(card)[0])
    return project


def code(card: str, language: str = "sh") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", card, flags=re.MULTILINE | re.DOTALL)


def run(reader: Project, program: str, text: str) -> str:
    """What a block of the card prints."""
    command = [program, "-c", text]
    done = subprocess.run(command, cwd=reader.path, env=reader.environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def test_the_installed_code_is_that_of_the_commit_and_not_of_a_clone(reader: Project, author: Project) -> None:
    path = Path(run(reader, sys.executable, "import audiocnn; print(audiocnn.__file__)").strip())
    assert path.is_relative_to(reader.path.parent / "site")
    assert (path.parent / "training/all_clips.py").read_bytes() == author.read("audiocnn/training/all_clips.py")


def test_the_shells_and_pythons_examples_name_the_same_class(reader: Project, card: str) -> None:
    _, command = code(card)
    program, network = code(card, "python")
    shown = run(reader, "bash", command).splitlines()[-1].split()
    assert shown[0] == "clip.wav"
    name, probability = run(reader, sys.executable, program).rsplit(maxsplit=1)
    assert name in " ".join(shown)
    assert 0 < float(probability) <= 1
    run(reader, sys.executable, network)


def test_the_networks_that_the_card_speaks_of_are_there_and_differ(reader: Project, author: Project) -> None:
    program = "import audiocnn; print(audiocnn.load({!r}).predict('clip.wav').probabilities)"
    one, mean = (
        run(reader, sys.executable, program.format(place))
        for place in (f"hf://{NAME}/model_all_clips.safetensors", f"hf://{NAME}")
    )
    assert one != mean
    assert one == run(reader, sys.executable, program.format(str(author.path / "models/model_all_clips.safetensors")))


def test_the_card_says_that_the_accuracy_is_the_cross_validations(author: Project, card: str) -> None:
    accuracy = author.json("metrics/summary.json")["val_acc"]
    clips = author.json("data/prepared/meta.json")["clips"]
    sentence = next(line for line in card.splitlines() if line.startswith("`model_all_clips.safetensors` is trained"))
    assert f"on all {clips} clips" in sentence
    assert "no clip was held out, so it has no accuracy of its own" in sentence
    assert f"the cross-validation's is {accuracy['mean']:.4f} ± {accuracy['std']:.4f} (val_acc)." in sentence
