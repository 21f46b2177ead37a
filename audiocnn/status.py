"""`audiocnn status`: where each fold is, from its checkpoint folder alone, while it trains and after."""

import json
from collections.abc import Sequence

from audiocnn.checkpoint import load_training_state_json
from audiocnn.console import read_progress
from audiocnn.crossval import Plan
from audiocnn.locking import is_locked


def print_status(plan: Plan, folds: Sequence[int]) -> None:
    """Prints a table: each fold's state, epochs done, best accuracy so far and time left, at most."""
    print(f"\n{'fold':<5} {'state':<12} {'epochs':>8} {'best val_acc':>13} {'time left':>12}")
    for fold in folds:
        print("{:<5} {:<12} {:>8} {:>13} {:>12}".format(fold, *fold_status(plan, fold)))


def fold_status(plan: Plan, fold: int) -> tuple[str, str, str, str]:
    """A fold's state (finished, training, stopped, not begun), epochs, best accuracy and time left, as text."""
    folder = plan.folder(fold)
    if (results := plan.results(fold)) is not None:
        history = json.loads(results[f"fold_{fold}.json"])["history"]
        return "finished", str(len(history["loss"])), f"{max(history['val_accuracy']):.4f}", ""
    done = load_training_state_json(folder, fold)["last_epoch"]
    training = is_locked(folder)
    state = "training" if training else "stopped" if done else "not begun"
    progress = read_progress(folder)
    best, left = "", ""
    if progress is not None and done:
        best = f"{progress['best_accuracy']:.4f}"
        left = f"< {duration((plan.train.epochs - done) * progress['seconds_per_epoch'])}"
    return state, f"{done}/{plan.train.epochs}", best, left


def duration(seconds: float) -> str:
    """A time as people say it: 45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
