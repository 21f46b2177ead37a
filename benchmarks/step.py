"""Measures a training step in this process, for benchmarks.run, which starts it once for each number.

    python -m benchmarks.step plain|native|portable|bf16 PREPARED_FOLDER --steps 6

Trains the first fold for some batches of 32 clips, with one thread. Prints one line of JSON: `step`, the median seconds
of a step without the first; `first`, the seconds from the start of the process to the end of the first step; `peak_mb`,
the peak resident memory in MB.
"""

import argparse
import contextlib
import json
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil


class Clock:
    """An observer that takes the time of every batch, and ends the epoch after some of them."""

    def __init__(self, steps: int) -> None:
        self.steps, self.times = steps, [time.perf_counter()]

    def batch_done(self, epoch: int, batch: int, batches: int) -> None:
        self.times.append(time.perf_counter())
        if batch == self.steps:
            raise StopIteration

    def say(self, message: str) -> None: ...
    def starting(self, *state: Any) -> None: ...
    def epoch_done(self, *state: Any) -> None: ...
    def finishing(self, *state: Any) -> None: ...


def settings(kind: str) -> dict[str, str]:
    """The values of `train` that a kind of step is measured with."""
    return {"arithmetic": "native", "precision": "bf16"} if kind == "bf16" else {"arithmetic": kind}


def ours(prepared: Path, steps: int, kind: str) -> list[float]:
    """Seconds of each step of audiocnn's own training, by train.arithmetic; `bf16`: native, with that precision."""
    from audiocnn.config.model_params import ModelParams
    from audiocnn.config.train_params import TrainParams
    from audiocnn.data.dataset import FoldData, open_dataset, split_rows
    from audiocnn.data.prepared import read_meta
    from audiocnn.training.loop import train_epoch
    from audiocnn.training.state import FoldJob, FoldState

    meta = read_meta(prepared)
    train = TrainParams.model_validate(settings(kind))
    job = FoldJob(0, "", prepared, prepared, meta, ModelParams(), train)
    data = FoldData(open_dataset(prepared, "cpu"), *split_rows(prepared, meta, 0, "held_out"))
    clock = Clock(steps)
    with contextlib.suppress(StopIteration):
        train_epoch(FoldState(job), data, clock)
    return [after - before for before, after in zip(clock.times, clock.times[1:], strict=False)]


def plain(prepared: Path, steps: int) -> list[float]:
    """Seconds of each step of the plain loop."""
    from benchmarks.plain import Clips, train_plain

    clips = Clips(np.load(prepared / "features.npy"), np.load(prepared / "labels.npy"))
    train = np.flatnonzero(np.load(prepared / "folds.npy") != np.load(prepared / "folds.npy").min()).tolist()
    with tempfile.TemporaryDirectory() as folder:
        return train_plain(clips, train, train[:32], 1, Path(folder) / "checkpoint.pt", steps)


def main() -> None:
    """Prints one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["plain", "native", "portable", "bf16"])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--steps", type=int, default=6)
    options = parser.parse_args()
    if options.kind != "plain":
        from tests.support.worker_environment import start_as_worker

        start_as_worker(settings(options.kind)["arithmetic"])
    import torch

    torch.set_num_threads(1)
    if options.kind == "plain":
        seconds = plain(options.prepared, options.steps)
    else:
        seconds = ours(options.prepared, options.steps, options.kind)
    started = psutil.Process().create_time()
    first = time.time() - started - sum(seconds[1:])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"step": statistics.median(seconds[1:]), "first": first, "peak_mb": peak}))


if __name__ == "__main__":
    main()
