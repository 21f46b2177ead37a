"""Private memory of a process that trains a fold at the published size, above one training step on a random batch.

    python -m benchmarks.fold_memory

Makes features.npy of (8732, 128, 173) float32, 773 MB, in a temporary folder. One process imports torch, makes the
model and takes a step on a random batch; another trains `--batches` batches from the memory map, reads the whole
held-out fold and commits an epoch. Both sample RssAnon, the memory that is shared with nobody, and print its peak.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tests.support.paths import ROOT
from tests.support.worker_environment import start_as_worker

SHAPE = (8732, 128, 173)


def main() -> None:
    """Prints both peaks, and their difference as a share of features.npy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--child", choices=["step", "fold"], help=argparse.SUPPRESS)
    parser.add_argument("--prepared", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        start_as_worker()
    if options.child == "step":
        one_step()
    elif options.child == "fold":
        part_of_a_fold(options.prepared, options.batches)
    else:
        compare(options.batches)


def compare(batches: int) -> None:
    """Runs both processes on the same data."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = make_data(Path(folder))
        size = (prepared / "features.npy").stat().st_size / 1e6
        step = peak_of("step", prepared, batches)
        fold = peak_of("fold", prepared, batches)
    print(f"features.npy {size:.0f} MB; one step {step:.0f} MB; fold {fold:.0f} MB; share {(fold - step) / size:.3f}")


def peak_of(child: str, prepared: Path, batches: int) -> float:
    """The peak in MB that a process of its own prints."""
    command = [sys.executable, "-m", "benchmarks.fold_memory", "--child", child]
    command += ["--prepared", str(prepared), "--batches", str(batches)]
    return float(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def make_data(folder: Path) -> Path:
    """A prepared folder of random spectrograms of the published size, in ten folds of ten classes."""
    features = np.lib.format.open_memmap(folder / "features.npy", "w+", np.float32, SHAPE)
    generator = np.random.Generator(np.random.PCG64(0))
    for start in range(0, SHAPE[0], 100):
        features[start : start + 100] = generator.uniform(-80, 0, features[start : start + 100].shape)
    features.flush()
    np.save(folder / "labels.npy", np.arange(SHAPE[0]) % 10)
    np.save(folder / "folds.npy", np.arange(SHAPE[0]) // 10 % 10 + 1)
    meta = {"source": "folder", "classes": [str(c) for c in range(10)], "clips": SHAPE[0], "mels": SHAPE[1]}
    meta |= {"frames": SHAPE[2], "folds": list(range(1, 11)), "digests": {}}
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


@contextmanager
def printed_peak() -> Iterator[None]:
    """Prints the largest RssAnon seen while the block ran, in MB, sampled every 5 ms."""
    peak, done = 0.0, threading.Event()

    def sample() -> None:
        nonlocal peak
        while not done.is_set():
            status = Path("/proc/self/status").read_text()
            peak = max(peak, float(status.split("RssAnon:")[1].split()[0]) / 1024)
            time.sleep(0.005)

    thread = threading.Thread(target=sample)
    thread.start()
    yield
    done.set()
    thread.join()
    print(peak)


def one_step() -> None:
    """Imports torch, makes the model, takes one step on a random batch."""
    with printed_peak():
        import torch

        from audiocnn.model.network import AudioCNN

        torch.set_num_threads(1)
        model = AudioCNN(SHAPE[1], 10, SHAPE[2]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = torch.optim.Adam(model.parameters(), fused=True)
        loss = torch.nn.functional.cross_entropy(model(torch.randn(32, *SHAPE[1:])), torch.arange(32) % 10)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def part_of_a_fold(prepared: Path, batches: int) -> None:
    """Trains some batches of fold 0, reads all of its held-out clips, and commits the epoch."""
    with printed_peak():
        from audiocnn.config.model_params import ModelParams
        from audiocnn.config.train_params import TrainParams
        from audiocnn.data.dataset import FoldData, open_dataset, split_rows
        from audiocnn.data.prepared import read_meta
        from audiocnn.training.loop import set_arithmetic, train_epoch, validate
        from audiocnn.training.resume import commit_epoch
        from audiocnn.training.state import FoldJob, FoldState
        from benchmarks.step import Clock

        meta = read_meta(prepared)
        job = FoldJob(0, "", prepared, prepared / "checkpoints", meta, ModelParams(), TrainParams())
        set_arithmetic(job)
        data, state = (
            FoldData(open_dataset(prepared, "cpu"), *split_rows(prepared, meta, 0, "held_out")),
            FoldState(job),
        )
        few = data._replace(train=data.train[: batches * job.train.batch_size])
        loss, accuracy = train_epoch(state, few, Clock(batches + 1))
        state.progress.record({"loss": loss, "accuracy": accuracy, **validate(state, data), "lr": job.train.lr})
        commit_epoch(state)


if __name__ == "__main__":
    main()
