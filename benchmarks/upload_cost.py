"""What uploads cost training, while the Hub works, is slow, hangs or fails: seconds of training against uploads off.

    python -m benchmarks.upload_cost data/prepared --rounds 5

Trains two folds side by side, once for each state of a stand-in for the Hub on loopback, in alternating runs, and
prints the median seconds from the first epoch's line to the last fold's end (without the drain after it), and the
median ratio to uploads off in the same round. The uploading process takes 0.7 s of processor time, so short trainings
show that and little else.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

from tests.support.hub_server import GOOD_TOKEN, FakeHub, Fault
from tests.support.paths import ROOT

FAULTS: dict[str, list[Fault] | None] = {
    "off": None,
    "works": [],
    "1 s slower": [Fault("delay", seconds=1.0)],
    "hangs": [Fault("hang")],
    "503": [Fault("status", status=503)],
    "403": [Fault("status", status=403)],
}


def main() -> None:
    """Prints a line for each state."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in FAULTS}
    bar = tqdm(total=options.rounds * len(FAULTS), unit="training", disable=None, leave=False)
    for _ in range(options.rounds):
        for name, faults in FAULTS.items():
            times[name].append(training_seconds(options.prepared.resolve(), options.epochs, faults))
            bar.update()
        print_table(times)
    bar.close()


def print_table(times: dict[str, list[float]]) -> None:
    """Medians so far; the ratio is the median of the rounds' own, since the machine's speed drifts between rounds."""
    print(f"after {len(times['off'])} rounds")
    for name, seconds in times.items():
        ratios = [own / off for own, off in zip(seconds, times["off"], strict=True)]
        spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
        print(f"| {name} | {statistics.median(seconds):.1f} | {statistics.median(ratios):.3f} | {spread} |", flush=True)


def training_seconds(prepared: Path, epochs: int, faults: list[Fault] | None) -> float:
    """Trains two folds in a scratch project; the seconds between the first epoch's line and the last fold's end."""
    with tempfile.TemporaryDirectory() as name, FakeHub() as hub:
        folder = Path(name)
        for file in ("params.yaml", "dvc.yaml"):
            shutil.copy(ROOT / file, folder)
        settings = "wandb: {mode: disabled}\n"
        if faults is not None:
            settings += "hub: {model_repo: owner/model}\n"
            hub.faults.extend(faults)
        (folder / "runtime.yaml").write_text(settings)
        command = [sys.executable, "-m", "audiocnn.cli", "train", "--processed-dir", str(prepared), "--folds", "0", "1"]
        environment = {"PYTHONPATH": str(ROOT), "HF_ENDPOINT": hub.url, "HF_TOKEN": GOOD_TOKEN, "HF_HOME": f"{name}/hf"}
        process = subprocess.Popen(
            [*command, "--epochs", str(epochs)],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        lines = [(time.perf_counter(), line) for line in process.stdout]
        process.wait()
    first = next(when for when, line in lines if "epoch  0" in line)
    return max(when for when, line in lines if "finished, best" in line) - first


if __name__ == "__main__":
    main()
