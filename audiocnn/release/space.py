"""`audiocnn publish --space`: a page that anybody can try the network on, as a Space of the Hub."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audiocnn.checkpoints.key import PROJECT
from audiocnn.config.hub_names import model_name
from audiocnn.errors import UserError
from audiocnn.release.finished_run import FinishedRun, read_finished_run
from audiocnn.release.going_out import check_destination, send

if TYPE_CHECKING:
    from audiocnn.inference.pretrained import PretrainedAudioCNN

_PAGE = PROJECT / "examples/space"
_FILES = ("app.py", "requirements.txt")


def publish_space(repository: str, models: str, dry_run: Path | None, demo_is_meant: bool) -> None:
    """Pushes the page, its requirements, a card and the networks as model.onnx, or writes them into a folder.

    repository: OWNER/NAME of the Space. models: whose weights, as `audiocnn export` takes it; the card links to them
    where they are on the Hub, and else to the model of the Space's name. dry_run: a new or an empty folder, or None to
    push. demo_is_meant: whether results of the demo may go out. Raises UserError.
    """
    check_destination("--space", repository, dry_run)
    page = _page()
    run = read_finished_run(demo_is_meant)
    networks = _networks(models, run)
    from audiocnn.inference.find_weights import file_of_repository
    from audiocnn.inference.onnx_export import export_onnx
    from audiocnn.release.space_card import space_card

    name = model_name(file_of_repository(models)[0]) if models.startswith("hf://") else None
    model = name.repository if name else repository
    card = space_card(run.params, run.results, len(networks), repository, model, _sdk_version(page["requirements.txt"]))
    files = {"README.md": card.encode(), **page, "model.onnx": export_onnx(networks).content}
    send(files, repository, "space", "A page to try the network on, by audiocnn publish", dry_run)
    if name is None:
        print(f"its card links to the model of that name: 'audiocnn publish --repo {model}' puts it there")


def _page() -> dict[str, bytes]:
    """The files that are the same in every Space, by name."""
    if not _PAGE.exists():
        raise UserError(f"{_PAGE} is not here: a Space is made in a clone of the project, not by an installed package.")
    return {name: (_PAGE / name).read_bytes() for name in _FILES}


def _sdk_version(requirements: bytes) -> str:
    match = re.search(r"^gradio==(.+)$", requirements.decode(), flags=re.MULTILINE)
    assert match
    return match[1]


def _networks(models: str, run: FinishedRun) -> "Sequence[PretrainedAudioCNN]":
    """The networks that vote. Raises UserError where the run's results say nothing about them."""
    from audiocnn.inference.ensemble import load_models
    from audiocnn.inference.find_weights import find_weights

    networks = load_models(find_weights(models, None))
    of_folds, classes = {header.params_digest for header in run.headers}, run.results[0].classes
    for network in networks:
        digest = network.header.params_digest if network.header else None
        if tuple(network.classes) != classes or (digest not in of_folds and digest != run.all_clips_digest):
            raise UserError(
                f"{models} is of other params or classes than metrics/, so how good it is is unknown: name weights of "
                "that run for --models, or run 'dvc repro'."
            )
    return networks
