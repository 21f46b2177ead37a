"""A Ray cluster on loopback: a head and machines 127.0.0.N, in a network namespace of its own that has nothing else.

A machine is a tree of processes, so it can be killed, frozen and thawed as a whole; it has a scratch of its own, and
may be kept from seeing a folder of this disk, as if that were another machine's.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import psutil

from tests.support.processes import children, environment, wait_until

PORT = 26379  # not among Ray's own worker ports, 10002 to 19999
ADDRESS = f"127.0.0.1:{PORT}"
# Ray's own timeouts, shorter: a machine that does not answer is dead after 8 s, a head after 5.
_TIMEOUTS = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",
}
_ENDS_WITH_US = ("setpriv", "--pdeathsig", "KILL")
_OWN_PROCESSES = ("unshare", "-m", "-p", "-f", "--mount-proc", "--kill-child=KILL")  # its end is that of all in it
_STORE = str(80 << 20)  # bytes of each machine's object store, the least that Ray takes is 75 MB


def why_not() -> str:
    """Why no cluster can be started here; empty where one can."""
    if find_spec("ray") is None:
        return "Ray is not installed"
    if os.geteuid() != 0:
        return "a network namespace takes root"
    command = [*_ENDS_WITH_US, *_OWN_PROCESSES, "-n", "ip", "link", "set", "lo", "up"]
    try:
        tried = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError as error:
        return f"no {error.filename} here"
    return f"no namespaces here: {tried.stderr.strip()}" if tried.returncode else ""


@dataclass
class Machine:
    """A head or a node: `ray start --block` and all that it started."""

    process: "subprocess.Popen[bytes]"
    log: Path
    scratch: Path
    _family: list[psutil.Process] = field(default_factory=list)

    def wait(self) -> None:
        """Returns once it has joined."""
        wait_until(lambda: b"Ray runtime started" in self.log.read_bytes() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text()

    def processes(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return [psutil.Process(self.process.pid), *children(self.process.pid)]
        return []

    def kill(self) -> None:
        """What a power cut does, its disk included."""
        family = self.processes()
        self.process.kill()
        self.process.wait()
        psutil.wait_procs(family, timeout=10)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def training(self) -> list[psutil.Process]:
        """Its training processes."""
        return [process for process in self.processes() if "audiocnn.folds.worker" in _words(process)]

    def _signal(self, signum: signal.Signals) -> None:
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signum)


def _words(process: psutil.Process) -> Sequence[str]:
    with suppress(psutil.Error):
        return list(process.cmdline())
    return ()


class Cluster:
    """The namespace, the head, which has no slots, and the machines by their number."""

    def __init__(self, hidden: Path | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ray"))  # short: Ray's sockets lie in it
        self._hidden = hidden
        self.token = self.folder / "token"
        self.token.write_text(secrets.token_hex(32))
        self.token.chmod(0o600)
        self._holder = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "ip link set lo up; echo up; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"up\n"
        self.variables = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token),
            "RAY_USAGE_STATS_ENABLED": "0",
            **_TIMEOUTS,
        }
        self.head: Machine | None = None
        self.machines: dict[int, Machine] = {}

    def start_head(self) -> None:
        words = ["--head", "--include-dashboard=false", f"--port={PORT}", f"--temp-dir={self.folder / 't'}"]
        self.head = self._start(1, 0, words)
        self.head.wait()

    def start(self, number: int, *, variables: Mapping[str, str] | None = None, setup: str = "") -> Machine:
        """A machine of one core; returns once it has joined: two that start at once here take each other's sockets.

        variables: what it sees beside the rest. setup: shell commands in its mount namespace, SCRATCH its scratch.
        """
        machine = self._start(number, 1, [f"--address={ADDRESS}"], variables, setup)
        self.machines[number] = machine
        machine.wait()
        return machine

    def _start(
        self,
        number: int,
        cores: int,
        words: Sequence[str],
        variables: Mapping[str, str] | None = None,
        setup: str = "",
    ) -> Machine:
        scratch = self.folder / f"scratch{number}"
        scratch.mkdir()
        ray = [str(Path(sys.executable).with_name("ray")), "start", *words, f"--node-ip-address=127.0.0.{number}"]
        ray += [f"--num-cpus={cores}", "--disable-usage-stats", f"--object-store-memory={_STORE}", "--block"]
        hide = f"mount -t tmpfs none {self._hidden};" if self._hidden and number > 1 else ""
        shell = f'{hide}{setup.replace("SCRATCH", str(scratch))} exec "$@"'
        log = self.folder / f"log{number}-{len(list(self.folder.glob('log*')))}"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*self.prefix, *_ENDS_WITH_US, *_OWN_PROCESSES, "sh", "-c", shell, "sh", *ray],
                env=environment(**{**self.variables, "AUDIOCNN_SCRATCH": str(scratch), **(variables or {})}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.folder,
            )
        return Machine(process, log, scratch)

    @property
    def prefix(self) -> list[str]:
        """Before a command, to run it in the namespace."""
        return ["nsenter", "-t", str(self._holder.pid), "-n", "--"]

    def only(self, *numbers: int) -> None:
        """Sees to it that these machines are up, as plain ones, and no others."""
        for number in set(self.machines) - set(numbers):
            self.kill(number)
        for number in numbers:
            if number not in self.machines:
                self.start(number)

    def kill(self, number: int) -> None:
        self.machines.pop(number).kill()

    def close(self) -> None:
        """Nothing of it is left."""
        for number in list(self.machines):
            self.kill(number)
        if self.head is not None:
            self.head.kill()
        assert self._holder.stdin is not None
        self._holder.communicate()
        self.token.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)
