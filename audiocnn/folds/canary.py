"""A few steps of a fold's own training, as a digest: machines whose digests are equal compute the same bits.

    python -m audiocnn.folds.canary JOB            (a WorkerJob as JSON; prints {"digest": ..., "cpu": ...})

Two batches of the real data train a new network, which then answers some clips. It tells kinds of arithmetic apart by
what they do and not by their names: the instructions of a CPU, the versions of libraries, their settings.
"""

import hashlib
import json
import sys
from itertools import islice
from pathlib import Path

import psutil

from audiocnn.data.prepared import read_meta
from audiocnn.errors import UserError, run_command
from audiocnn.folds.pool import WorkerJob
from audiocnn.folds.reporter import keys_are_current
from audiocnn.processes import end_with

_BATCHES = 2
_CLIPS = 32  # that the network answers after them


def main() -> None:
    """Prints this machine's digest for the job on the command line. Raises UserError where it cannot train it."""
    job = WorkerJob.model_validate_json(sys.argv[1])
    end_with(psutil.Process(job.supervisor))
    if not keys_are_current(job):
        raise UserError("this machine computes another KEY: its code, its data or its torch is not what was sent.")
    print(json.dumps({"digest": _digest(job), "cpu": cpu_name()}), flush=True)


def cpu_name() -> str:
    """The processor's name, as Linux has it; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _digest(job: WorkerJob) -> str:
    import numpy as np
    import torch

    from audiocnn.data.dataset import FoldData, batches, open_dataset
    from audiocnn.training.input_statistics import input_normalisation
    from audiocnn.training.loop import autocast, set_arithmetic, shuffled, train_step
    from audiocnn.training.state import FoldJob, FoldState

    if job.device == "cuda" and not torch.cuda.is_available():
        raise UserError("this machine has no GPU that torch can use, and the folds train on cuda.")
    meta, prepared = read_meta(Path(job.prepared)), Path(job.prepared)
    fold_job = FoldJob(0, "", prepared, Path(), meta, job.model, job.train, job.device)  # the same for all folds
    set_arithmetic(fold_job)
    everything, none = np.arange(meta.clips), np.arange(0)
    data = FoldData(open_dataset(prepared, job.device), everything, none, none)
    state = FoldState(fold_job)
    state.normalise_input(input_normalisation(data, job.train.normalise))
    torch.manual_seed(0)
    state.model.train()
    rows = shuffled(data.train, 0)
    for features, labels in islice(batches(data.dataset, rows, job.train.batch_size), _BATCHES):
        train_step(state, features, labels)
    state.model.eval()
    with torch.inference_mode(), autocast(fold_job):
        logits = [state.model(features).float() for features, _ in batches(data.dataset, rows[:_CLIPS], _CLIPS)]
    total = hashlib.sha256()
    for tensor in [*state.model.state_dict().values(), *logits]:
        total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


if __name__ == "__main__":
    sys.exit(run_command(main))
