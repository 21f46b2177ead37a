"""`audiocnn features`: its options as a layout and a recipe, and what it says."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiocnn.cli.commands import Commands
from audiocnn.errors import UserError
from audiocnn.processes import usable_cores

if TYPE_CHECKING:
    from audiocnn.sound.recipe import Recipe
    from audiocnn.sound.recordings import AudioFolder, Clip, Layout

_COLUMNS = {
    "file_column": "file",
    "fold_column": "fold",
    "label_column": "label",
    "class_column": "class_name",
}
_RECIPE_OPTIONS = ("rate", "seconds", "n_fft", "hop_length", "n_mels", "fmin", "fmax", "top_db")


def add_parser(commands: Commands) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("features", help="turn a folder of sound files into a dataset of spectrograms")
    parser.add_argument("audio_dir", type=Path, metavar="AUDIO_DIR", help="UrbanSound8K's or ESC-50's layout, or any")
    parser.add_argument("out_dir", type=Path, metavar="OUT_DIR", help="a folder for data.source in params.yaml")
    csv = parser.add_argument_group("the CSV that lists the clips, where the layout is another")
    csv.add_argument("--metadata", type=Path, metavar="FILE", help="files are named in it relative to AUDIO_DIR")
    csv.add_argument("--file-column", metavar="NAME", help="(default: filename)")
    csv.add_argument("--fold-column", metavar="NAME", help="(default: fold)")
    csv.add_argument("--label-column", metavar="NAME", help="whole numbers (default: label)")
    csv.add_argument("--class-column", metavar="NAME", help="class names (default: class)")
    recipe = parser.add_argument_group("the recipe, the same for training and for prediction")
    recipe.add_argument("--rate", type=int, metavar="HZ", help="to resample to (default: 22050)")
    recipe.add_argument("--seconds", type=float, metavar="S", help="to pad or cut to (default: 5 for ESC-50, else 4)")
    recipe.add_argument("--n-fft", type=int, metavar="N", help="samples in a window (default: 2048)")
    recipe.add_argument("--hop-length", type=int, metavar="N", help="samples between windows (default: 512)")
    recipe.add_argument("--n-mels", type=int, metavar="N", help="mel bands (default: 128)")
    recipe.add_argument("--fmin", type=float, metavar="HZ", help="lowest frequency (default: 0)")
    recipe.add_argument("--fmax", type=float, metavar="HZ", help="highest frequency (default: half the rate)")
    recipe.add_argument("--top-db", type=float, metavar="DB", help="range below the maximum (default: 80)")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (default: one a core)")
    parser.add_argument("--skip-bad", action="store_true", help="leave out the clips that cannot be used")
    parser.add_argument("--push", metavar="hf://datasets/OWNER/NAME", help="upload the result, with a dataset card")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Makes the features and prints what was made. Raises UserError."""
    from audiocnn.hub.datasets import push_dataset
    from audiocnn.sound.dataset_card import dataset_card
    from audiocnn.sound.make_dataset import FILES, make_features, remove_partial
    from audiocnn.sound.recordings import read_audio_folder
    from audiocnn.sound.spectrogram import require_audio

    require_audio()
    jobs = usable_cores() if options.jobs is None else options.jobs
    if jobs < 1:
        raise UserError(f"--jobs is {jobs}, expected at least 1.")
    if not options.audio_dir.is_dir():
        raise UserError(f"{options.audio_dir} is not a folder: name the one that holds the sound files.")
    layout = _layout(options)
    recipe = _recipe(options, layout)
    dataset = read_audio_folder(options.audio_dir, layout)
    _say_what_was_read(dataset, layout)
    repository = None if options.push is None else _repository(options.push)
    clips = make_features(options.audio_dir, dataset, recipe, options.out_dir, jobs, options.skip_bad)
    if repository is not None:
        push_dataset(options.out_dir, FILES, dataset_card(repository, clips, dataset.classes, recipe), repository)
    remove_partial(options.out_dir)  # kept until here, so that after a push that fails the next run only pushes
    _say_what_was_made(clips, dataset.classes, recipe, options.push or options.out_dir)


def _repository(address: str) -> str:
    """OWNER/NAME of hf://datasets/OWNER/NAME. Raises UserError."""
    from audiocnn.config.hub_names import dataset_name

    name = dataset_name(address)
    if name is None or "@" in address:
        raise UserError(f"--push is {address!r}, expected hf://datasets/OWNER/NAME.")
    return name.repository


def _layout(options: argparse.Namespace) -> "Layout":
    from audiocnn.sound.recordings import OTHER, recognise

    if options.metadata is None:
        layout = recognise(options.audio_dir)
    else:
        layout = replace(OTHER, metadata=str(options.metadata.absolute()))
    given = {attribute: getattr(options, option) for option, attribute in _COLUMNS.items()}
    return replace(layout, **{attribute: name for attribute, name in given.items() if name is not None})


def _recipe(options: argparse.Namespace, layout: "Layout") -> "Recipe":
    from audiocnn.config.settings import validate
    from audiocnn.sound.recipe import Recipe
    from audiocnn.sound.spectrogram import library_versions

    given: dict[str, Any] = {option: getattr(options, option) for option in _RECIPE_OPTIONS}
    given = {option: value for option, value in given.items() if value is not None}
    return validate(
        Recipe,
        {"seconds": layout.seconds, "floor": "relative", "libraries": library_versions(), **given},
        "the recipe's options",
    )


def _say_what_was_read(dataset: "AudioFolder", layout: "Layout") -> None:
    print(f"{layout.name}: {len(dataset.clips)} clips in {layout.metadata}")
    if dataset.csv_labels != list(range(len(dataset.classes))):
        labels = ", ".join(f"{old} -> {new}" for new, old in enumerate(dataset.csv_labels))
        print(f"labels are numbered anew, from 0 without gaps: {labels}")


def _say_what_was_made(clips: "Sequence[Clip]", classes: Sequence[str], recipe: "Recipe", where: str | Path) -> None:
    folds = len({clip.fold for clip in clips})
    print(f"{where}: features {(len(clips), *recipe.shape, 1)}, {len(classes)} classes in {folds} folds")
    listed = ",".join(map(str, range(folds)))
    print(f"to train on them: dvc exp run -S data.source={where} -S 'folds=[{listed}]'")
