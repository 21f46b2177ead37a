"""The process that speaks with Ray: hands folds out to a cluster's machines, and lays down what comes back.

    python -m audiocnn.folds.ray_client ADDRESS EVENTS PARENT JOB

EVENTS: the descriptor that it tells its parent on, a JSON line each. JOB: a ClusterJob, or `device`. It holds the lock
of each fold that it has handed out. Ray tries nothing again by itself: a fold that is lost is handed out by us, under a
new number, with what is committed here by then. What Ray calls a success counts for nothing: finished is what lies
finished in the fold's folder.
"""

import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, cast

import numpy as np
import psutil

from audiocnn.checkpoints.failure import error_of, forget_error, record_error
from audiocnn.checkpoints.folder import UPLOADED, fold_folder
from audiocnn.checkpoints.key import torch_version
from audiocnn.checkpoints.lock import fold_lock
from audiocnn.checkpoints.progress import FoldProgress, write_progress
from audiocnn.checkpoints.training_state import read_finished
from audiocnn.config.all_clips import fold_words
from audiocnn.config.arithmetic import is_x86_64, with_arithmetic
from audiocnn.config.runtime import WandbSettings
from audiocnn.data.prepared import ARRAYS, META, read_meta
from audiocnn.errors import UserError, run_command, sentence_of
from audiocnn.files import digest, sha256_of_file
from audiocnn.folds.landing import Landing, UnbelievedError
from audiocnn.folds.machines import machine_of, write_machine
from audiocnn.folds.own_canary import own_canary
from audiocnn.folds.pool import KEEP_LARGE_BLOCKS
from audiocnn.folds.ray_cluster import Cluster, connected, why_lost
from audiocnn.folds.ray_engine import ClusterJob
from audiocnn.folds.ray_process import DEVICE
from audiocnn.folds.shipped_code import shipped_code
from audiocnn.folds.wandb_log import say as tell_line
from audiocnn.folds.wandb_process import WandbProcess
from audiocnn.processes import StopSignal, end_with
from audiocnn.text import duration
from audiocnn.tracking.config import wandb_config

_POLL = 0.2  # seconds between two looks at the mailbox
_NODES_EVERY = 2.0  # seconds between two looks at the cluster's machines
_PATIENCE = 10.0  # seconds without a machine until a line says so
_STOP_WITHIN = 7.0  # seconds for folds that were told to stop; their processes get five of them
_LOSSES = 3  # in a row, without a new commit between them, are the fold's error
_TRACKERS_END = 15.0  # seconds for the last rows of W&B


def main() -> None:
    """Does what the command line says. Raises UserError."""
    address, events, parent, text = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    end_with(psutil.Process(parent))
    os.set_inheritable(events, False)
    try:
        ray = connected(address)
        stop = StopSignal()  # after Ray, which sets a handler of its own
        if text == DEVICE:
            _tell(events, device=_device(Cluster(ray, address), events, stop))
            return
        with _HandOut(Cluster(ray, address), ClusterJob.model_validate_json(text), events, stop) as hand_out:
            hand_out.run()
    except (UserError, OSError) as error:
        sentence = sentence_of(error)
        if sentence is None:
            raise
        _tell(events, error=sentence)
    with suppress(Exception):
        ray.shutdown()


def _tell(events: int, **event: Any) -> None:
    os.write(events, (json.dumps(event) + "\n").encode())


def _device(cluster: Cluster, events: int, stop: StopSignal) -> str:
    """cuda where a machine with slots has a GPU, else cpu. Waits for the first machine."""
    start, told = time.monotonic(), False
    while True:
        stop.check()
        nodes = [resources for resources in cluster.nodes().values() if resources.get("CPU", 0) >= 1]
        if nodes:
            return "cuda" if any(resources.get("GPU", 0) > 0 for resources in nodes) else "cpu"
        if time.monotonic() - start > _PATIENCE and not told:
            _tell(events, say="waiting for machines: 0 of 0 slots")
            told = True
        time.sleep(_POLL)


class _Fold:
    """A fold on its way to be finished. Its lock is ours."""

    def __init__(self, fold: int, folder: Path, landing: Landing) -> None:
        self.fold, self.folder, self.landing = fold, folder, landing
        self.attempt = 0
        self.losses = 0  # in a row
        self.task: Any = None  # Ray's reference, while it is handed out
        self.heard: float | None = None  # when its machine told something last; None: it waits for one
        self.node = self.machine = ""
        self.epochs_before = 0  # committed here when it was handed out
        self.avoid: dict[str, str] = {}  # machines that may not have it, by node id, and why
        self.tracker: WandbProcess | None = None
        self.progress: FoldProgress | None = None

    @property
    def trains(self) -> bool:
        """Whether some machine has begun with it."""
        return self.task is not None and self.heard is not None


class _HandOut:
    """The folds of a job, from the first hand-out to the last landing."""

    def __init__(self, cluster: Cluster, told: ClusterJob, events: int, stop: StopSignal) -> None:
        self._cluster, self._ray, self._told, self._job = cluster, cluster.ray, told, told.job
        self._events, self._stop = events, stop
        self._engine = told.job.runtime.engine
        self._root = Path(told.job.root)
        self._stack = ExitStack()
        self._folds: dict[int, _Fold] = {}
        self._locks: dict[int, ExitStack] = {}
        self._refused: dict[str, str] = {}  # machines that cannot train these folds, by node id, and their sentence
        self._silent: dict[str, str] = {}  # machines that fell silent
        self._nodes: dict[str, Mapping[str, float]] = {}
        self._nodes_seen = 0.0
        self._waiting_since = time.monotonic()
        self._said_waiting = self._said_cluster = ""
        self._arrays: dict[str, Any] = {}  # Ray's references, by file name
        self._questions: list[dict[str, Any]] = []  # that wait for this machine's own canary
        self._trackers: list[WandbProcess] = []

    def __enter__(self) -> "_HandOut":
        try:
            self._transfer = Path(self._stack.enter_context(_transfer_folder(self._root)))
            self._word = secrets.token_hex(16)
            (self._transfer / "word").write_text(self._word)
            self._code = shipped_code()
            prepared = Path(self._job.prepared)
            meta = read_meta(prepared)
            self._data_files = {f"{name}.npy": meta.digests[name] for name in ARRAYS}
            self._data_files[META] = sha256_of_file(prepared / META)
            self._take_locks()
            self._mailbox = self._cluster.mailbox()
            self._canary = self._stack.enter_context(own_canary(self._job)) if self._is_portable() else None
            self._kind: str | None = None  # that all machines must be of, once it is known
            self._tracks = _wants_wandb(self._job.runtime.wandb)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        for fold in list(self._folds.values()):
            if fold.tracker is not None:
                fold.tracker.close()
        deadline = time.monotonic() + _TRACKERS_END
        for tracker in self._trackers:
            tracker.end(deadline)
        for lock in self._locks.values():
            lock.close()
        self._stack.close()

    def _is_portable(self) -> bool:
        return self._job.device == "cpu" and self._job.train.arithmetic == "portable" and is_x86_64()

    def _take_locks(self) -> None:
        """Takes the folds that nobody else has, that are not finished, and that have not failed in this dvc run."""
        for seconds in (0, 1):
            for fold, key in self._job.keys.items():
                if fold in self._locks:
                    continue
                folder, lock = fold_folder(self._root, fold, key), ExitStack()
                if not lock.enter_context(fold_lock(folder, timeout=seconds)):
                    lock.close()
                    continue
                self._locks[fold] = lock
                if read_finished(folder, fold, key) is None and error_of(folder, self._job.session) is None:
                    forget_error(folder)
                    self._folds[fold] = _Fold(fold, folder, Landing(folder, fold, key, self._transfer))
                else:
                    self._release(fold)

    def run(self) -> None:
        """Returns when no fold is left. Raises Stopped after a signal, UserError where no machine can train."""
        while self._folds:
            if self._stop.received is not None:
                self._stop_all()
            self._look_at_nodes()
            self._hand_out()
            ended = self._ended()
            self._handle_messages()
            for fold in ended:
                self._judge(fold)
            self._find_silent()
            self._check_that_some_machine_is_left()
            self._show()
            time.sleep(_POLL)

    # Machines

    def _look_at_nodes(self) -> None:
        if time.monotonic() - self._nodes_seen > _NODES_EVERY:
            self._nodes = {node: has for node, has in self._cluster.nodes().items() if self._slots(has)}
            self._nodes_seen = time.monotonic()
            self._silent = {node: machine for node, machine in self._silent.items() if node in self._nodes}

    def _slots(self, has: Mapping[str, float]) -> int:
        """How many folds a machine with such resources trains side by side."""
        return min(int(has.get(name, 0) // amount) for name, amount in self._wants().items())

    def _wants(self) -> dict[str, float]:
        wants: dict[str, float] = {"CPU": self._job.train.threads}
        if self._job.device == "cuda":
            return {**wants, "GPU": 1 / self._job.runtime.jobs_per_gpu}
        return {**wants, "memory": self._told.memory}

    def _takes(self) -> dict[str, Any]:
        names = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
        return {names[name]: amount for name, amount in self._wants().items()}

    def _check_that_some_machine_is_left(self) -> None:
        """Raises UserError where every machine has refused; of single folds, that no machine may have, it is theirs."""
        if not self._nodes or any(fold.trains for fold in self._folds.values()):
            return
        if self._nodes.keys() <= self._refused.keys():
            more = f" ({len(self._refused)} machines refuse.)" if len(self._refused) > 1 else ""
            raise UserError(f"no machine of the cluster can train: {next(iter(self._refused.values()))}{more}")
        for fold in list(self._folds.values()):
            if fold.avoid and self._nodes.keys() <= {*self._refused, *fold.avoid}:
                self._fail(fold, next(iter(fold.avoid.values())))

    # Handing out

    def _hand_out(self) -> None:
        running = sum(fold.task is not None for fold in self._folds.values())
        for fold in self._folds.values():
            if running >= self._told.jobs:
                return
            avoid = {*self._refused, *self._silent, *fold.avoid}
            if fold.task is None and not (self._nodes and self._nodes.keys() <= avoid):
                self._start(fold, avoid)
                running += 1

    def _start(self, fold: _Fold, avoid: set[str]) -> None:
        fold.attempt += 1
        fold.heard, fold.node, fold.epochs_before = None, "", fold.landing.epochs
        self._expect(fold, stop=False)
        fold.task = self._cluster.start(self._mailbox, self._order(fold), self._takes(), avoid)

    def _expect(self, fold: _Fold, stop: bool) -> None:
        uploaded = ""
        with suppress(OSError):
            uploaded = (fold.folder / UPLOADED).read_text()
        orders = {"attempt": fold.attempt, "stop": stop, "uploaded": uploaded}
        self._ray.get(self._mailbox.expect.remote(fold.fold, orders))

    def _order(self, fold: _Fold) -> dict[str, Any]:
        job = self._job
        runtime = job.runtime.model_copy(update={"wandb": WandbSettings(mode="disabled")})
        there = job.model_copy(
            update={
                "keys": {fold.fold: job.keys[fold.fold]},
                "prepared": str(Path(job.prepared).resolve()),
                "runtime": runtime,
                "remote": True,
            }
        ).model_dump(mode="json")
        same = {name: there[name] for name in ("model", "train", "device")}
        code, data = self._code.digest, digest(self._data_files)
        return {
            "fold": fold.fold,
            "attempt": fold.attempt,
            "folder": fold.folder.name,
            "job": there,
            "torch": torch_version(),
            "code": code,
            "code_files": self._code.files,
            "data": data,
            "data_files": self._data_files,
            "canary": digest([same, code, data]),
            "variables": with_arithmetic(KEEP_LARGE_BLOCKS, job.train.arithmetic),
            "probe": str((self._transfer / "word").resolve()),
            "word": self._word,
            "ship_every": self._engine.ship_every,
            "history": self._tracks,
        }

    # What machines tell

    def _handle_messages(self) -> None:
        messages = self._ray.get(self._mailbox.take.remote())
        if self._canary is not None and self._kind is None and (kind := self._canary()) is not None:
            self._kind = kind
        waiting, self._questions = self._questions, []
        for message in [*waiting, *messages]:
            fold = self._folds.get(message["fold"])
            if message["what"] == "late":
                self._silent.pop(message["node"], None)
            elif fold is not None and fold.attempt == message["attempt"] and fold.task is not None:
                fold.heard, fold.node, fold.machine = time.monotonic(), message["node"], message["machine"]
                self._handle(fold, message)

    def _handle(self, fold: _Fold, message: dict[str, Any]) -> None:
        what = message["what"]
        if what == "beat":
            self._show_beat(fold, message)
        elif what == "code":
            self._answer(fold, self._code.archive)
        elif what == "data":
            self._answer(fold, {name: self._array(name) for name in message["names"]})
        elif what == "begin":
            self._begin(fold, message)
        elif what == "ship":
            self._land(fold, message)

    def _answer(self, fold: _Fold, answer: Any) -> None:
        self._mailbox.answer.remote(fold.fold, fold.attempt, answer)

    def _array(self, name: str) -> Any:
        """A file of the prepared data in Ray's store, once: machines get it from there, and from each other."""
        if name not in self._arrays:
            content = (Path(self._job.prepared) / name).read_bytes()
            self._arrays[name] = self._ray.put(np.frombuffer(content, np.uint8))
        return self._arrays[name]

    def _begin(self, fold: _Fold, message: dict[str, Any]) -> None:
        """Lets a machine begin, with what is committed now, or refuses its kind of arithmetic."""
        if self._canary is not None and self._kind is None:
            self._questions.append(message)
            return
        kind, machine = message["kind"], message["machine"]
        if self._kind is not None and kind != self._kind:
            self._answer(
                fold,
                {
                    "refused": f"it computes other bits ({message['cpu']}), though train.arithmetic is portable: "
                    "does its environment set variables of oneDNN, MKL or torch, or has it other versions than "
                    "constraints.txt?"
                },
            )
            return
        before = machine_of(fold.folder)
        if fold.landing.epochs and before and before["kind"] != kind and not self._engine.mix_kinds:
            fold.avoid[fold.node] = (
                f"{fold_words(fold.fold)} has trained {fold.landing.epochs} epochs on {before['machine']} "
                f"({before['cpu']}), and no machine that computes the same bits is left: {machine} ({message['cpu']}) "
                "does not; set engine.mix_kinds: true in runtime.yaml to go on all the same, or train.arithmetic: "
                "portable to start over."
            )
            self._answer(fold, {"refused": ""})
            return
        write_machine(fold.folder, {"machine": machine, "cpu": message["cpu"], "kind": kind, "attempt": fold.attempt})
        committed = fold.landing.committed()
        state, files = committed or (None, {})
        self._answer(fold, {"state": state, "files": files})
        after = f", after epoch {fold.landing.epochs - 1}" if committed else ""
        disk = ", over a shared disk" if message["shared"] else ""
        self._say(fold, f"trains on {machine}{disk}{after}")
        if self._tracks and fold.tracker is None:
            fold.tracker = WandbProcess(self._events, self._job, fold.fold)
            self._trackers.append(fold.tracker)

    def _show_beat(self, fold: _Fold, message: dict[str, Any]) -> None:
        for line in message.get("lines", ()):
            tell_line(self._events, line)
        with suppress(ValueError, TypeError, AttributeError):
            if message.get("progress"):
                told = json.loads(message["progress"])
                names = FoldProgress.__annotations__
                progress = {**{name: float(told[name]) for name in names}, "time": time.time()}
                fold.progress = cast(FoldProgress, progress)
                write_progress(fold.folder, fold.progress)
        with suppress(ValueError, TypeError, AttributeError):
            if message.get("history") and fold.tracker is not None:
                fold.tracker.log(json.loads(message["history"]))

    def _land(self, fold: _Fold, message: dict[str, Any]) -> None:
        try:
            epochs = fold.landing.land(message["state"], message["files"])
        except UnbelievedError as error:
            self._refuse(fold, f"what it sent of {fold_words(fold.fold)} is not believed: {error}.")
            self._lost(fold, f"{error}")
            return
        if epochs > fold.epochs_before:
            fold.losses = 0
        if self._job.runtime.hub.model_repo:
            self._expect(fold, stop=False)

    # How folds end

    def _ended(self) -> list[_Fold]:
        """The folds whose task Ray says has ended, by whatever."""
        tasks = {fold.task: fold for fold in self._folds.values() if fold.task is not None}
        if not tasks:
            return []
        ready, _ = self._ray.wait(list(tasks), num_returns=len(tasks), timeout=0)
        return [tasks[task] for task in ready]

    def _judge(self, fold: _Fold) -> None:
        """Looks at how an attempt ended."""
        if fold.fold not in self._folds or fold.task is None:
            return
        try:
            ended = self._ray.get(fold.task, timeout=5)
        except Exception as error:  # noqa: BLE001  # a machine that died, in all the ways that Ray has for it
            ended = {"outcome": "lost", "sentence": why_lost(error)}
        outcome, sentence = ended["outcome"], ended["sentence"]
        if self._is_finished(fold):
            self._release(fold.fold)
        elif outcome == "error":
            self._fail(fold, sentence)
        elif outcome == "refused":
            if sentence:
                self._refuse(fold, sentence)
            fold.task = None
        else:
            self._lost(fold, sentence or "it ended without a result")

    def _is_finished(self, fold: _Fold) -> bool:
        return read_finished(fold.folder, fold.fold, self._job.keys[fold.fold]) is not None

    def _refuse(self, fold: _Fold, sentence: str) -> None:
        """Gives the machine of a fold no more of ours."""
        if fold.node and fold.node not in self._refused:
            self._refused[fold.node] = f"{fold.machine}: {sentence}"
            self._say(fold, f"not on {fold.machine}: {sentence}")

    def _find_silent(self) -> None:
        for fold in list(self._folds.values()):
            if fold.task is None or fold.heard is None:
                continue
            silence = time.monotonic() - fold.heard
            if silence > self._engine.lost_after:
                self._silent[fold.node] = fold.machine
                self._ray.cancel(fold.task, force=True, recursive=False)
                self._lost(fold, f"it has been silent for {silence:.0f} s")

    def _lost(self, fold: _Fold, why: str) -> None:
        """Hands a fold out again, or gives it up."""
        fold.losses += 1
        fold.task, machine = None, fold.machine or "its machine"
        if fold.losses >= _LOSSES:
            self._fail(
                fold,
                f"{fold_words(fold.fold)} was lost {fold.losses} times in a row without a new epoch, the last time on "
                f"{machine}: {why}; run the command again, which resumes.",
            )
            return
        after = f" after epoch {fold.landing.epochs - 1}" if fold.landing.epochs else " from its first epoch"
        self._say(fold, f"lost on {machine}: {why}; it goes on{after}")

    def _fail(self, fold: _Fold, sentence: str) -> None:
        record_error(fold.folder, self._job.session, sentence)
        self._say(fold, sentence)
        if fold.task is not None:
            self._expect(fold, stop=True)
        self._release(fold.fold)

    def _release(self, fold: int) -> None:
        """Done with a fold, however it ended."""
        gone = self._folds.pop(fold, None)
        if gone is not None and gone.tracker is not None:
            gone.tracker.close()
        if fold in self._locks:
            self._locks.pop(fold).close()

    def _stop_all(self) -> NoReturn:
        """Stops all folds politely, takes their last commits, and raises Stopped."""
        for fold in self._folds.values():
            if fold.trains:
                self._expect(fold, stop=True)
            elif fold.task is not None:
                self._ray.cancel(fold.task, force=True, recursive=False)
        end = time.monotonic() + _STOP_WITHIN
        while time.monotonic() < end:
            ended = self._ended()
            self._handle_messages()
            for fold in ended:
                fold.task = None
            if not any(fold.trains for fold in self._folds.values()):
                break
            time.sleep(_POLL)
        self._stop.check()
        raise AssertionError("no signal came")

    # What is seen

    def _say(self, fold: _Fold, line: str) -> None:
        name = fold_words(fold.fold)
        tell_line(self._events, line if line.startswith(name) else f"{name}: {line}")

    def _show(self) -> None:
        """The line on the cluster, and, where nothing of ours trains for a while, that we wait for machines."""
        now = time.monotonic()
        trains = sum(fold.trains for fold in self._folds.values())
        slots = sum(map(self._slots, self._nodes.values()))
        machines = f"cluster: {len(self._nodes)} machines with {slots} slots"
        line = f"{machines}, folds: {trains} in training, {len(self._folds) - trains} waiting"
        left = self._seconds_left(max(1, min(slots, self._told.jobs)))
        _tell(self._events, cluster=f"{line}, at most {duration(left)} left" if left else line)
        if trains and machines != self._said_cluster:
            self._said_cluster = machines
            tell_line(self._events, line)
        if trains or not self._folds:
            self._waiting_since, self._said_waiting = now, ""
        elif now - self._waiting_since > _PATIENCE:
            amount = ", ".join(f"{amount:g} {name}" for name, amount in self._wants().items() if name != "memory")
            words = f"waiting for machines: {self._free()} of {slots} slots (a fold takes {amount})"
            if words != self._said_waiting:
                self._said_waiting = words
                tell_line(self._events, words)

    def _free(self) -> int:
        """The slots that nobody uses now, roughly: Ray tells what is free in all machines together."""
        free = self._ray.available_resources() if self._nodes else {}
        return min(int(free.get(name, 0) // amount) for name, amount in self._wants().items())

    def _seconds_left(self, slots: int) -> float:
        """At most so many seconds, if each fold trains all epochs; 0 where no epoch has been timed."""
        times = [fold.progress["seconds_per_epoch"] for fold in self._folds.values() if fold.progress is not None]
        if not any(times):
            return 0.0
        left = [self._job.train.epochs - fold.landing.epochs for fold in self._folds.values()]
        return max(*left, sum(left) / slots) * max(times)


def _wants_wandb(settings: WandbSettings) -> bool:
    config = wandb_config(settings)
    return config.mode in ("online", "offline") or (config.mode == "auto" and config.has_key)


@contextmanager
def _transfer_folder(root: Path) -> Iterator[str]:
    """A folder beside the checkpoints for what machines that see this disk leave there."""
    (root / "transfer").mkdir(parents=True, exist_ok=True)
    for old in (root / "transfer").iterdir():
        with suppress(ValueError, OSError):
            if not psutil.pid_exists(int(old.name.partition("-")[0])):
                shutil.rmtree(old)
    with tempfile.TemporaryDirectory(
        dir=root / "transfer", prefix=f"{os.getpid()}-", ignore_cleanup_errors=True
    ) as folder:
        yield folder
    with suppress(OSError):  # another command has one
        (root / "transfer").rmdir()


if __name__ == "__main__":
    sys.exit(run_command(main))
