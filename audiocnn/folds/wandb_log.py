"""A fold's W&B run, kept by the command while another machine trains the fold.

    python -m audiocnn.folds.wandb_log EVENTS JOB FOLD

A process a fold, as each fold has one locally: wandb knows one active run a process. Reads an epoch a line of standard
input, {"epoch": e, "metrics": {...}}, and ends the run when that ends. EVENTS: a descriptor for its own lines.
"""

import json
import os
import signal
import sys
from pathlib import Path

from audiocnn.config.all_clips import fold_words
from audiocnn.config.train_params import effective_params
from audiocnn.errors import run_command
from audiocnn.folds.pool import WorkerJob
from audiocnn.tracking.tracker import fold_tracker


def main() -> None:
    """Shows what standard input says."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the end of standard input ends it, within a bounded time
    events, job, fold = int(sys.argv[1]), WorkerJob.model_validate_json(sys.argv[2]), int(sys.argv[3])
    tracker = fold_tracker(
        job.runtime.wandb.model_copy(update={"watch": "none"}),  # the weights are elsewhere
        group=job.group,
        fold=fold,
        key=job.keys[fold],
        config=effective_params(job.model, job.train),
        root=Path(job.root),
        say=lambda line: say(events, f"{fold_words(fold)}: {line}"),
    )
    for line in sys.stdin:
        if tracker is not None:
            epoch = json.loads(line)
            tracker.log_epoch(epoch["epoch"], epoch["metrics"])
    if tracker is not None:
        tracker.finish()


def say(events: int, line: str) -> None:
    """Tells the command a line to show: one write, so that lines of several processes do not mix."""
    os.write(events, (json.dumps({"say": line[:3000]}) + "\n").encode())


if __name__ == "__main__":
    sys.exit(run_command(main))
