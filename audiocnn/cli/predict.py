"""`audiocnn predict`: which files, which weights, and the three forms of its output.

A table is for people, a line of JSON a window for programs, CSV for spreadsheets and dataframes.
"""

import argparse
import csv
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from audiocnn.cli.commands import Commands
from audiocnn.errors import UserError
from audiocnn.processes import decoders_silenced

if TYPE_CHECKING:
    from audiocnn.inference.predictor import Outcome, Prediction
    from audiocnn.inference.pretrained import PretrainedAudioCNN

_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".npy")  # what is taken from a folder; a file that is named may be any
_DECIMALS = 6

_Writer = Callable[["Prediction"], None]


def add_parser(commands: Commands) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("predict", help="name the class of sound files, with its probability")
    parser.add_argument("files", nargs="+", metavar="FILE", help="sound, .npy spectrogram, folder, or - for a list")
    parser.add_argument("--models", default="models", metavar="PLACE", help="folder or hf://OWNER/NAME[@REV] (models)")
    parser.add_argument("--fold", type=int, metavar="K", help="one fold's weights (default: the mean over all folds)")
    parser.add_argument("--hop", type=float, metavar="S", help="between a recording's windows (default: a window)")
    parser.add_argument("--top", type=int, metavar="N", help="the N likeliest classes (default: 1, with --json all)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="file, start, end, rank, class, index, probability")
    form.add_argument("--json", action="store_true", help="a line an object, with the probabilities by class")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints a prediction for each window of each file; 1 where a file could not be used. Raises UserError."""
    files = list(_files(options.files))
    _check(options, files)
    from audiocnn.inference.ensemble import load_models
    from audiocnn.inference.find_weights import find_weights
    from audiocnn.inference.predictor import Predictor

    models = load_models(find_weights(_place(options.models), options.fold))
    _say_what_they_are(models[0])
    predictor = Predictor(models, _hop(options, models[0], files))
    write = _writer(options, files, models[0].classes)
    with decoders_silenced():
        return int(_report(predictor.outcomes(files), len(files), write))


def _files(names: Sequence[str]) -> Iterator[Path]:
    for name in names:
        if name == "-":
            yield from (Path(os.fsdecode(line)) for line in sys.stdin.buffer.read().splitlines() if line)
        elif Path(name).is_dir():
            yield from sorted(_in_folder(Path(name)))
        else:
            yield Path(name)


def _in_folder(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names if name.lower().endswith(_SUFFIXES))


def _check(options: argparse.Namespace, files: Sequence[Path]) -> None:
    """What can be said before torch is loaded, which takes seconds."""
    if not files:
        raise UserError(f"{', '.join(options.files)}: no files, expected ones that end in {', '.join(_SUFFIXES)}.")
    if options.top is not None and options.top < 1:
        raise UserError(f"--top is {options.top}, expected at least 1.")
    if any(map(_is_sound, files)):
        from audiocnn.sound.spectrogram import require_audio

        require_audio()


def _is_sound(file: Path) -> bool:
    return file.suffix.lower() != ".npy"


def _place(models: str) -> str:
    """A folder or file as it is; an address of the Hub only with hf://, so that a mistyped folder is not looked up."""
    if not models.startswith("hf://") and not Path(models).exists():
        raise UserError(f"--models {models} is not here: train with 'dvc repro', or name a folder or hf://OWNER/NAME.")
    return models


def _say_what_they_are(model: "PretrainedAudioCNN") -> None:
    if model.header is None:
        print("these weights have no header: classes are shown by their number", file=sys.stderr)
    elif model.header.source == "demo":
        print("these weights are of the demo (synthetic sounds): for real ones, train on real ones", file=sys.stderr)


def _hop(options: argparse.Namespace, model: "PretrainedAudioCNN", files: Sequence[Path]) -> float:
    recipe, sound = model.recipe, next(filter(_is_sound, files), None)
    if recipe is None:
        if sound is not None:
            raise UserError(
                f"{sound} is taken for a sound, and the weights in {options.models} hold no recipe to make a "
                "spectrogram of it: give .npy spectrograms, or train on a folder that 'audiocnn features' made."
            )
        return math.inf
    least = recipe.hop_length / recipe.rate
    if options.hop is not None and not least <= options.hop < math.inf:
        raise UserError(f"--hop is {options.hop:g} s, expected at least {least:g}, from one frame to the next.")
    return recipe.seconds if options.hop is None else float(options.hop)


def _report(outcomes: Iterator["Outcome"], count: int, write: _Writer) -> bool:
    """Writes what comes, while it comes; returns whether a file was bad."""
    bad = False
    for outcome in tqdm(outcomes, total=count, desc="predict", unit="file", disable=None, leave=False):
        with tqdm.external_write_mode(file=sys.stdout):
            if outcome.problem is not None:
                bad = True
                print(f"error: {_printable(outcome.path)}: {outcome.problem}", file=sys.stderr)
            else:
                for prediction in outcome.predictions:
                    write(prediction)
                sys.stdout.flush()
    return bad


def _writer(options: argparse.Namespace, files: Sequence[Path], classes: Sequence[str]) -> _Writer:
    sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]  # file names are any bytes
    if options.json:
        return lambda prediction: _write_json(prediction, classes, options.top or len(classes))
    if options.csv:
        return _csv_writer(classes, options.top or 1)
    return _table_writer(files, classes, options.top or 1)


def _write_json(prediction: "Prediction", classes: Sequence[str], top: int) -> None:
    best = _top(prediction, top)
    line = {
        "file": prediction.name,
        "start": prediction.start,
        "end": prediction.end,
        "class": classes[best[0][0]],
        "index": best[0][0],
        "probability": best[0][1],
        "probabilities": {classes[index]: probability for index, probability in best},
    }
    print(json.dumps(line, allow_nan=False))


def _csv_writer(classes: Sequence[str], top: int) -> _Writer:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["file", "start", "end", "rank", "class", "index", "probability"])

    def write(prediction: "Prediction") -> None:
        place = (prediction.name, prediction.start, prediction.end)
        for rank, (index, probability) in enumerate(_top(prediction, top), start=1):
            writer.writerow([*place, rank, classes[index], index, probability])

    return write


def _table_writer(files: Sequence[Path], classes: Sequence[str], top: int) -> _Writer:
    file_width = max(len(_printable(file)) for file in files)
    class_width = max(map(len, ("class", *classes)))
    answers = "  ".join([f"{'class':{class_width}}  probability"] * min(top, len(classes)))
    print(f"{'file':{file_width}}  {'start s':>9}  {'end s':>9}  {answers}")

    def write(prediction: "Prediction") -> None:
        times = "  ".join(
            "        -" if time is None else f"{time:9.2f}" for time in (prediction.start, prediction.end)
        )
        cells = "  ".join(f"{classes[i]:{class_width}}  {p:11.4f}" for i, p in _top(prediction, top))
        print(f"{_printable(prediction.name):{file_width}}  {times}  {cells}")

    return write


def _top(prediction: "Prediction", top: int) -> list[tuple[int, float]]:
    """The `top` likeliest classes' index and probability, likeliest first, the first of equals first."""
    values = prediction.probabilities
    order = sorted(range(len(values)), key=lambda index: -values[index])
    return [(index, round(values[index], _DECIMALS)) for index in order[:top]]


def _printable(name: str | Path) -> str:
    """A file's name without anything that a terminal might obey."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(name))
