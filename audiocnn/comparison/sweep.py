"""Experiments as settings: runs that differ in their seed alone are one, ordered, with how sure the order is."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtr  # Student's t; scipy.stats has the same and takes 2 s to import

from audiocnn.comparison.experiments import DONE, Experiment
from audiocnn.comparison.paired import obstacles
from audiocnn.comparison.revisions import RevisionResults
from audiocnn.comparison.sides import SEED, together
from audiocnn.config.dvc_lock import is_code
from audiocnn.config.outs import RAW
from audiocnn.evaluation.intervals import held_out_ratio
from audiocnn.evaluation.read import headline_metrics

Inputs = dict[str, Any]


class Setting(NamedTuple):
    """Params and code, without the seed. runs: a finished one a seed. states: how many there are of the others."""

    params: Inputs
    code: str
    data: str
    runs: dict[Any, RevisionResults]
    states: Counter[str]


class Row(NamedTuple):
    """A setting as measured. mean: over folds and seeds, as the two spreads; None where nothing is finished.

    over_seeds: std (ddof 1) of the seeds' means, None with one seed. over_folds: std (ddof 0, as in metrics/) of the
    folds' means. p: Holm's, that this setting is as good as the first row; None where they cannot be compared.
    """

    setting: Setting
    metric: str
    mean: float | None
    over_seeds: float | None
    over_folds: float | None
    p: float | None


class Sweep(NamedTuple):
    """rows: of the protocol that most of them have first, the best first.

    changed: the params in which they differ. pairs: how many comparisons p is corrected for.
    """

    rows: list[Row]
    changed: list[str]
    pairs: int


def sweep(experiments: Sequence[Experiment]) -> Sweep:
    """The experiments as rows: by protocol, in each the largest mean accuracy first; unmeasured ones last.

    Numbers of two protocols are not compared. The one of most settings comes first, of equals the one met first.
    """
    settings = [(setting, _merged(setting)) for setting in _settings(experiments)]
    counts = Counter(merged.validation for _, merged in settings if merged)
    protocols = [name for name, _ in counts.most_common()]

    def place(pair: tuple[Setting, RevisionResults | None]) -> tuple[int, float]:
        merged = pair[1]
        return (protocols.index(merged.validation), -_mean(merged)) if merged else (len(protocols), 0.0)

    ordered = sorted(settings, key=place)
    adjusted = _holm({key: p for key in combinations(range(len(ordered)), 2) if (p := _p(ordered, *key)) is not None})
    rows = [_row(setting, merged, adjusted.get((0, index))) for index, (setting, merged) in enumerate(ordered)]
    return Sweep(rows, _changed([row.setting.params for row in rows]), len(adjusted))


def _settings(experiments: Sequence[Experiment]) -> list[Setting]:
    """The experiments by what they have in common; of two with one seed, which are the same run, the first counts."""
    found: dict[str, Setting] = {}
    for experiment in sorted(experiments, key=lambda experiment: experiment.state != DONE):
        params = {name: value for name, value in experiment.inputs.items() if not _is_digest(name)}
        seed = params.pop(SEED, None)
        code = _digest({name: value for name, value in experiment.inputs.items() if is_code(name)})
        data = _digest(sorted(experiment.results.data)) if experiment.results else ""
        # What is not finished has no data yet: it joins the setting that has its params and code.
        known = _digest([params, code])
        key = f"{known}{data}" if data else next((key for key in found if key.startswith(known)), known)
        setting = found.setdefault(key, Setting(params, code[:7], data[:7], {}, Counter()))
        if experiment.results is None:
            setting.states[experiment.state] += 1
        else:
            setting.runs.setdefault(seed, experiment.results)
    return list(found.values())


def _is_digest(name: str) -> bool:
    return is_code(name) or name == RAW.as_posix()


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _merged(setting: Setting) -> RevisionResults | None:
    return together("", list(setting.runs.values())) if setting.runs else None


def _mean(merged: RevisionResults) -> float:
    return float(np.mean(_accuracies(merged)))


def _accuracies(run: RevisionResults) -> list[float]:
    metric = headline_metrics(run.validation)[0]
    return [run.folds[fold][metric] for fold in sorted(run.folds)]


def _row(setting: Setting, merged: RevisionResults | None, p: float | None) -> Row:
    if merged is None:
        return Row(setting, "", None, None, None, None)
    seeds = [float(np.mean(_accuracies(run))) for run in setting.runs.values()]
    over_seeds = float(np.std(seeds, ddof=1)) if len(seeds) > 1 else None
    metric = headline_metrics(merged.validation)[0]
    return Row(setting, metric, _mean(merged), over_seeds, float(np.std(_accuracies(merged))), p)


def _p(ordered: Sequence[tuple[Setting, RevisionResults | None]], first: int, second: int) -> float | None:
    """p of one pair of settings, paired by fold and by the seeds that both have (by fold alone where none is)."""
    (one, merged_one), (other, merged_other) = ordered[first], ordered[second]
    if merged_one is None or merged_other is None or obstacles(merged_one, merged_other):
        return None
    common = one.runs.keys() & other.runs.keys()
    sides = [
        together("", [run for seed, run in setting.runs.items() if not common or seed in common])
        for setting in (one, other)
    ]
    folds = sorted(sides[0].folds.keys() & sides[1].folds.keys())
    metric = headline_metrics(sides[0].validation)[0]
    differences = [round(sides[0].folds[fold][metric] - sides[1].folds[fold][metric], 6) for fold in folds]
    return paired_p(differences, held_out_ratio(sides[0].folds.keys() | sides[1].folds.keys(), sides[0].validation))


def paired_p(differences: Sequence[float], ratio: float) -> float | None:
    """Two-sided p that the mean of one difference a fold is 0; None where the folds are too few to tell.

    The t-test that intervals.interval has the 95 % interval of: the same variance for folds that share training clips.
    """
    if len(differences) < 2:
        return None
    if not any(differences):
        return 1.0
    count, spread = len(differences), float(np.std(differences, ddof=1))
    if spread < 1e-9:
        return None
    t = float(np.mean(differences)) / (spread * np.sqrt(1 / count + ratio))
    return float(2 * stdtr(count - 1, -abs(t)))


def _holm(found: dict[tuple[int, int], float]) -> dict[tuple[int, int], float]:
    """The p-values, corrected for their number by Holm's method (Scandinavian Journal of Statistics 6, 1979)."""
    adjusted: dict[tuple[int, int], float] = {}
    largest = 0.0
    for rank, key in enumerate(sorted(found, key=lambda key: found[key])):
        largest = min(1.0, max(largest, (len(found) - rank) * found[key]))
        adjusted[key] = largest
    return adjusted


def _changed(params: Sequence[Inputs]) -> list[str]:
    """The names of the params in which settings differ, in order."""
    names = sorted({name for values in params for name in values})
    return [name for name in names if any(values.get(name) != params[0].get(name) for values in params)]
