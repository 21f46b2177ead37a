"""The process that speaks with Ray for us, and what is checked before it starts.

Ray ends its process from C++ when a cluster's head is gone, and writes much to its standard error: so it gets a process
of its own, which tells us what happens as JSON lines.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from audiocnn.config.runtime import EngineSettings, Runtime, device_type, is_address
from audiocnn.errors import UserError
from audiocnn.files import write_json
from audiocnn.folds.dvc import current_session

_LOOPBACK = re.compile(r"127(\.\d+){3}|localhost|\[::1\]")
_ENDS_WITHIN = 15.0  # seconds from the polite stop to the other one: folds elsewhere get five of them
_TRIES = "5"  # Ray's, about a second each, to get in where a head answers; it tries 20 times, a wrong token too
_KNOWN = "cluster.json"  # in the checkpoint root: what the cluster answered last
DEVICE = "device"  # in place of a job: only tell what device type the cluster has


class RayProcess:
    """The running process. log: what Ray itself writes."""

    def __init__(self, settings: EngineSettings, job: str, log: Path) -> None:
        self.address = cluster_address(settings)
        self.log = log
        self.error: str | None = None  # the sentence that it ended with
        self._rest = b""
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        self._events = reader
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "audiocnn.folds.ray_client", self.address, str(writer), str(os.getpid()), job],
                env={"RAY_NUM_REDIS_GET_RETRIES": _TRIES, **os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C reaches us alone
                pass_fds=(writer,),
            )
        os.close(writer)

    def events(self) -> list[dict[str, Any]]:
        """What it told since the last call."""
        with suppress(BlockingIOError):
            while content := os.read(self._events, 1 << 16):
                self._rest += content
        *lines, self._rest = self._rest.split(b"\n")
        events = [json.loads(line) for line in lines]
        for event in events:
            self.error = event.get("error", self.error)
        return events

    def is_running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        """Asks it to stop all folds and to end."""
        self._process.terminate()

    def close(self) -> None:
        """Ends it, and removes its log where it ended well."""
        if self.is_running():
            self.stop()
            try:
                self._process.wait(_ENDS_WITHIN)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        os.close(self._events)
        if self._process.returncode == 0 or self.error is not None:
            self.log.unlink(missing_ok=True)

    def check(self) -> None:
        """Raises UserError where it has ended otherwise than well."""
        if self.error is not None:
            raise UserError(self.error)
        if self._process.returncode != 0:
            raise UserError(
                f"the Ray cluster at {self.address} is gone: its head, or Ray on this machine, has ended "
                f"({self.log} holds Ray's last words); start it again, then run the command again, which resumes."
            )


@contextmanager
def ray_process(settings: EngineSettings, job: str, log: Path) -> Iterator[RayProcess]:
    """The process for a `with` block. Raises UserError where Ray or the address cannot be used."""
    process = RayProcess(settings, job, log)
    try:
        yield process
    finally:
        process.close()


def cluster_address(settings: EngineSettings) -> str:
    """HOST:PORT of the cluster. Raises UserError where there is none, or nobody should speak with it."""
    if find_spec("ray") is None:
        raise UserError(
            "runtime.yaml: engine.kind is ray, and Ray is not installed: install it with 'pip install --constraint "
            'constraints.txt --editable ".[ray]"\', or set engine.kind: local.'
        )
    address = settings.address or os.environ.get("RAY_ADDRESS") or ""
    if not is_address(address):
        where = f"RAY_ADDRESS is {address!r}" if address else "neither engine.address nor RAY_ADDRESS names its head"
        raise UserError(f"runtime.yaml: engine.kind is ray, and {where}, expected HOST:PORT of a Ray cluster's head.")
    if not _LOOPBACK.fullmatch(address.rpartition(":")[0]) and os.environ.get("RAY_AUTH_MODE") != "token":
        raise UserError(
            f"the Ray cluster at {address} is not on this machine, and RAY_AUTH_MODE is not token: whoever reaches its "
            "port would run code as you, so make a token, and set RAY_AUTH_MODE=token here and on all its machines "
            "(docs/many-machines.md)."
        )
    return address


def device_of_folds(runtime: Runtime, root: Path) -> str:
    """`cpu`, `cuda` or `mps`, as folds train on it with the engine of runtime.yaml. Raises UserError.

    `device: auto` is what this machine has with the local engine, and what the cluster has with Ray: cuda where one of
    its machines has a GPU. root: the checkpoint root. The cluster is asked once in a dvc run.
    """
    if runtime.engine.kind == "local" or runtime.device != "auto":
        return device_type(runtime)
    return _device_of_cluster(runtime.engine, root)


def _device_of_cluster(settings: EngineSettings, root: Path) -> str:
    """What the cluster answers, or what it answered before: in this dvc run, or where it does not answer now."""
    session, known_file = current_session(), root / _KNOWN
    known: dict[str, str] = {}
    with suppress(OSError, ValueError):
        known = json.loads(known_file.read_text())
    address = cluster_address(settings)
    if known.get("address") == address and known.get("session") == session:
        return known["device"]
    device = known.get("device") if known.get("address") == address else None
    with ray_process(settings, DEVICE, root / "logs" / f"ray_{os.getpid()}.log") as process:
        while process.is_running():
            device = _told_device(process) or device
            time.sleep(0.1)
        device = _told_device(process) or device
    if device is None:
        process.check()
        raise UserError(f"the Ray cluster at {address} did not tell what its machines are: run the command again.")
    write_json(known_file, {"session": session, "address": address, "device": device})
    return device


def _told_device(process: RayProcess) -> str | None:
    device = None
    for event in process.events():
        device = event.get("device", device)
        if "say" in event:
            print(event["say"], file=sys.stderr, flush=True)
    return device
