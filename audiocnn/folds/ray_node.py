"""What runs on a machine of a Ray cluster: one fold, in a scratch folder of its own, by the code that was sent.

Ray gets this module by value, so it uses the standard library and Ray alone: nothing of the project is installed there.
The machine has Python, Ray, torch and the other packages of constraints.txt. Its scratch (AUDIOCNN_SCRATCH, else a
folder of the user's among the temporary files) holds

    code/DIGEST/, data/DIGEST/      what was sent once; every file is checked by its sha256 before each fold
    canary/DIGEST-NODE.json         what this machine computes, found before its first fold
    folds/*/                        a fold in training, swept when the process that made it is dead

A fold tells the Mailbox, beside the command that handed it out, what it does, at least every BEAT seconds; it asks
there for what it lacks, and for the committed state when it starts.
"""

import fcntl
import hashlib
import importlib.metadata
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

BEAT = 1.0  # seconds between two signs of life, at most
LOOK = 0.3  # seconds between two looks at the training process
GRACE = 5.0  # seconds for a training process that was asked to stop
_STATE = "training_state.json"
ANSWER = 60.0  # seconds for an answer of the mailbox itself; it does no work


class Mailbox:
    """The actor between the folds on all machines and the command: it keeps what they tell until that takes it.

    So the command never waits for a machine. A fold that was handed out again is told to stop by its old number.
    """

    def __init__(self) -> None:
        self._told: list[dict[str, Any]] = []
        self._orders: dict[int, dict[str, Any]] = {}
        self._answers: dict[tuple[int, int], Any] = {}

    def expect(self, fold: int, orders: dict[str, Any]) -> None:
        """From now on only this attempt of a fold counts. orders: {"attempt": int, "stop": bool, "uploaded": text}."""
        self._orders[fold] = orders

    def tell(self, message: dict[str, Any]) -> dict[str, Any]:
        """Takes a fold's message; returns its orders."""
        orders = self._orders.get(message["fold"])
        if orders is None or orders["attempt"] != message["attempt"]:
            self._told.append({"what": "late", **{name: message[name] for name in ("fold", "attempt", "node")}})
            return {"stop": True}
        self._told.append(message)
        return orders

    def take(self) -> list[dict[str, Any]]:
        """All messages since the last call."""
        told, self._told = self._told, []
        return told

    def answer(self, fold: int, attempt: int, answer: Any) -> None:
        """Leaves the answer to an attempt's question."""
        self._answers[fold, attempt] = answer

    def answer_to(self, fold: int, attempt: int) -> Any:
        """The answer to its question, once; None before it is there."""
        return self._answers.pop((fold, attempt), None)


class _RefusedError(Exception):
    """This machine cannot train the fold; another one may. Its text is a sentence."""


class _StopError(Exception):
    """The command does not want this attempt any more."""


def run_fold(mailbox: Any, order: dict[str, Any]) -> dict[str, Any]:
    """Trains a fold by an order (audiocnn.folds.ray_client makes it). Returns how it ended.

    {"outcome": finished | error | lost | refused | stopped, "sentence": text}. Only what was told before counts.
    """
    try:
        fold = _Fold(mailbox, order)
        with _run_folder(_scratch()) as (folder, lock):
            return fold.train(folder, lock)
    except _StopError:
        return {"outcome": "stopped", "sentence": ""}
    except _RefusedError as error:
        return {"outcome": "refused", "sentence": str(error)}
    except OSError as error:
        name = error.filename or "its scratch"
        return {"outcome": "refused", "sentence": f"it cannot use {name}: {error.strerror}."}


def _scratch() -> Path:
    named = os.environ.get("AUDIOCNN_SCRATCH")
    root = Path(named) if named else Path(tempfile.gettempdir()) / f"audiocnn-{os.getuid()}"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if root.stat().st_uid != os.getuid():
        raise _RefusedError(f"its scratch {root} belongs to somebody else: name another one in AUDIOCNN_SCRATCH there.")
    for name in ("code", "data", "canary", "folds"):
        (root / name).mkdir(exist_ok=True)
    return root


@contextmanager
def _run_folder(root: Path) -> Iterator[tuple[Path, int]]:
    """A new folder for a fold, and its lock, which the training process inherits; sweeps those of the dead before."""
    with (root / "folds.lock").open("w") as sweep:
        fcntl.flock(sweep, fcntl.LOCK_EX)
        for old in (root / "folds").iterdir():
            with suppress(OSError), (old / "lock").open("a") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(old)
        folder = Path(tempfile.mkdtemp(dir=root / "folds"))
        file = (folder / "lock").open("a")
        fcntl.flock(file, fcntl.LOCK_EX)
    try:
        with file:
            yield folder, file.fileno()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Fold:
    """A fold's attempt on this machine."""

    def __init__(self, mailbox: Any, order: dict[str, Any]) -> None:
        import ray

        self._ray: Any = ray
        self._mailbox, self._order = mailbox, order
        self._node = ray.get_runtime_context().get_node_id()
        self.machine = f"{socket.gethostname()} ({self._ray.util.get_node_ip_address()})"
        self._told = 0.0  # when, by this machine's clock
        self._there: dict[str, str] = {}  # sha256 of the files that the command has, by name
        # Ray gives a task's core to the next one while it waits for Ray, unless another thread does the waiting.
        self._calls = ThreadPoolExecutor(1)
        self._uploaded = ""
        self._transfer: Path | None = None  # a folder that the command sees too
        self._shown = ("", "")  # progress.json and history.json as told last

    def train(self, folder: Path, lock: int) -> dict[str, Any]:
        """From the checks to the last committed file."""
        self._tell("here")
        self._check_torch()
        code, data = self._code(), self._data()
        self._look_for_shared_disk()
        report = self._canary(code, data)
        state = self._ask("begin", kind=report["digest"], cpu=report["cpu"], shared=self._transfer is not None)
        if "refused" in state:
            raise _RefusedError(state["refused"])
        checkpoint = folder / self._order["folder"]
        self._lay_state(checkpoint, state)
        job = {**self._order["job"], "prepared": str(data), "root": str(folder), "supervisor": os.getpid()}
        command = [sys.executable, "-m", "audiocnn.folds.worker", json.dumps(job)]
        with (folder / "log").open("wb") as output, (folder / "log").open(errors="replace") as log:
            worker = self._start(command, code, output, lock)
            try:
                return self._watch(worker, log, checkpoint)
            finally:
                _end(worker)

    # What it says and asks

    def _tell(self, what: str, **more: Any) -> dict[str, Any]:
        """Tells the command something. Raises _StopError where that wants this attempt to stop."""
        orders = self._send(what, **more)
        if orders["stop"]:
            raise _StopError
        return orders

    def _send(self, what: str, **more: Any) -> dict[str, Any]:
        message = {
            "what": what,
            "fold": self._order["fold"],
            "attempt": self._order["attempt"],
            "node": self._node,
            "machine": self.machine,
            **more,
        }
        orders: dict[str, Any] = self._get(self._mailbox.tell.remote(message))
        self._told = time.monotonic()
        return orders

    def _get(self, reference: Any) -> Any:
        return self._calls.submit(self._ray.get, reference, timeout=ANSWER).result()

    def _beat(self) -> None:
        if time.monotonic() - self._told >= BEAT:
            self._tell("beat")

    def _ask(self, what: str, **more: Any) -> Any:
        """The command's answer to a question."""
        self._tell(what, **more)
        fold, attempt = self._order["fold"], self._order["attempt"]
        while True:
            answer = self._get(self._mailbox.answer_to.remote(fold, attempt))
            if answer is not None:
                return answer
            self._beat()
            time.sleep(0.1)

    @contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        """Holds a lock of this machine's folds, and tells that it lives while another one holds it."""
        with path.open("w") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    self._beat()
                    time.sleep(0.1)
            yield

    # Checks and inputs

    def _check_torch(self) -> None:
        wanted = self._order["torch"]
        try:
            found = importlib.metadata.version("torch").split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            found = "no torch"
        if found != wanted:
            raise _RefusedError(
                f"it has {found}, expected torch {wanted}, of which the folds' KEYs are made: install what "
                "constraints.txt says there."
            )

    def _code(self) -> Path:
        """The folder with the code, each file as it was sent."""
        files, root = self._order["code_files"], _scratch() / "code"
        folder: Path = root / self._order["code"]
        with self._locked(root.parent / "code.lock"):
            if not _is_whole(folder, files):
                archive = self._ask("code")

                def unpack(new: Path) -> None:
                    with zipfile.ZipFile(io.BytesIO(archive)) as file:
                        file.extractall(new)

                _make_again(folder, unpack)
            if not _is_whole(folder, files):
                raise _RefusedError(f"the code in {folder} is not what was sent: is its disk sound?")
        return folder

    def _data(self) -> Path:
        """The folder with the arrays: a shared one, or a copy in the scratch, which is made once."""
        files, root = self._order["data_files"], _scratch() / "data"
        shared = Path(self._order["job"]["prepared"])
        if self._sees_disk() and _is_whole(shared, files):
            return shared
        folder: Path = root / self._order["data"]
        with self._locked(root.parent / "data.lock"):
            lacking = [name for name, digest in files.items() if not _has(folder / name, digest)]
            if lacking:
                contents = self._ask("data", names=lacking)
                folder.mkdir(exist_ok=True)
                for name in lacking:
                    self._lay_array(folder / name, contents[name], files[name])
        return folder

    def _lay_array(self, path: Path, content: Any, digest: str) -> None:
        arriving = ThreadPoolExecutor(1).submit(self._ray.get, content)
        while not arriving.done():
            self._beat()
            time.sleep(0.1)
        new = path.with_name(f".{path.name}.new")
        new.write_bytes(memoryview(arriving.result()))
        if not _has(new, digest):
            new.unlink()
            raise _RefusedError(f"{path.name} arrived there with another sha256 than meta.json's.")
        new.replace(path)

    def _sees_disk(self) -> bool:
        """Whether this machine sees the disk of the command: a file there says the same word."""
        with suppress(OSError):
            return Path(self._order["probe"]).read_text() == str(self._order["word"])
        return False

    def _look_for_shared_disk(self) -> None:
        transfer = Path(self._order["probe"]).parent
        if self._sees_disk() and os.access(transfer, os.W_OK):
            self._transfer = transfer

    def _canary(self, code: Path, data: Path) -> dict[str, Any]:
        """What this machine computes: found once for a node, code, data and params."""
        known = _scratch() / "canary" / f"{self._order['canary']}-{self._node}.json"
        with self._locked(known.with_suffix(".lock")):
            with suppress(OSError, ValueError):
                return dict(json.loads(known.read_text()))
            job = {**self._order["job"], "prepared": str(data), "supervisor": os.getpid()}
            command = [sys.executable, "-m", "audiocnn.folds.canary", json.dumps(job)]
            with tempfile.TemporaryFile() as output:
                process = self._start(command, code, output)
                try:
                    while process.poll() is None:
                        self._beat()
                        with suppress(subprocess.TimeoutExpired):
                            process.wait(LOOK)
                finally:
                    _end(process)
                output.seek(0)
                lines = output.read().decode(errors="replace").splitlines() or [""]
            if process.returncode != 0:
                raise _RefusedError(f"it cannot train: {_error_in(lines) or lines[-1]}")
            known.write_text(lines[-1])
            return dict(json.loads(lines[-1]))

    def _start(
        self, command: list[str], code: Path, output: IO[bytes], lock: int | None = None
    ) -> "subprocess.Popen[bytes]":
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        path = os.pathsep.join([str(code), *filter(None, [os.environ.get("PYTHONPATH")])])
        return subprocess.Popen(
            command,
            cwd=code,
            env={**environment, **self._order["variables"], "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
            pass_fds=() if lock is None else (lock,),
        )

    # The training process

    def _lay_state(self, checkpoint: Path, answer: dict[str, Any]) -> None:
        checkpoint.mkdir()
        if answer["state"] is None:
            return
        for name, content in answer["files"].items():
            (checkpoint / name).write_bytes(content)
            self._there[name] = hashlib.sha256(content).hexdigest()
        (checkpoint / _STATE).write_bytes(answer["state"])
        self._there[_STATE] = hashlib.sha256(answer["state"]).hexdigest()

    def _watch(self, worker: "subprocess.Popen[bytes]", log: IO[str], checkpoint: Path) -> dict[str, Any]:
        """Tells what the training process does, until it ends; then how it ended."""
        shipped = time.monotonic()
        rest, words = "", [""]
        while True:
            with suppress(subprocess.TimeoutExpired):
                worker.wait(LOOK)
            code = worker.poll()
            *lines, rest = (rest + log.read()).split("\n")
            words = [*words, *lines][-20:]
            orders = self._report(lines, checkpoint)
            if orders["stop"]:
                _end(worker)
                self._ship(checkpoint, send=self._send)
                raise _StopError
            if code is None and time.monotonic() - shipped >= self._order["ship_every"]:
                self._ship(checkpoint)
                shipped = time.monotonic()
            if code is not None:
                self._ship(checkpoint)
                return _outcome(code, words, checkpoint)

    def _report(self, lines: list[str], checkpoint: Path) -> dict[str, Any]:
        """Tells what is new, if anything is, or it is time. Returns the orders."""
        seen = (_text(checkpoint / "progress.json"), _text(checkpoint / "history.json"))
        said = [line for line in lines if not line.startswith(("error: ", "stopped by "))]
        if not said and seen == self._shown and time.monotonic() - self._told < BEAT:
            return {"stop": False}
        history = seen[1] if seen[1] != self._shown[1] else ""
        orders = self._send("beat", lines=said, progress=seen[0], history=history if self._order["history"] else "")
        self._shown = seen
        if (uploaded := orders.get("uploaded", "")) != self._uploaded:
            self._uploaded = uploaded
            new = checkpoint / ".uploaded.new"
            new.write_text(uploaded)
            new.replace(checkpoint / "uploaded.json")
        return orders

    def _ship(self, checkpoint: Path, send: Callable[..., dict[str, Any]] | None = None) -> None:
        """Sends the committed state and those of its files that the command lacks, if there are any."""
        found = self._committed(checkpoint)
        if found is None:
            return
        state, contents = found
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in [*contents.items(), (_STATE, state)]}
        if self._there.get(_STATE) == digests[_STATE]:
            return
        files: dict[str, bytes | None] = dict(contents)
        if self._transfer is not None:
            for name, content in contents.items():
                new = self._transfer / f"{digests[name]}.{self._order['fold']}.{self._order['attempt']}"
                new.write_bytes(content)
                new.replace(self._transfer / digests[name])
                files[name] = None
        (send or self._tell)("ship", state=state, files=files)
        self._there |= digests

    def _committed(self, checkpoint: Path) -> tuple[bytes, dict[str, bytes]] | None:
        """The committed state and its files that are new; None where an epoch is being committed all the while."""
        for _ in range(5):
            with suppress(OSError, ValueError, KeyError):
                state = (checkpoint / _STATE).read_bytes()
                files = json.loads(state)["files"]
                new = {name: digest for name, digest in files.items() if self._there.get(name) != digest}
                contents = {name: (checkpoint / name).read_bytes() for name in new}
                if all(hashlib.sha256(contents[name]).hexdigest() == digest for name, digest in new.items()):
                    return state, contents
            time.sleep(0.05)
        return None


def _outcome(code: int, words: list[str], checkpoint: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError, KeyError):
        return {"outcome": "error", "sentence": json.loads((checkpoint / "error.json").read_text())["message"]}
    if code == 0:
        return {"outcome": "finished", "sentence": ""}
    if sentence := _error_in(words):
        return {"outcome": "refused", "sentence": sentence}
    last = next((word for word in reversed(words) if word.strip()), "nothing")
    return {"outcome": "lost", "sentence": f"its training process ended with code {code}, its last words: {last}"}


def _error_in(lines: list[str]) -> str:
    return next((line.removeprefix("error: ") for line in reversed(lines) if line.startswith("error: ")), "")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ends a process, politely at first."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text()
    return ""


def _has(path: Path, digest: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == digest
    except OSError:
        return False


def _is_whole(folder: Path, files: dict[str, str]) -> bool:
    return all(_has(folder / name, digest) for name, digest in files.items())


def _make_again(folder: Path, fill: Callable[[Path], None]) -> None:
    """Puts a new folder in the place of one that is missing or damaged."""
    new = Path(tempfile.mkdtemp(dir=folder.parent))
    fill(new)
    if folder.exists():
        folder.rename(new / "damaged")
    new.rename(folder)
    shutil.rmtree(folder / "damaged", ignore_errors=True)
