"""Two runs fold by fold, in words that claim no more than the folds show."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from audiocnn.comparison.clips import ByClip
from audiocnn.comparison.differing import differing
from audiocnn.comparison.paired import Paired, obstacles, pair
from audiocnn.comparison.revisions import RevisionResults
from audiocnn.config.dvc_lock import is_code
from audiocnn.evaluation.intervals import accuracy_interval, held_out_ratio
from audiocnn.evaluation.read import headline_metrics

_MOST = 3  # classes and files that are named at most


class Verdict(NamedTuple):
    """What is printed, in this order: what it comes to, the numbers behind that, the folds, and what else to know."""

    reading: str
    numbers: str
    table: list[list[str]]
    notes: list[str]


def verdict(old: RevisionResults, new: RevisionResults, by_clip: ByClip | None = None) -> Verdict:
    """The comparison. by_clip: the same clip by clip, where it is known. Raises UserError without a fold in common."""
    if reasons := obstacles(old, new):
        reading = f"Not comparable fold by fold: {' and '.join(reasons)}."
        return Verdict(reading, "Each run by itself:", _means(old, new), _input_notes(old, new))
    metric, loss = headline_metrics(old.validation)
    accuracy = pair(metric, old, new)
    notes = [f"{_change(pair(loss, old, new))}; lower is better.", *_recall_note(old, new), *_left_out(old, new)]
    return Verdict(
        _reading(accuracy, new.name),
        _numbers(accuracy),
        _fold_table(accuracy, old.name, new.name),
        [*_input_notes(old, new), *notes, *_clip_notes(by_clip, new.name), protocol_note(metric)],
    )


def _reading(accuracy: Paired, name: str) -> str:
    """One sentence, which claims no more than the interval shows."""
    metric, differences = accuracy.metric, accuracy.differences
    if not any(differences):
        return f"{metric} is the same in every fold."
    if accuracy.ci95 is None:
        return f"Too few folds to tell: one in common, and {metric}'s interval takes two."
    low, high = accuracy.ci95
    if low <= 0 <= high:
        return f"No evidence of a difference in {metric}: the interval contains 0."
    if len(set(differences)) == 1:
        return f"Too few folds to tell: {metric} differs by the same amount in each, and the interval has no width."
    return f"{metric} is {'higher' if low > 0 else 'lower'} in {name}: the interval does not contain 0."


def _numbers(accuracy: Paired) -> str:
    signs = np.sign(accuracy.differences).tolist()
    counts = f"{signs.count(1)} higher, {signs.count(0)} equal, {signs.count(-1)} lower"
    return f"{_change(accuracy)}; of {len(signs)} folds {counts}."


def _change(paired: Paired) -> str:
    known = paired.ci95 if any(paired.differences) else None
    ci95 = f" (95 % interval {known[0]:+.4f} to {known[1]:+.4f})" if known else ""
    old, new, difference = (float(np.mean(values)) for values in (paired.old, paired.new, paired.differences))
    return f"Mean {paired.metric} {old:.4f} to {new:.4f}, difference {difference:+.4f}{ci95}"


def _fold_table(paired: Paired, old: str, new: str) -> list[list[str]]:
    columns = ([*values, float(np.mean(values))] for values in (paired.old, paired.new, paired.differences))
    rows = zip([*map(str, paired.folds), "mean"], *columns, strict=True)
    cells = [[fold, f"{before:.4f}", f"{after:.4f}", f"{difference:+.4f}"] for fold, before, after, difference in rows]
    return [["fold", old, new, "difference"], *cells]


def _means(old: RevisionResults, new: RevisionResults) -> list[list[str]]:
    rows = [["run", "metric", "mean", "95 % interval", "folds"]]
    for run in (old, new):
        metric = headline_metrics(run.validation)[0]
        values = [fold[metric] for fold in run.folds.values()]
        ci95 = accuracy_interval(values, held_out_ratio(run.folds, run.validation), run.clips)
        bounds = f"{ci95[0]:.4f} to {ci95[1]:.4f}" if ci95 else "-"
        rows.append([run.name, metric, f"{np.mean(values):.4f}", bounds, str(len(values))])
    return rows


def _input_notes(old: RevisionResults, new: RevisionResults) -> list[str]:
    """What the runs were made with, where it differs, and whether it is still what stands there."""
    notes = [
        f"Stale: the results of {run.name} were made before {_some(run.stale)} changed; run 'dvc repro' there."
        for run in (old, new)
        if run.stale
    ]
    if missing := [run.name for run in (old, new) if not run.inputs]:
        return [*notes, f"No dvc.lock in {' and '.join(missing)} tells which params, code and data the results are of."]
    names = differing(old.inputs, new.inputs)
    code = list(filter(is_code, names))
    params = [_param(name, old, new) for name in names if name not in code and not name.startswith("data/")]
    return [
        *notes,
        f"Params that differ: {', '.join(params) or 'none'}.",
        f"Code that differs: {_some(code) or 'none'}.",
    ]


def _param(name: str, old: RevisionResults, new: RevisionResults) -> str:
    before, after = (_words(run.inputs[name]) if name in run.inputs else "not set" for run in (old, new))
    return f"{name} {before} to {after}"


def _words(value: Any) -> str:
    return " ".join(str(value).split())


def _recall_note(old: RevisionResults, new: RevisionResults) -> Iterator[str]:
    changes = {name: new.recalls[name] - old.recalls[name] for name in old.recalls}
    largest = sorted((name for name in changes if abs(changes[name]) >= 0.005), key=lambda name: -abs(changes[name]))
    if largest and old.folds.keys() == new.folds.keys():
        words = [f"{name} {old.recalls[name]:.2f} to {new.recalls[name]:.2f}" for name in largest[:_MOST]]
        yield f"Recall changed most for {', '.join(words)}."


def _clip_notes(by_clip: ByClip | None, name: str) -> Iterator[str]:
    """What the clips say, which is about these networks only: clips of a fold share one and are not independent."""
    if by_clip is not None:
        yield (
            f"Clip by clip: of {by_clip.clips} held-out clips {by_clip.only_new} are right more often in {name}, "
            f"{by_clip.only_old} less often; {by_clip.test} p = {by_clip.p:.4f}. "
            "It tells these networks apart, not the settings: the folds above do that."
        )


def _left_out(old: RevisionResults, new: RevisionResults) -> Iterator[str]:
    for run, other in ((old, new), (new, old)):
        if alone := sorted(run.folds.keys() - other.folds.keys()):
            yield f"Left out, because only {run.name} has them: folds {', '.join(map(str, alone))}."


def protocol_note(metric: str) -> str:
    """What the metric is worth."""
    if metric == "test_acc":
        return "test_acc is read once, after training."
    return "val_acc is selected on the fold that it reports, in both runs: a gain may be one of the selection."


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more
