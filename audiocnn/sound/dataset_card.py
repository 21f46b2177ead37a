"""README.md of a dataset repository: what `audiocnn features` made, and how to train on it."""

from collections import Counter
from collections.abc import Mapping, Sequence

from audiocnn.sound.folds import held_out
from audiocnn.sound.leaks import Leak, count_leaks
from audiocnn.sound.recipe import Recipe
from audiocnn.sound.recordings import AudioFolder, Clip
from audiocnn.text import literal, markdown

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))  # the Hub's names


def dataset_card(
    repository: str, clips: Sequence[Clip], dataset: AudioFolder, recipe: Recipe, leaks: Sequence[Leak]
) -> str:
    """The text of README.md. repository: OWNER/NAME. clips: those of the dataset that could be used."""
    name = repository.partition("/")[2]
    folds = sorted({clip.fold for clip in clips})
    sections = [
        f"---\n{_front_matter(name, len(clips))}\n---",
        f"# {name}",
        f"Log-mel spectrograms of {len(clips)} sound clips in {len(dataset.classes)} classes and {len(folds)} folds.\n"
        "The clips keep the licence of the recordings that they were made from.",
        _file_table(len(clips), recipe),
        f"Clips by class and fold:\n\n{_clip_table(clips, dataset, folds)}",
        f"{_folds(dataset)} Leaks {count_leaks(leaks, clips).sentence}.",
        _recipe(recipe),
        f"To train AudioCNN on it, in params.yaml:\n\n{_params(repository, held_out(dataset, clips))}",
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(name: str, clips: int) -> str:
    """The metadata that the Hub reads, as YAML."""
    from huggingface_hub import DatasetCardData

    card = DatasetCardData(
        pretty_name=name,
        task_categories=["audio-classification"],
        size_categories=[next((size for limit, size in _SIZES if clips < limit), "n>1M")],
        tags=["audio", "mel-spectrogram", "audiocnn"],
    )
    return str(card.to_yaml())


def _file_table(clips: int, recipe: Recipe) -> str:
    rows = [
        ("file", "what"),
        ("features.pkl", f"float32 {(clips, *recipe.shape, 1)}: clips, mel bands, frames, 1; dB"),
        ("labels.pkl, folds.pkl", f"int64 ({clips},)"),
        ("class_mapping.pkl", "{label: class name}"),
        ("recipe.json", "how sound became spectrogram"),
        ("clips.csv", "the sound file of each row, its fold and group"),
        ("leaks.json, leaks.csv", "what stands in two folds: numbers, and the pairs"),
    ]
    return markdown(rows, left=2)


def _clip_table(clips: Sequence[Clip], dataset: AudioFolder, folds: Sequence[int]) -> str:
    counts = Counter((clip.label, clip.fold) for clip in clips)
    header = ["label", "class", *(f"fold {fold}" for fold in folds)]
    rows = [
        [str(label), name, *(str(counts[label, fold]) for fold in folds)] for label, name in enumerate(dataset.classes)
    ]
    return markdown([header, *rows], left=2)


def _folds(dataset: AudioFolder) -> str:
    """Where the folds come from, and what stays together in them."""
    names = ", ".join(f"{number} is {literal(name)}" for number, name in sorted(dataset.fold_names.items()))
    named = f" ({names})" if names else ""
    kept = literal(dataset.groups) if dataset.groups else "none known"
    return f"Folds: {literal(dataset.made_folds or 'as given')}{named}. Groups that must stay together: {kept}."


def _recipe(recipe: Recipe) -> str:
    numbers = recipe.model_dump(exclude={"libraries"})
    return f"Recipe: {_listed(numbers)}; made with {_listed(recipe.libraries)}."


def _listed(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _params(repository: str, folds: list[int]) -> str:
    """The lines of params.yaml that name the dataset. folds: indices of those to hold out."""
    return f"```yaml\nfolds: {folds}\ndata:\n  source: hf://datasets/{repository}@main\n```"
