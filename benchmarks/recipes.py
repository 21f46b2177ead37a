"""What settings are worth: each run is a line of benchmarks/recipe_runs.csv, and docs/recipes.md has their tables.

    python -m benchmarks.recipes run FOLDER --name ESC-10 --preset accurate --epochs 100 --seed 0
    python -m benchmarks.recipes run FOLDER --name ESC-10 --preset accurate --epochs 40 --inner --folds 0 2 \\
        --set train.normalise=mel
    python -m benchmarks.recipes tables

`run` trains folds of a folder with the four pickles, as many side by side as there are cores, one thread each, and
appends a line. `--inner` chooses between settings: the fold before the held-out one validates, all epochs are trained,
and the line has that fold's accuracy after the last one; nothing of the held-out fold is in it. Without it the protocol
is the preset's or that of --set, and the line has what that protocol reports. train.arithmetic is native, and
train.precision bf16, unless --set says otherwise. `tables` prints the lines as Markdown.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from statistics import mean, pstdev, stdev
from typing import Any

import yaml
from tqdm import tqdm

from audiocnn.config.presets import PRESETS
from audiocnn.data.prepare import prepare
from audiocnn.data.prepared import read_meta
from audiocnn.folds.pool import worker_environment
from audiocnn.processes import usable_cores
from tests.support.paths import ROOT

RUNS = ROOT / "benchmarks/recipe_runs.csv"
COLUMNS = (
    "commit",
    "data",
    "protocol",
    "preset",
    "changes",
    "epochs",
    "seed",
    "folds",
    "accuracies",
    "losses",
    "minutes",
    "mistakes",  # how often which class was taken for which, over all folds; empty for inner runs and older lines
)
INNER = "inner"  # in the place of a protocol
_PATIENCE = 1_000_000  # epochs: no early stop
_FREQUENT = 8  # kinds of mistakes that the table names
Run = dict[str, str]

# A fold in a process of its own, which gets the environment of a worker. Prints accuracy, loss, and each mistake: the
# class and what it was taken for.
_FOLD = """
import json, sys, tempfile
from pathlib import Path
from audiocnn.config.model_params import ModelParams
from audiocnn.config.train_params import TrainParams
from audiocnn.data.prepared import read_meta
from audiocnn.evaluation.fold_results import FoldResult
from audiocnn.evaluation.metrics import cross_entropy
from audiocnn.training.loop import train_fold
from audiocnn.training.state import FoldJob

class Quiet:
    def __getattr__(self, name):
        return lambda *arguments: None

task = json.loads(sys.argv[1])
prepared, train = Path(task["prepared"]), TrainParams.model_validate(task["train"])
with tempfile.TemporaryDirectory() as folder:
    job = FoldJob(task["fold"], "", prepared, Path(folder), read_meta(prepared), ModelParams(**task["model"]), train)
    train_fold(job, Quiet())
    result = FoldResult.model_validate_json((Path(folder) / f"fold_{job.fold}.json").read_bytes())
if task["inner"]:
    found = [result.history.val_accuracy[-1], result.history.val_loss[-1]]
elif train.validation == "held_out":
    found = [result.val_accuracy, result.history.val_loss[result.best_epoch]]
else:
    found = [result.test_accuracy, cross_entropy(result.logits, result.labels)]
pairs = zip(result.labels, result.predictions)
mistakes = [[result.classes[label], result.classes[other]] for label, other in pairs if label != other]
print(json.dumps([*found, [] if task["inner"] else mistakes]))
"""


def main() -> None:
    """Runs a setting, or prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    run = commands.add_parser("run")
    run.add_argument("source", type=Path, help="a folder with the four pickles")
    run.add_argument("--name", required=True, help="what the tables call it")
    run.add_argument("--preset", choices=sorted(PRESETS), default="accurate")
    run.add_argument("--epochs", type=int, required=True)
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--folds", type=int, nargs="+", help="default: all")
    run.add_argument(
        "--inner", action="store_true", help="validate on the fold before, leave the held-out one out of the line"
    )
    run.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="changes to the preset")
    commands.add_parser("tables")
    options = parser.parse_args()
    if options.command == "tables":
        print("\n\n".join(tables(read_runs())))
    else:
        append(measured(options))


def measured(options: argparse.Namespace) -> Run:
    """A line of the table: the setting, trained."""
    changes = {key: yaml.safe_load(value) for key, _, value in (text.partition("=") for text in options.set)}
    values = {"train.arithmetic": "native", "train.precision": "bf16", **PRESETS[options.preset]}
    values |= {"train.epochs": options.epochs, "train.seed": options.seed, **changes}
    if options.inner:
        values |= {"train.validation": "previous_fold", "train.early_stopping_patience": _PATIENCE}
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder)
        prepare(options.source, prepared, range(len(_dataset_folds(options.source, prepared))))
        folds = options.folds or list(range(len(read_meta(prepared).folds)))
        start = time.monotonic()
        found = list(_trained(_nested(values), prepared, folds, options.inner))
    return {
        "commit": _commit(),
        "data": options.name,
        "protocol": INNER if options.inner else str(values["train.validation"]),
        "preset": options.preset,
        "changes": " ".join(options.set),
        "epochs": str(options.epochs),
        "seed": str(options.seed),
        "folds": " ".join(map(str, folds)),
        "accuracies": " ".join(f"{accuracy:.4f}" for accuracy, _, _ in found),
        "losses": " ".join(f"{loss:.4f}" for _, loss, _ in found),
        "minutes": f"{(time.monotonic() - start) / 60:.0f}",
        "mistakes": "; ".join(
            f"{count} {label} > {other}"
            for (label, other), count in Counter(pair for *_, pairs in found for pair in pairs).most_common()
        ),
    }


def _dataset_folds(source: Path, scratch: Path) -> Sequence[int]:
    """The dataset's distinct fold numbers, as prepare finds them."""
    prepare(source, scratch, range(1))
    return read_meta(scratch).folds


def _trained(
    values: Mapping[str, Any], prepared: Path, folds: Sequence[int], inner: bool
) -> Iterator[tuple[float, float, list[tuple[str, str]]]]:
    """Accuracy, loss and mistakes of each fold."""

    def train(fold: int) -> tuple[float, float, list[tuple[str, str]]]:
        task = {**values, "fold": fold, "prepared": str(prepared), "inner": inner}
        command = [sys.executable, "-c", _FOLD, json.dumps(task)]
        variables = worker_environment(values["train"]["arithmetic"])
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True)
        accuracy, loss, mistakes = json.loads(done.stdout)
        return accuracy, loss, [(label, other) for label, other in mistakes]

    with ThreadPoolExecutor(usable_cores()) as pool:
        yield from tqdm(pool.map(train, folds), total=len(folds), desc="folds", disable=None, leave=False)


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as groups."""
    nested: dict[str, Any] = {}
    for key, value in values.items():
        *groups, last = key.split(".")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
    return nested


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def read_runs() -> list[Run]:
    """The lines of recipe_runs.csv."""
    with RUNS.open(newline="") as file:
        return list(csv.DictReader(file))


def append(run: Run) -> None:
    """Adds a line, and prints it."""
    with RUNS.open("a", newline="") as file:
        csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(run)
    print(", ".join(f"{name} {value}" for name, value in run.items()))


def tables(runs: Sequence[Run]) -> list[str]:
    """The results over seeds, their most frequent mistakes, then the settings that inner validation compares."""
    results = [run for run in runs if run["protocol"] != INNER]
    return [
        _results(results),
        _mistakes([run for run in results if run["mistakes"]]),
        _inner([run for run in runs if run["protocol"] == INNER]),
    ]


def _named(run: Run) -> tuple[str, str]:
    """A run's preset and the changes to it, but for the protocol. Where they make up another preset: that, and none."""
    changes = [word for word in run["changes"].split() if not word.startswith("train.validation=")]
    values = PRESETS[run["preset"]] | {
        key: yaml.safe_load(value) for key, _, value in (w.partition("=") for w in changes)
    }
    same = next((name for name, preset in PRESETS.items() if preset == values), None)
    return (run["preset"], " ".join(changes)) if same is None else (same, "")


def _by_setting(runs: Sequence[Run]) -> list[tuple[tuple[str, ...], list[Run]]]:
    """Runs that differ in the seed alone, with data, protocol, preset and changes to it, and epochs."""

    def setting(run: Run) -> tuple[Any, ...]:
        preset, changes = _named(run)
        name = f"`{preset}`, `{changes}`" if changes else f"`{preset}`"
        return run["data"], run["protocol"], name, int(run["epochs"]), run["folds"]

    groups = groupby(sorted(runs, key=setting), setting)
    return [(tuple(map(str, values[:4])), list(group)) for values, group in groups]


def _results(runs: Sequence[Run]) -> str:
    lines = [
        "| data | protocol | preset | epochs | seeds | accuracy | std over seeds | std over folds | minutes |",
        "|---" * 9 + "|",
    ]
    for (data, protocol, preset, epochs), seeds in _by_setting(runs):
        accuracies = [_numbers(run["accuracies"]) for run in seeds]
        means = [mean(folds) for folds in accuracies]
        over_folds = pstdev([mean(fold) for fold in zip(*accuracies, strict=True)])
        cells = (
            data,
            f"`{protocol}`",
            preset,
            epochs,
            str(len(seeds)),
            f"{mean(means):.4f}",
            f"{stdev(means):.4f}" if len(means) > 1 else "-",
            f"{over_folds:.4f}",
            str(min(int(run["minutes"]) for run in seeds)),  # the others had other work beside them
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _mistakes(runs: Sequence[Run]) -> str:
    lines = ["| data | preset | epochs | mistakes a run | the most frequent, a run |", "|---" * 5 + "|"]
    for (data, _, preset, epochs), seeds in _by_setting(runs):
        counts: Counter[str] = Counter()
        for run in seeds:
            for mistake in run["mistakes"].split("; "):
                count, _, pair = mistake.partition(" ")
                counts[pair] += int(count)
        total = sum(counts.values()) / len(seeds)
        frequent = ", ".join(f"`{pair}` {count / len(seeds):.1f}" for pair, count in counts.most_common(_FREQUENT))
        lines.append(f"| {data} | {preset} | {epochs} | {total:.0f} | {frequent} |")
    return "\n".join(lines)


def _inner(runs: Sequence[Run]) -> str:
    lines = ["| data | change to `accurate` | folds | epochs | accuracy by fold | mean | loss |", "|---" * 7 + "|"]
    for run in sorted(runs, key=lambda run: (run["data"], run["folds"], -mean(_numbers(run["accuracies"])))):
        accuracies, losses = _numbers(run["accuracies"]), _numbers(run["losses"])
        by_fold = " ".join(f"{accuracy:.4f}" for accuracy in accuracies)
        preset, changes = _named(run)
        changes = f"`{changes}`" if changes else "none" if preset == "accurate" else f"the preset `{preset}`"
        mean_accuracy, mean_loss = f"{mean(accuracies):.4f}", f"{mean(losses):.3f}"
        cells = (run["data"], changes, run["folds"], run["epochs"], by_fold, mean_accuracy, mean_loss)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _numbers(text: str) -> list[float]:
    return [float(word) for word in text.split()]


if __name__ == "__main__":
    main()
