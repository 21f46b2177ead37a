"""Folds of very different sizes: a mean over them counts a clip of a small one for many of a large one."""

from collections.abc import Sequence

_UNEQUAL = 2  # times the smallest fold's clips; less than that moves a mean by little


def are_unequal(clips: Sequence[int]) -> bool:
    """Whether one fold has many times another's clips. clips: of each fold."""
    return max(clips) > _UNEQUAL * min(clips)


def unequal_folds(correct: Sequence[int], clips: Sequence[int]) -> str | None:
    """A line with the accuracy over all held-out clips together where one fold has many times another's; else None.

    correct, clips: of each fold, the held-out clips that were recognised, and all of them.
    """
    if not are_unequal(clips):
        return None
    pooled = sum(correct) / sum(clips)
    return (
        f"folds are very unequal, {min(clips)} to {max(clips)} clips held out: over all clips together the accuracy is "
        f"{pooled:.4f}, and the mean over folds counts each fold alike"
    )
