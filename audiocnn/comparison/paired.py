"""Two runs on the folds that both have, each fold with itself: the differences and how sure their mean is."""

from typing import NamedTuple

from audiocnn.comparison.revisions import RevisionResults
from audiocnn.errors import UserError
from audiocnn.evaluation.intervals import Interval, difference_interval, held_out_ratio, interval


class Paired(NamedTuple):
    """One metric of two runs by fold. differences: new - old. ci95: of the mean difference."""

    metric: str
    folds: list[int]
    old: list[float]
    new: list[float]
    differences: list[float]
    ci95: Interval | None


def pair(metric: str, old: RevisionResults, new: RevisionResults) -> Paired:
    """A metric on the folds of both runs. Raises UserError where there is none."""
    folds = sorted(old.folds.keys() & new.folds.keys())
    if not folds:
        raise UserError(f"{old.name} and {new.name} have no fold in common: train the same folds in both.")
    before, after = ([run.folds[fold][metric] for fold in folds] for run in (old, new))
    # The files have six decimals: rounding takes away what the subtraction adds, and equal differences are equal.
    differences = [round(b - a, 6) for a, b in zip(before, after, strict=True)]
    ratio = held_out_ratio(old.folds.keys() | new.folds.keys(), old.validation)
    of = difference_interval if metric.endswith("acc") else interval
    return Paired(metric, folds, before, after, differences, of(differences, ratio))


def obstacles(old: RevisionResults, new: RevisionResults) -> list[str]:
    """Why a fold of one run cannot be compared with the same fold of the other; nothing where it can."""
    found = []
    if old.recalls.keys() != new.recalls.keys():
        found.append("the classes differ")
    elif old.data and new.data and old.data != new.data:
        found.append("the data differ (data/prepared in dvc.lock)")
    if old.validation != new.validation:
        found.append(f"train.validation is {old.validation} in {old.name} and {new.validation} in {new.name}")
    return found
