"""The process that keeps a fold's W&B run (folds/wandb_log.py), as the command sees it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress

from audiocnn.folds.pool import WorkerJob


class WandbProcess:
    """Runs from its making to `end`. events: the descriptor for its lines."""

    def __init__(self, events: int, job: WorkerJob, fold: int) -> None:
        command = ["-m", "audiocnn.folds.wandb_log", str(events), job.model_dump_json(), str(fold)]
        self._process = subprocess.Popen(
            [sys.executable, *command], stdin=subprocess.PIPE, pass_fds=(events,), process_group=0
        )
        assert self._process.stdin is not None
        self._input = self._process.stdin.fileno()
        os.set_blocking(self._input, False)
        self._next = 0

    def log(self, history: Mapping[str, list[float]]) -> None:
        """Sends the epochs that are new. One that does not listen is left alone."""
        with suppress(BlockingIOError, BrokenPipeError):
            for epoch in range(self._next, len(history.get("loss", ()))):
                metrics = {name: values[epoch] for name, values in history.items()}
                os.write(self._input, (json.dumps({"epoch": epoch, "metrics": metrics}) + "\n").encode())
                self._next = epoch + 1

    def close(self) -> None:
        """Lets it end."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def end(self, deadline: float) -> None:
        """Sees to it that it has ended by a time of this machine's clock."""
        self.close()
        try:
            self._process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
