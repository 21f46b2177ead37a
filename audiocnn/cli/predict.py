"""`audiocnn predict`: which files, which weights, and the three forms of its output.

A table is for people, one line of JSON per window for programs, CSV for spreadsheets and dataframes.
"""

import argparse
import csv
import json
import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from audiocnn.cli.commands import Commands
from audiocnn.errors import UserError
from audiocnn.sound.suffixes import SUFFIXES
from audiocnn.text import displayed

if TYPE_CHECKING:
    from audiocnn.inference.predictor import Event, Prediction
    from audiocnn.inference.pretrained import PretrainedAudioCNN

_SPECTROGRAM = ".npy"
_DECIMALS = 6  # of a probability
_SILENT = "silent"  # stands for a class, with no index and no probability
_BAR = "{l_bar}{bar}| {n:.1f}/{total} files [{elapsed}<{remaining}]"

_Writer = Callable[["Prediction"], None]


def add_parser(commands: Commands) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("predict", help="name the class of sound files, with its probability")
    parser.add_argument("files", nargs="+", metavar="FILE", help="sound, .npy spectrogram, folder, or - for a list")
    parser.add_argument(
        "--models",
        action="append",
        metavar="PLACE",
        help="folder, file or hf://OWNER/NAME[@REV][/FILE] (models); repeat to average the networks of several runs",
    )
    parser.add_argument("--fold", type=int, metavar="K", help="one fold's weights (default: the mean over all folds)")
    parser.add_argument(
        "--hop", type=float, metavar="S", help="seconds from one window to the next (default: a window's length)"
    )
    parser.add_argument(
        "--over-windows",
        choices=("mean", "max"),
        help="one answer per recording instead of one per window: the mean or the maximum",
    )
    parser.add_argument("--top", type=int, metavar="N", help="the N likeliest classes (default: 1, with --json all)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="file, start, end, rank, class, index, probability")
    form.add_argument("--json", action="store_true", help="one JSON object per line, with every class's probability")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints a prediction for each window of each file; 1 where a file could not be used. Raises UserError."""
    files = list(_files(options.files))
    _check(options, files)
    from audiocnn.inference.ensemble import load_models
    from audiocnn.inference.find_weights import find_weights
    from audiocnn.inference.predictor import Predictor

    options.models = options.models or ["models"]
    places = [_place(place) for place in options.models]
    models = load_models([path for place in places for path in find_weights(place, options.fold)])
    _say_what_they_are(models[0])
    predictor = Predictor(models, _hop(options, models[0], files), options.over_windows)
    write = _writer(options, files, models[0].classes)
    return int(_report(predictor.events(files), len(files), write))


def _files(names: Sequence[str]) -> Iterator[Path]:
    for name in names:
        if name == "-":
            yield from (Path(os.fsdecode(line)) for line in sys.stdin.buffer.read().splitlines() if line)
        elif Path(name).is_dir():
            yield from _in_folder(Path(name))
        else:
            yield Path(name)


def _in_folder(folder: Path) -> list[Path]:
    """The sounds and spectrograms below a folder, in order. Says how many other files there are, by kind."""
    files = [Path(place, name) for place, _, names in os.walk(folder) for name in names]
    # A pipe in a folder would be waited for; one that is named is wanted.
    taken = [path for path in files if path.suffix.lower() in (*SUFFIXES, _SPECTROGRAM) and path.is_file()]
    kinds = Counter(path.suffix.lower() or "without suffix" for path in set(files).difference(taken))
    if kinds:
        left_out = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        print(displayed(f"{folder}: left out {left_out}"), file=sys.stderr)
    return sorted(taken)


def _check(options: argparse.Namespace, files: Sequence[Path]) -> None:
    """What can be said before torch is loaded, which takes seconds."""
    if not files:
        kinds = ", ".join(sorted(SUFFIXES))
        where = ", ".join(options.files)
        raise UserError(f"{where}: no files, expected spectrograms ({_SPECTROGRAM}) or sounds ({kinds}).")
    if options.top is not None and options.top < 1:
        raise UserError(f"--top is {options.top}, expected at least 1.")
    if any(map(_is_sound, files)):
        from audiocnn.sound.spectrogram import require_audio

        require_audio()


def _is_sound(file: Path) -> bool:
    return file.suffix.lower() != _SPECTROGRAM


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
                f"{sound} is taken for a sound, and the weights in {', '.join(options.models)} hold no recipe to make "
                "a spectrogram of it: give .npy spectrograms, or train on a folder that 'audiocnn features' made."
            )
        return math.inf
    least = recipe.hop_length / recipe.rate
    if options.hop is not None and not least <= options.hop < math.inf:
        raise UserError(f"--hop is {options.hop:g} s, expected at least {least:g}, from one frame to the next.")
    return recipe.seconds if options.hop is None else float(options.hop)


def _report(events: Iterable["Event"], count: int, write: _Writer) -> bool:
    """Writes what comes, while it comes; returns whether a file was bad."""
    from audiocnn.inference.predictor import End, Prediction, Progress, Trouble

    bad, ended = False, 0
    with tqdm(total=count, desc="predict", bar_format=_BAR, disable=None, leave=False) as bar:
        for event in events:
            if isinstance(event, Progress | End):
                ended += isinstance(event, End)
                bar.update(ended + (event.part if isinstance(event, Progress) else 0.0) - bar.n)
                continue
            with tqdm.external_write_mode(file=sys.stdout):
                if isinstance(event, Prediction):
                    write(event)
                    sys.stdout.flush()
                elif isinstance(event, Trouble):
                    bad = bad or event.is_error
                    kind = "error" if event.is_error else "note"
                    print(f"{kind}: {_printable(event.name)}: {displayed(event.text)}", file=sys.stderr)
    return bad


def _writer(options: argparse.Namespace, files: Sequence[Path], classes: Sequence[str]) -> _Writer:
    sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]  # file names are any bytes
    if options.json:
        return lambda prediction: _write_json(prediction, classes, options.top or len(classes))
    if options.csv:
        return _csv_writer(classes, options.top or 1)
    return _table_writer(files, classes, options.top or 1)


def _write_json(prediction: "Prediction", classes: Sequence[str], top: int) -> None:
    answer = prediction.answer
    best = _top(prediction, top)
    line = {
        "file": prediction.name,
        "start": answer.start,
        "end": answer.end,
        "silent": answer.is_silent,
        "class": best[0][1] if best else None,
        "index": best[0][0] if best else None,
        "probability": best[0][2] if best else None,
        "probabilities": {name: probability for _, name, probability in best},
    }
    print(json.dumps(line, allow_nan=False))


def _csv_writer(classes: Sequence[str], top: int) -> _Writer:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["file", "start", "end", "rank", "class", "index", "probability"])

    def write(prediction: "Prediction") -> None:
        place = (prediction.name, prediction.answer.start, prediction.answer.end)
        for rank, (index, name, probability) in enumerate(_top(prediction, top), start=1):
            writer.writerow([*place, rank, name, index, probability])
        if prediction.answer.is_silent:
            writer.writerow([*place, None, _SILENT, None, None])

    return write


def _table_writer(files: Sequence[Path], classes: Sequence[str], top: int) -> _Writer:
    file_width = max(len(_printable(file)) for file in files)
    class_width = max(map(len, ("class", _SILENT, *classes)))
    answers = "  ".join([f"{'class':{class_width}}  probability"] * min(top, len(classes)))
    print(f"{'file':{file_width}}  {'start s':>9}  {'end s':>9}  {answers}")

    def write(prediction: "Prediction") -> None:
        times = "  ".join(
            "        -" if time is None else f"{time:9.2f}" for time in (prediction.answer.start, prediction.answer.end)
        )
        cells = "  ".join(f"{name:{class_width}}  {p:11.4f}" for _, name, p in _top(prediction, top))
        said = cells or f"{_SILENT:{class_width}}  {'-':>11}"
        print(f"{_printable(prediction.name):{file_width}}  {times}  {said}")

    return write


def _top(prediction: "Prediction", top: int) -> list[tuple[int, str, float]]:
    """The `top` likeliest classes' index, name and probability, likeliest first, the first of equals first."""
    found = [(index, name, p) for index, (name, p) in enumerate(prediction.answer.probabilities.items())]
    return [(index, name, round(p, _DECIMALS)) for index, name, p in sorted(found, key=lambda row: -row[2])[:top]]


def _printable(name: str | Path) -> str:
    """A file's name without anything that a terminal might obey."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(name))
