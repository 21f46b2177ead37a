"""Several runs as one: the mean of each fold over them, as runs that differ in their seed are read."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from audiocnn.comparison.paired import obstacles
from audiocnn.comparison.revisions import RevisionResults
from audiocnn.errors import UserError

SEED = "train.seed"


def together(name: str, runs: Sequence[RevisionResults]) -> RevisionResults:
    """The runs as one of this name, on the folds that all have; a single run is itself.

    An input in which they differ, such as the seed, has all their values as text. Raises UserError where the runs
    cannot be put together.
    """
    if len(runs) == 1:
        return runs[0]
    first, *others = runs
    for other in others:
        if reasons := obstacles(first, other):
            raise UserError(f"{first.name} and {other.name} cannot stand on one side: {' and '.join(reasons)}.")
    folds = sorted(set.intersection(*(set(run.folds) for run in runs)))
    if not folds:
        raise UserError(f"{', '.join(run.name for run in runs)} have no fold in common: give runs of the same folds.")
    names = dict.fromkeys(name for run in runs if run.inputs for name in run.inputs)
    return RevisionResults(
        name,
        {fold: {key: _mean(run.folds[fold][key] for run in runs) for key in first.folds[fold]} for fold in folds},
        {label: _mean(run.recalls[label] for run in runs) for label in first.recalls},
        {key: _values([run.inputs.get(key) for run in runs]) for key in names} if all(r.inputs for r in runs) else {},
        set.union(*(run.data for run in runs)),
        sorted({path for run in runs for path in run.stale}),
        min(run.clips for run in runs),
    )


def _mean(values: Any) -> float:
    """The mean, to the six decimals that the files have: equal means are equal."""
    return round(float(np.mean(list(values))), 6)


def _values(values: list[Any]) -> Any:
    """What all runs have, or else all that they have, in words."""
    if all(value == values[0] for value in values):
        return values[0]
    return ", ".join("not set" if value is None else str(value) for value in values)
