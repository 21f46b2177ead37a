"""Where a fold is, from its checkpoint folder alone."""

import json

from audiocnn.checkpoints.lock import is_locked
from audiocnn.checkpoints.progress import read_progress
from audiocnn.checkpoints.training_state import load_training_state_json
from audiocnn.config.outs import fold_result_name
from audiocnn.folds.plan import Plan
from audiocnn.text import duration


def fold_status(plan: Plan, fold: int) -> tuple[str, str, str, str]:
    """A fold's state (finished, training, stopped, not begun), epochs, best accuracy and time left, as text."""
    folder = plan.folder(fold)
    if (results := plan.results(fold)) is not None:
        history = json.loads(results[fold_result_name(fold)])["history"]
        return "finished", str(len(history["loss"])), _accuracy(max(history.get("val_accuracy", [-1.0]))), ""
    done = load_training_state_json(folder, fold)["last_epoch"]
    state = "training" if is_locked(folder) else "stopped" if done else "not begun"
    progress = read_progress(folder)
    best, left = "", ""
    if progress is not None and done:
        best = _accuracy(progress["best_accuracy"])
        left = f"< {duration((plan.train.epochs - done) * progress['seconds_per_epoch'])}"
    return state, f"{done}/{plan.train.epochs}", best, left


def _accuracy(accuracy: float) -> str:
    """An accuracy as text; none for -1, where nothing validates."""
    return f"{accuracy:.4f}" if accuracy >= 0 else ""
