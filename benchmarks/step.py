"""One process of the step benchmark: trains a little and prints what it took, as JSON.

    python -m benchmarks.step plain|audiocnn PREPARED_FOLDER --steps 6

Prints the median seconds of a training step (batch 32, one thread), the seconds from process start to the first step's
end, and the peak resident memory in MB.
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
    def resumed(self, *state: Any) -> None: ...
    def epoch_done(self, *state: Any) -> None: ...
    def finishing(self) -> None: ...


def ours(prepared: Path, steps: int) -> list[float]:
    """Seconds of each step of audiocnn's own training."""
    from audiocnn.allocator import keep_large_blocks

    keep_large_blocks()
    from audiocnn.dataset import open_dataset, split_rows
    from audiocnn.params import ModelParams, TrainParams
    from audiocnn.prepared import read_meta
    from audiocnn.run import FoldJob, Run
    from audiocnn.training import train_epoch

    meta = read_meta(prepared)
    job = FoldJob(0, "", prepared, prepared, meta, ModelParams(), TrainParams())
    rows = split_rows(prepared, meta, 0, "held_out").train
    clock = Clock(steps)
    with contextlib.suppress(StopIteration):
        train_epoch(job, Run(job), open_dataset(prepared, "cpu"), rows, clock)
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
    parser.add_argument("kind", choices=["plain", "audiocnn"])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--steps", type=int, default=6)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    seconds = (plain if options.kind == "plain" else ours)(options.prepared, options.steps)
    started = psutil.Process().create_time()
    first = time.time() - started - sum(seconds[1:])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"step": statistics.median(seconds[1:]), "first": first, "peak_mb": peak}))


if __name__ == "__main__":
    main()
