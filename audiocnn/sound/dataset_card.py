"""README.md of a dataset repository: what `audiocnn features` made, and how to train on it."""

import re
from collections import Counter
from collections.abc import Sequence

from audiocnn.sound.recipe import Recipe
from audiocnn.sound.recordings import Clip

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def dataset_card(repository: str, clips: Sequence[Clip], classes: Sequence[str], recipe: Recipe) -> str:
    """README.md for a dataset repository: YAML front matter, then what is in the files and how to train on them."""
    size = next((name for limit, name in _SIZES if len(clips) < limit), "n>1M")
    folds = sorted({clip.fold for clip in clips})
    counts = Counter((clip.label, clip.fold) for clip in clips)
    rows = [
        f"| {label} | {_cell(name)} | " + " | ".join(str(counts[label, fold]) for fold in folds) + " |"
        for label, name in enumerate(classes)
    ]
    numbers = recipe.model_dump(exclude={"libraries"})
    return "\n".join(
        [
            "---",
            f"pretty_name: {repository.partition('/')[2]}",
            "task_categories:\n- audio-classification",
            "tags:\n- audio\n- mel-spectrogram\n- audiocnn",
            f"size_categories:\n- {size}",
            "---",
            "",
            f"# {repository.partition('/')[2]}",
            "",
            f"Log-mel spectrograms of {len(clips)} sound clips in {len(classes)} classes and {len(folds)} folds.",
            "The clips keep the licence of the recordings that they were made from.",
            "",
            "| file | what |",
            "|---|---|",
            f"| features.pkl | float32 {(len(clips), *recipe.shape, 1)}: clips, mel bands, frames, 1; dB |",
            f"| labels.pkl, folds.pkl | int64 ({len(clips)},) |",
            "| class_mapping.pkl | {label: class name} |",
            "| recipe.json | how sound became spectrogram |",
            "| clips.csv | the sound file of each row |",
            "",
            "Clips by class and fold:",
            "",
            "| label | class | " + " | ".join(f"fold {fold}" for fold in folds) + " |",
            "|---" * (len(folds) + 2) + "|",
            *rows,
            "",
            "Recipe: " + ", ".join(f"{name} {value}" for name, value in numbers.items()) + "; made with "
            "" + ", ".join(f"{name} {version}" for name, version in recipe.libraries.items()) + ".",
            "",
            "To train AudioCNN on it, in params.yaml:",
            "",
            "```yaml",
            f"folds: {list(range(len(folds)))}",
            "data:",
            f"  source: hf://datasets/{repository}@main",
            "```",
            "",
        ]
    )


def _cell(text: str) -> str:
    """A text from a CSV as a table cell's, whatever it holds."""
    return re.sub(r"[^\w ,.()&'-]", " ", text)
