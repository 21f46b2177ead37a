"""`audiocnn publish --space`: a page that anybody can try the network on, as a Space of the Hub."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audiocnn.checkpoints.key import PROJECT
from audiocnn.config.all_clips import ALL_CLIPS
from audiocnn.config.hub_names import model_name
from audiocnn.config.train_params import params_digest
from audiocnn.errors import UserError
from audiocnn.folds.all_clips import all_clips_train
from audiocnn.release.finished_run import FinishedRun, read_finished_run
from audiocnn.release.going_out import check_destination, send

if TYPE_CHECKING:
    from audiocnn.inference.pretrained import PretrainedAudioCNN
    from audiocnn.model.weights import WeightsHeader

_PAGE = PROJECT / "examples/space"
_FILES = ("app.py", "requirements.txt")
_SEEDS = 10_000  # tried for a further run's train.seed, from 0 on: 0.2 s


def publish_space(repository: str, places: Sequence[str], dry_run: Path | None, demo_is_meant: bool) -> None:
    """Pushes the page, its requirements, a card and the networks as model.onnx, or writes them into a folder.

    repository: OWNER/NAME of the Space. places: the weights, as `audiocnn export` takes them: first those of the
    finished run, then of runs with other seeds, which vote, too. The card links to those that are on the Hub; where the
    first are not, to the model of the Space's name. dry_run: a new or an empty folder, or None to push. demo_is_meant:
    whether results of the demo may go out. Raises UserError.
    """
    check_destination("--space", repository, dry_run)
    page = _page()
    run = read_finished_run(demo_is_meant)
    networks = _networks(places, run)
    from audiocnn.inference.onnx_export import export_onnx
    from audiocnn.release.space_card import space_card

    on_hub = [_on_hub(place) for place in places]
    linked = list(dict.fromkeys([on_hub[0] or repository, *filter(None, on_hub[1:])]))
    counts, sdk_version = (len(networks), len(places)), _sdk_version(page["requirements.txt"])
    card = space_card(run.params, run.results, *counts, repository, linked, sdk_version)
    files = {"README.md": card.encode(), **page, "model.onnx": export_onnx(networks).content}
    send(files, repository, "space", "A page to try the network on, by audiocnn publish", dry_run)
    if on_hub[0] is None:
        print(f"its card links to the model of that name: 'audiocnn publish --repo {repository}' puts it there")


def _page() -> dict[str, bytes]:
    """The files that are the same in every Space, by name."""
    if not _PAGE.exists():
        raise UserError(f"{_PAGE} is not here: a Space is made in a clone of the project, not by an installed package.")
    return {name: (_PAGE / name).read_bytes() for name in _FILES}


def _sdk_version(requirements: bytes) -> str:
    match = re.search(r"^gradio==(.+)$", requirements.decode(), flags=re.MULTILINE)
    assert match
    return match[1]


def _on_hub(place: str) -> str | None:
    """The repository that holds the weights, OWNER/NAME; None where they are not on the Hub."""
    from audiocnn.inference.find_weights import file_of_repository

    name = model_name(file_of_repository(place)[0]) if place.startswith("hf://") else None
    return name.repository if name else None


def _networks(places: Sequence[str], run: FinishedRun) -> "Sequence[PretrainedAudioCNN]":
    """The networks that vote: of the finished run, then of others that differ in train.seed alone.

    Raises UserError where the finished run's results say nothing about them.
    """
    from audiocnn.inference.ensemble import load_models
    from audiocnn.inference.find_weights import find_weights, untrusted_header

    found = [(place, path) for place in places for path in find_weights(place, None)]
    seeds = {}
    for place, path in found:
        is_first = place == places[0]
        seed = _seed(untrusted_header(path), run, [run.params.train.seed] if is_first else range(_SEEDS))
        if seed is None and is_first:
            raise UserError(
                f"{place} is of other params or classes than metrics/, so how good it is is unknown: name weights of "
                "that run for --models, or run 'dvc repro'."
            )
        if seed is None:
            raise UserError(
                f"{place} differs from the run in metrics/ in more than train.seed (0 to {_SEEDS - 1} are tried), so "
                "how good it is is unknown: leave it out, or name weights of a run that differs in that alone."
            )
        seeds[place] = seed
    if len(set(seeds.values())) < len(places):
        raise UserError(f"two of {', '.join(places)} are of one train.seed: name each run once for --models.")
    return load_models([path for _, path in found])


def _seed(header: "WeightsHeader | None", run: FinishedRun, seeds: Iterable[int]) -> int | None:
    """The one of the seeds that weights are of; None unless they have the run's classes and, otherwise, its params.

    A header has the digest of all params and none of their values, so each seed's digest is compared with it.
    """
    params = run.params
    if header is None or tuple(header.classes) != run.results[0].classes:
        return None
    train = all_clips_train(params.train, run.results) if header.fold == ALL_CLIPS else params.train
    digests = ((seed, params_digest(params.model, train.model_copy(update={"seed": seed}))) for seed in seeds)
    return next((seed for seed, digest in digests if digest == header.params_digest), None)
