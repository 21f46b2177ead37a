"""A fold's metrics by epoch so far, from its checkpoint folder: for those who watch it train."""

import json
from collections.abc import Mapping, Sequence

from audiocnn.checkpoints.folder import checkpoint_name
from audiocnn.checkpoints.training_state import load_training_state_json
from audiocnn.checkpoints.verified import DamagedCheckpointError
from audiocnn.config.outs import fold_result_name
from audiocnn.folds.plan import Plan

History = Mapping[str, Sequence[float]]
"""One value an epoch of loss and accuracy, and where clips validate of val_loss and val_accuracy."""


def fold_history(plan: Plan, fold: int, known: History) -> History:
    """The metrics of a fold's committed epochs; `known`, an earlier answer, where nothing was committed since."""
    if (results := plan.results(fold)) is not None:
        history: History = json.loads(results[fold_result_name(fold)])["history"]
        return history
    folder = plan.folder(fold)
    state = load_training_state_json(folder, fold)
    name = checkpoint_name(state["last_epoch"] - 1)
    if state["last_epoch"] == len(known.get("loss", ())) or name not in state.get("files", {}):
        return known
    from audiocnn.checkpoints.pytorch import load_pytorch  # loads torch

    try:
        newer: History = load_pytorch(folder / name, state["files"][name])["parts"]["progress"]["history"]
    except (DamagedCheckpointError, KeyError):
        return known  # the next epoch has taken its place
    return newer
