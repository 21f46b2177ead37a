"""The canary of the command's own machine (folds/canary.py), run while the cluster's machines get ready."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from audiocnn.errors import UserError
from audiocnn.folds.pool import WorkerJob, worker_environment


@contextmanager
def own_canary(job: WorkerJob) -> Iterator[Any]:
    """Finds out meanwhile what this machine computes. Yields a function: the digest, None before it is there."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "audiocnn.folds.canary",
                job.model_copy(update={"supervisor": os.getpid()}).model_dump_json(),
            ],
            env=worker_environment(job.train.arithmetic),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )

        def kind() -> str | None:
            if process.poll() is None:
                return None
            output.seek(0)
            lines = output.read().decode(errors="replace").splitlines() or [""]
            if process.returncode != 0:
                raise UserError(
                    f"this machine cannot tell what its cluster must compute: {lines[-1].removeprefix('error: ')}"
                )
            return str(json.loads(lines[-1])["digest"])

        try:
            yield kind
        finally:
            process.kill()
            process.wait()
