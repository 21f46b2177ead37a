"""Two runs clip by clip: which clips one has right and the other wrong, and how sure that is."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from scipy.special import bdtr

from audiocnn.comparison.revisions import commit_of, read_file
from audiocnn.config.outs import METRICS
from audiocnn.evaluation.read import csv_rows

_PREDICTIONS = f"{METRICS}/predictions.csv"
Clip = tuple[str, str, str]  # fold, row in the prepared arrays, class


class ByClip(NamedTuple):
    """Of the clips that both sides tested: how many, and how many more runs of the one or of the other had right.

    p: two-sided, of `test`: the exact McNemar test; with several runs a side, the sign test that it is a case of.
    """

    clips: int
    only_old: int
    only_new: int
    p: float
    test: str


def clip_by_clip(root: Path, old: Sequence[str | None], new: Sequence[str | None]) -> ByClip | None:
    """The comparison of two sides' revisions; None where a run's predictions are not kept, or no clip is in common."""
    before, after = (_shares(root, side) for side in (old, new))
    if not before or not after or not (both := before.keys() & after.keys()):
        return None
    only_old = sum(before[clip] > after[clip] for clip in both)
    only_new = sum(before[clip] < after[clip] for clip in both)
    test = "exact McNemar test" if len(old) == len(new) == 1 else "sign test"
    return ByClip(len(both), only_old, only_new, mcnemar(only_old, only_new), test)


def mcnemar(first: int, second: int) -> float:
    """Two-sided p of the exact McNemar test: the discordant clips are as often right in the one as in the other.

    McNemar, "Note on the Sampling Error of the Difference between Correlated Proportions or Percentages", Psychometrika
    12, 1947, compares them by a normal approximation; here it is the binomial distribution itself, with share 1/2.
    """
    return min(1.0, 2 * float(bdtr(min(first, second), first + second, 0.5))) if first + second else 1.0


def _shares(root: Path, revisions: Sequence[str | None]) -> dict[Clip, float]:
    """The share of the runs that have a clip right, for the clips that all of them tested; none without predictions."""
    runs = [_right(root, revision) for revision in revisions]
    tested = set.intersection(*(set(run) for run in runs))
    return {clip: sum(run[clip] for run in runs) / len(runs) for clip in tested}


def _right(root: Path, revision: str | None) -> dict[Clip, bool]:
    """Of each held-out clip: whether its class was predicted. None at all where the file is missing or damaged."""
    content = read_file(root, None if revision is None else commit_of(root, revision), _PREDICTIONS)
    try:
        rows = csv_rows((content or b"").decode())
        found = {(row["fold"], row["row"], row["actual"]): row["actual"] == row["predicted"] for row in rows}
    except (ValueError, KeyError):
        return {}
    return found if len(found) == len(rows) else {}
