"""The network to ship: trained on all clips for a fixed number of epochs, by the same loop and commits as a fold.

No clip is held out and nothing is chosen, so it has no accuracy of its own.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from audiocnn.checkpoints.key import torch_version
from audiocnn.config.all_clips import ALL_CLIPS
from audiocnn.data.dataset import FoldData, open_dataset
from audiocnn.training.input_statistics import input_normalisation
from audiocnn.training.loop import finish, set_arithmetic, train_model
from audiocnn.training.resume import load_best_model, resume
from audiocnn.training.state import FoldJob, FoldState, Observer


def train_all_clips(job: FoldJob, observer: Observer) -> None:
    """Trains the network to its end, from the last committed epoch, and leaves it in the checkpoint folder.

    job: its fold is ALL_CLIPS and its train.validation is `none`. The caller holds the folder's lock. Raises UserError.
    """
    # The header of weights looks the fold's number up in the dataset's: here it finds one that no clip has.
    meta = job.meta.model_copy(update={"folds": [*job.meta.folds, ALL_CLIPS]})
    job = replace(job, meta=meta)
    set_arithmetic(job)
    data = _all_clips(job)
    state = resume(job, observer)
    state.normalise_input(input_normalisation(data, job.train.normalise))
    observer.starting(state.model, state.progress)
    train_model(state, data, observer)
    state.measured.load_state_dict(load_best_model(state))
    finish(state, _record(state), observer)


def _all_clips(job: FoldJob) -> FoldData:
    dataset, nothing = open_dataset(job.prepared, job.device), np.zeros(0, dtype=np.int64)
    return FoldData(dataset, np.arange(len(dataset)), nothing, nothing)


def _record(state: FoldState) -> dict[str, Any]:
    """What the training leaves beside the weights. Nothing in it tells when or where it was made."""
    job = state.job
    return {
        "format": 1,
        "key": job.key,
        "clips": job.meta.clips,
        "device": job.device,
        "torch": torch_version(),
        "history": state.progress.history,
    }
