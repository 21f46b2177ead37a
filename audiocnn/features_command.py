"""The command `audiocnn features`: its options as a layout and a recipe, and what it says."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from audiocnn.audio_folder import OTHER, AudioFolder, Clip, Layout, read_audio_folder, recognise
from audiocnn.dataset_push import dataset_card, parse_repository, push_dataset
from audiocnn.errors import UserError
from audiocnn.feature_files import FILES, make_features, remove_partial
from audiocnn.features import library_versions, require_audio
from audiocnn.recipe import Recipe
from audiocnn.settings import validate

COLUMNS = {
    "file_column": "file",
    "fold_column": "fold",
    "label_column": "label",
    "class_column": "class_name",
}
RECIPE_OPTIONS = ("rate", "seconds", "n_fft", "hop_length", "n_mels", "fmin", "fmax", "top_db")


def run(options: argparse.Namespace) -> None:
    """Makes the features and prints what was made. Raises UserError."""
    require_audio()
    jobs = os.cpu_count() or 1 if options.jobs is None else options.jobs
    if jobs < 1:
        raise UserError(f"--jobs is {jobs}, expected at least 1.")
    if not options.audio_dir.is_dir():
        raise UserError(f"{options.audio_dir} is not a folder: name the one that holds the sound files.")
    layout = _layout(options)
    recipe = _recipe(options, layout)
    dataset = read_audio_folder(options.audio_dir, layout)
    _say_what_was_read(dataset, layout)
    repository = None if options.push is None else parse_repository(options.push)
    clips = make_features(options.audio_dir, dataset, recipe, options.out_dir, jobs, options.skip_bad)
    if repository is not None:
        push_dataset(options.out_dir, FILES, dataset_card(repository, clips, dataset.classes, recipe), repository)
    remove_partial(options.out_dir)  # kept until here, so that after a push that fails the next run only pushes
    _say_what_was_made(clips, dataset.classes, recipe, options.push or options.out_dir)


def _layout(options: argparse.Namespace) -> Layout:
    if options.metadata is None:
        layout = recognise(options.audio_dir)
    else:
        layout = replace(OTHER, metadata=str(options.metadata.absolute()))
    given = {attribute: getattr(options, option) for option, attribute in COLUMNS.items()}
    return replace(layout, **{attribute: name for attribute, name in given.items() if name is not None})


def _recipe(options: argparse.Namespace, layout: Layout) -> Recipe:
    given: dict[str, Any] = {option: getattr(options, option) for option in RECIPE_OPTIONS}
    given = {option: value for option, value in given.items() if value is not None}
    return validate(
        Recipe, {"seconds": layout.seconds, "libraries": library_versions(), **given}, "the recipe's options"
    )


def _say_what_was_read(dataset: AudioFolder, layout: Layout) -> None:
    print(f"{layout.name}: {len(dataset.clips)} clips in {layout.metadata}")
    if dataset.csv_labels != list(range(len(dataset.classes))):
        labels = ", ".join(f"{old} -> {new}" for new, old in enumerate(dataset.csv_labels))
        print(f"labels are numbered anew, from 0 without gaps: {labels}")


def _say_what_was_made(clips: Sequence[Clip], classes: Sequence[str], recipe: Recipe, where: str | Path) -> None:
    folds = len({clip.fold for clip in clips})
    print(f"{where}: features {(len(clips), *recipe.shape, 1)}, {len(classes)} classes in {folds} folds")
    listed = ",".join(map(str, range(folds)))
    print(f"to train on them: dvc exp run -S data.source={where} -S 'folds=[{listed}]'")
