"""README.md of a Space: front matter that the Hub builds it by, then what a visitor must know before trusting it."""

from collections.abc import Sequence

from audiocnn.config.params import Params
from audiocnn.evaluation.fold_results import FoldResult
from audiocnn.release.model_card import PROTOCOLS, headline, held_out_clips

_PYTHON = "3.11"  # the oldest that requirements.txt installs on, and the one that it is tested with


def space_card(
    params: Params,
    results: Sequence[FoldResult],
    networks: int,
    runs: int,
    repository: str,
    models: Sequence[str],
    sdk_version: str,
) -> str:
    """The text of README.md, without a date: the same run gives the same bytes.

    results: of all folds of the first run, in order. networks, runs: how many networks of how many runs vote in the
    Space. repository, models: OWNER/NAME of the Space and of those that it links to. sdk_version: Gradio's.
    """
    name = repository.partition("/")[2]
    single, what = "single networks", "one network"
    if networks > 1:
        what = f"the mean of the {networks} networks of all folds"
    if runs > 1:
        single += " of one run"
        what = f"the mean of the {networks} networks of {runs} runs that differ in their seed alone"
    links = ", ".join(f"[{model}](https://huggingface.co/{model})" for model in models)
    sections = [
        f"---\n{_front_matter(name, models, sdk_version)}\n---",
        f"# {name}",
        f"It says which of {len(results[0].classes)} classes a sound is. It always answers with one of them, whatever "
        "it hears, and with one only.",
        f"## How often it is right\n\n{held_out_clips(params, results)}. {PROTOCOLS[results[0].validation]}",
        headline(results),
        f"These are results of {single}. Here {what} answers, which has no held-out clips of this dataset left "
        "to be measured on. Recordings made otherwise than the dataset's were not tested.",
        f"Weights, results of each fold and class, and how to get them again: {links}.",
        "## On your own machine\n\nIn a clone of this repository: `pip install -r requirements.txt`, `python app.py`.",
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(title: str, models: Sequence[str], sdk_version: str) -> str:
    """YAML, without the lines of dashes around it."""
    from huggingface_hub import SpaceCardData

    card = SpaceCardData(
        title=title,
        sdk="gradio",
        sdk_version=sdk_version,
        python_version=_PYTHON,
        app_file="app.py",
        models=list(models),
        tags=["audio-classification"],
    )
    return str(card.to_yaml())
