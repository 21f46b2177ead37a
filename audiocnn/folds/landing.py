"""What other machines send of a fold, laid into its folder here: every file by its sha256, the state last."""

from collections.abc import Mapping
from pathlib import Path

from audiocnn.checkpoints.folder import (
    BEST_MODEL,
    TRAINING_STATE,
    checkpoint_name,
    delete_uncommitted,
    epoch_of,
    epoch_weights_name,
    result_names,
)
from audiocnn.checkpoints.training_state import TrainingState, load_training_state_json
from audiocnn.checkpoints.verified import DamagedCheckpointError, read_verified, sha256
from audiocnn.files import write_atomically

_INCOMING = "incoming"  # in the fold's folder: a state that is yet to be believed


class UnbelievedError(Exception):
    """What a machine sent is not what it says, or not of this fold. Its text is half a sentence."""


class Landing:
    """The folder of a fold whose lock the caller holds. transfer: where machines that see this disk leave files."""

    def __init__(self, folder: Path, fold: int, key: str, transfer: Path) -> None:
        self._folder, self._fold, self._key, self._transfer = folder, fold, key, transfer
        self._here: dict[str, str] = {}  # sha256 of what is known to be here, by name
        self.epochs = self._state()["last_epoch"]  # committed here

    def committed(self) -> tuple[bytes, dict[str, bytes]] | None:
        """The state as it stands on the disk now, with its files' contents by name; None where nothing is committed.

        Damaged files are left out: who resumes says so, and takes what is left.
        """
        state = self._state()
        if state.get("key") != self._key:
            return None
        contents: dict[str, bytes] = {}
        for name, digest in state.get("files", {}).items():
            try:
                contents[name] = read_verified(self._folder / name, digest)
            except DamagedCheckpointError:
                continue
            self._here[name] = digest
        return (self._folder / TRAINING_STATE).read_bytes(), contents

    def land(self, state: bytes, contents: Mapping[str, bytes | None]) -> int:
        """Lays down a committed state and the files that it names. Returns how many epochs are committed here then.

        contents: those of the files that may be missing here, by name; None for one that lies in `transfer` under its
        sha256. Raises UnbelievedError, with nothing committed.
        """
        incoming = self._folder / _INCOMING
        write_atomically(incoming / TRAINING_STATE, state)
        told = load_training_state_json(incoming, self._fold)
        if told.get("key") != self._key or told["last_fold"] != self._fold:
            raise UnbelievedError("its training_state.json is damaged or of another fold")
        if told["last_epoch"] < self.epochs:  # of an attempt that was taken for lost
            return self.epochs
        files = told.get("files", {})
        for name, digest in files.items():
            if self._here.get(name) != digest:
                self._lay(name, digest, contents.get(name))
        (incoming / TRAINING_STATE).replace(self._folder / TRAINING_STATE)
        incoming.rmdir()
        delete_uncommitted(self._folder, files)
        for name, content in contents.items():
            if content is None and name in files:
                (self._transfer / files[name]).unlink(missing_ok=True)
        self._here = dict(files)
        self.epochs = told["last_epoch"]
        return self.epochs

    def _lay(self, name: str, digest: str, content: bytes | None) -> None:
        if name not in self._legal(name):
            raise UnbelievedError(f"it sent a file called {name!r}")
        if content is None:
            try:
                content = read_verified(self._transfer / digest, digest)
            except DamagedCheckpointError:
                raise UnbelievedError(f"{name} did not arrive") from None
        if sha256(content) != digest:
            raise UnbelievedError(f"{name} arrived with another sha256 than the one committed there")
        write_atomically(self._folder / name, content)

    def _legal(self, name: str) -> set[str]:
        """The names that a file called like this one may have."""
        epoch = epoch_of(name)
        names = {BEST_MODEL, *result_names(self._fold)}
        return names if epoch is None else {checkpoint_name(epoch), epoch_weights_name(epoch)}

    def _state(self) -> TrainingState:
        return load_training_state_json(self._folder, self._fold)
