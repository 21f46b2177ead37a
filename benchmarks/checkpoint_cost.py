"""What committing an epoch costs, as a share of the epoch, at the published size on this CPU with one thread.

    python -m benchmarks.checkpoint_cost [FOLDER]

FOLDER is where the checkpoints go, on the disk in question. An epoch is 246 batches of 32 clips (7,859 of the 8,732
clips of UrbanSound8K, a fold held out) of (128, 173), extrapolated from the median of 10 measured steps, without
validation; commit_epoch is the median of 30, every second one with a new best model.
"""

import statistics
import sys
import tempfile
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from audiocnn.config.model_params import ModelParams
from audiocnn.config.train_params import TrainParams
from audiocnn.data.prepared import Meta
from audiocnn.training.resume import commit_epoch
from audiocnn.training.state import FoldJob, FoldState
from benchmarks.timing import timed
from tests.support.worker_environment import start_as_worker

MELS, FRAMES, CLASSES, BATCH, BATCHES = 128, 173, 10, 32, 246
STEPS, WARM_UP, COMMITS = 10, 3, 30


def main() -> None:
    """Prints the two times and their ratio."""
    start_as_worker()
    torch.set_num_threads(1)
    classes = [str(label) for label in range(CLASSES)]
    meta = Meta(source="demo", classes=classes, clips=1, mels=MELS, frames=FRAMES, folds=[1, 2], digests={})
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        job = FoldJob(0, "0" * 64, Path(folder), Path(folder), meta, ModelParams(), TrainParams())
        state = FoldState(job)
        step = statistics.median([train_step(state) for _ in range(WARM_UP + STEPS)][WARM_UP:])
        commits = [commit(state, epoch) for epoch in range(COMMITS)]
        size = sum(path.stat().st_size for path in Path(folder).glob(f"*_{COMMITS - 1}.*"))
    cost, epoch = statistics.median(commits), BATCHES * step
    print(f"training step {step * 1e3:.0f} ms (n = {STEPS}), so {epoch:.0f} s for an epoch of {BATCHES}")
    longest = max(commits) * 1e3
    print(f"commit_epoch {cost * 1e3:.0f} ms (n = {COMMITS}, longest {longest:.0f} ms), {size / 1e6:.1f} MB an epoch")
    print(f"share of an epoch: {cost / epoch:.3%}")


def train_step(state: FoldState) -> float:
    """The seconds of a training step on random clips."""
    features, labels = torch.randn(BATCH, MELS, FRAMES), torch.randint(CLASSES, (BATCH,))

    def step() -> None:
        loss = cross_entropy(state.model(features), labels)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimizer.step()

    return timed(step)[0]


def commit(state: FoldState, epoch: int) -> float:
    """The seconds that committing an epoch takes. Every second epoch is a new best."""
    accuracy = epoch / 100 if epoch % 2 == 0 else 0.0
    state.progress.record({"loss": 1.0, "accuracy": 1.0, "val_loss": 1.0, "val_accuracy": accuracy, "lr": 1.0})
    return timed(lambda: commit_epoch(state))[0]


if __name__ == "__main__":
    main()
