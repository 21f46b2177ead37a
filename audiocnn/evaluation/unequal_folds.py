"""Folds of very different sizes: a mean over them counts a clip of a small one for many of a large one."""

from collections.abc import Sequence

_UNEQUAL = 2  # times the smallest fold's clips; less than that moves a mean by little; data/prepare.py has the same


def unequal_folds(correct: Sequence[int], clips: Sequence[int]) -> str | None:
    """A line with the accuracy over all held-out clips together where one fold has many times another's; else None.

    correct, clips: of each fold, the held-out clips that were recognised, and all of them.
    """
    fewest, most = min(clips), max(clips)
    if most <= _UNEQUAL * fewest:
        return None
    pooled = sum(correct) / sum(clips)
    return (
        f"folds are very unequal, {fewest} to {most} clips held out: over all clips together the accuracy is "
        f"{pooled:.4f}, and the mean over folds counts each fold alike"
    )
