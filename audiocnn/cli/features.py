"""`audiocnn features`: its options as a layout and a recipe, and what it says."""

import argparse
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiocnn.cli.commands import Commands
from audiocnn.errors import UserError
from audiocnn.processes import usable_cores
from audiocnn.text import displayed

if TYPE_CHECKING:
    from audiocnn.sound.layouts import Choices, Listing
    from audiocnn.sound.leaks import Leak
    from audiocnn.sound.lengths import Lengths
    from audiocnn.sound.recipe import Recipe
    from audiocnn.sound.recordings import AudioFolder, Clip

_SECONDS = 4.0
_RECIPE_OPTIONS = ("rate", "n_fft", "hop_length", "n_mels", "fmin", "fmax", "top_db")


def add_parser(commands: Commands) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("features", help="turn a folder of sound files into a dataset of spectrograms")
    parser.add_argument("audio_dir", type=Path, metavar="AUDIO_DIR", help="the recordings, with a table or without")
    parser.add_argument("out_dir", type=Path, metavar="OUT_DIR", nargs="?", help="a folder for data.source")
    parser.add_argument("--dry-run", action="store_true", help="print what is recognised, and stop")
    clips = parser.add_argument_group("the clips, where the table or the folders do not tell")
    clips.add_argument("--metadata", type=Path, metavar="FILE", help="the table that lists the clips")
    clips.add_argument(
        "--file-column", metavar="NAME", help="column of file names (its number if the table has no header)"
    )
    clips.add_argument("--fold-column", metavar="NAME", help="column of folds: numbers, or names of folds or splits")
    clips.add_argument("--label-column", metavar="NAME", help="column of numeric labels (text is taken as class names)")
    clips.add_argument("--class-column", metavar="NAME", help="column of class names")
    clips.add_argument("--class-from", metavar="REGEX", help="the class is this part of a file's name")
    folds = parser.add_argument_group("folds")
    folds.add_argument("--folds", type=int, metavar="K", help="make K folds, balanced by class")
    folds.add_argument("--seed", type=int, metavar="N", default=0, help="of the folds that are made (default: 0)")
    folds.add_argument(
        "--group-by", metavar="WHAT", help="keep together: a column, 'folder', or a REGEX on the file's name"
    )
    recipe = parser.add_argument_group("the recipe, the same for training and for prediction")
    recipe.add_argument("--rate", type=int, metavar="HZ", help="to resample to (default: 22050)")
    recipe.add_argument("--seconds", metavar="S", help="to pad or cut to, or auto (default: a known dataset's, else 4)")
    recipe.add_argument("--n-fft", type=int, metavar="N", help="samples per FFT frame (default: 2048)")
    recipe.add_argument("--hop-length", type=int, metavar="N", help="samples from one frame to the next (default: 512)")
    recipe.add_argument("--n-mels", type=int, metavar="N", help="mel bands (default: 128)")
    recipe.add_argument("--fmin", type=float, metavar="HZ", help="lowest frequency (default: 0)")
    recipe.add_argument("--fmax", type=float, metavar="HZ", help="highest frequency (default: half the rate)")
    recipe.add_argument("--top-db", type=float, metavar="DB", help="range below the maximum (default: 80)")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (default: one per core)")
    parser.add_argument("--skip-bad", action="store_true", help="leave out the clips that cannot be used")
    parser.add_argument("--push", metavar="hf://datasets/OWNER/NAME", help="upload the result, with a dataset card")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Prints what is recognised, makes the features and prints what was made. Raises UserError."""
    from audiocnn.sound.dataset_card import dataset_card
    from audiocnn.sound.make_dataset import make_features, remove_partial
    from audiocnn.sound.spectrogram import require_audio

    require_audio()
    _check(options)
    repository = None if options.push is None else _repository(options.push)
    dataset, recipe = _recognise(options)
    if options.dry_run:
        return
    jobs = usable_cores() if options.jobs is None else options.jobs
    clips, leaks = make_features(options.audio_dir, dataset, recipe, options.out_dir, jobs, options.skip_bad)
    if repository is not None:
        _push(options.out_dir, dataset_card(repository, clips, dataset, recipe, leaks), repository)
    remove_partial(options.out_dir)  # kept until here, so that after a push that fails the next run only pushes
    _say_what_leaks(clips, leaks, dataset, options.out_dir)
    _say_what_was_made(clips, dataset, recipe, options.push or options.out_dir)


def _push(folder: Path, card: str, repository: str) -> None:
    from audiocnn.hub.push import push
    from audiocnn.sound.make_dataset import FILES

    files: dict[str, Path | bytes] = {name: folder / name for name in FILES}
    files["README.md"] = card.encode()
    push(repository, "dataset", files, "Spectrograms made by audiocnn features")


def _check(options: argparse.Namespace) -> None:
    """Raises UserError where an option makes no sense by itself."""
    if options.jobs is not None and options.jobs < 1:
        raise UserError(f"--jobs is {options.jobs}, expected at least 1.")
    if options.folds is not None and options.folds < 2:
        raise UserError(f"--folds is {options.folds}, expected at least 2.")
    if not 0 <= options.seed < 2**32:
        raise UserError(f"--seed is {options.seed}, expected a whole number from 0 to {2**32 - 1}.")
    if not options.audio_dir.is_dir():
        raise UserError(f"{options.audio_dir} is not a folder: name the one that holds the sound files.")
    if options.out_dir is None and not options.dry_run:
        raise UserError("OUT_DIR is not given: name a folder for the dataset, or look first with --dry-run.")


def _recognise(options: argparse.Namespace) -> "tuple[AudioFolder, Recipe]":
    """The clips and the recipe, shown as one table. Raises UserError where they are not what prepare will take."""
    from audiocnn.sound.folds import check_folds, with_folds
    from audiocnn.sound.layouts import list_clips
    from audiocnn.sound.lengths import read_lengths
    from audiocnn.sound.recordings import missing_files, read_clips, without_missing

    listing = list_clips(options.audio_dir, _choices(options))
    listing = without_missing(listing) if options.skip_bad and listing.missing else listing
    dataset = read_clips(listing)
    dataset = dataset if options.folds is None else with_folds(dataset, options.folds, options.seed)
    missing = set(listing.missing)
    files = [clip.file for clip in dataset.clips if clip.file not in missing]
    recipe = _show(options, listing, dataset, read_lengths(options.audio_dir, files))
    if options.dry_run and not dataset.has_folds:
        print("no folds are given: a run needs --folds K, and --group-by where clips share a speaker or a recording")
    else:
        check_folds(dataset)
    if missing:
        raise UserError(missing_files(listing))
    return dataset, recipe


def _show(options: argparse.Namespace, listing: "Listing", dataset: "AudioFolder", lengths: "Lengths") -> "Recipe":
    """Prints the table; returns the recipe, whose length it may propose."""
    from audiocnn.sound.recognised import recognised

    default = _recipe(options, 600.0)  # for its other numbers
    proposed = lengths.proposed(_least_seconds(default))
    if options.seconds == "auto":
        recipe = _recipe(options, proposed)
    else:
        recipe = _recipe(options, _number(options.seconds, listing.seconds or _SECONDS))
    print(recognised(listing, dataset, lengths, recipe.seconds, proposed))
    if dataset.csv_labels != list(range(len(dataset.classes))):
        labels = ", ".join(f"{old} -> {new}" for new, old in enumerate(dataset.csv_labels))
        print(displayed(f"labels are numbered anew, from 0 without gaps: {labels}"))
    _check_size(recipe)
    return recipe


def _number(seconds: str | None, default: float) -> float:
    try:
        return default if seconds is None else float(seconds)
    except ValueError:
        raise UserError(f"--seconds is {seconds!r}, expected a number of seconds or auto.") from None


def _least_seconds(recipe: "Recipe") -> float:
    """The shortest clips that the network takes."""
    from audiocnn.config.model_params import MIN_FRAMES

    return max(MIN_FRAMES * recipe.hop_length, recipe.n_fft) / recipe.rate


def _check_size(recipe: "Recipe") -> None:
    """Raises UserError where the network's pooling would leave nothing of a spectrogram."""
    from audiocnn.config.model_params import MIN_FRAMES, MIN_MELS

    if recipe.n_mels < MIN_MELS or recipe.frames < MIN_FRAMES:
        raise UserError(
            f"the recipe gives {recipe.n_mels} mels and {recipe.frames} frames, and the network needs at least "
            f"{MIN_MELS} and {MIN_FRAMES}: raise --n-mels or --seconds, or lower --hop-length."
        )


def _repository(address: str) -> str:
    """OWNER/NAME of hf://datasets/OWNER/NAME. Raises UserError."""
    from audiocnn.config.hub_names import dataset_name

    name = dataset_name(address)
    if name is None or "@" in address:
        raise UserError(f"--push is {address!r}, expected hf://datasets/OWNER/NAME.")
    return name.repository


def _choices(options: argparse.Namespace) -> "Choices":
    from audiocnn.sound.columns import ColumnNames
    from audiocnn.sound.layouts import Choices

    columns = ColumnNames(options.file_column, options.label_column, options.class_column, options.fold_column)
    return Choices(options.metadata, columns, options.class_from, options.group_by)


def _recipe(options: argparse.Namespace, seconds: float) -> "Recipe":
    from audiocnn.config.settings import validate
    from audiocnn.sound.recipe import Recipe
    from audiocnn.sound.spectrogram import library_versions

    given: dict[str, Any] = {option: getattr(options, option) for option in _RECIPE_OPTIONS}
    given = {option: value for option, value in given.items() if value is not None}
    fixed = {"seconds": seconds, "floor": "relative", "libraries": library_versions()}
    return validate(Recipe, {**fixed, **given}, "the recipe's options")


def _say_what_leaks(clips: "Sequence[Clip]", leaks: "Sequence[Leak]", dataset: "AudioFolder", out: Path) -> None:
    from audiocnn.sound.leaks import count_leaks, leak_table
    from audiocnn.sound.make_dataset import LEAK_PAIRS

    print(f"leaks {count_leaks(leaks, clips).sentence}")
    if leaks:
        print(leak_table(leaks, dataset.fold_names), displayed(f"all of them are in {out / LEAK_PAIRS}"), sep="\n")


def _say_what_was_made(clips: "Sequence[Clip]", dataset: "AudioFolder", recipe: "Recipe", where: str | Path) -> None:
    from audiocnn.sound.folds import held_out

    folds = len({clip.fold for clip in clips})
    made = f"{where}: features {(len(clips), *recipe.shape, 1)}, {len(dataset.classes)} classes in {folds} folds"
    print(displayed(made))
    listed = ",".join(map(str, held_out(dataset, clips)))
    print("to train on them:", displayed(_command(str(where), listed)), sep="\n")


def _command(source: str, folds: str) -> str:
    """The line that trains, as a shell and then DVC's reader of overrides, Hydra, understand it."""
    plain = re.fullmatch(r"[\w./:@~+-]+", source, re.ASCII)
    quoted = source if plain else "'" + source.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return f"dvc exp run -S {shlex.quote(f'data.source={quoted}')} -S 'folds=[{folds}]'"
