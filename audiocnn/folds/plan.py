"""The plan of a cross-validation: everything that decides its folds' results, and where each fold's folder is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from audiocnn.checkpoints.folder import fold_folder
from audiocnn.checkpoints.key import PROJECT, code_digests, fold_key
from audiocnn.checkpoints.training_state import read_finished
from audiocnn.config.all_clips import ALL_CLIPS
from audiocnn.config.model_params import ModelParams
from audiocnn.config.params import Params
from audiocnn.config.runtime import Runtime, checkpoint_root
from audiocnn.config.train_params import TrainParams
from audiocnn.data.prepared import Meta, read_meta, verify_arrays
from audiocnn.errors import UserError
from audiocnn.files import sha256_of_file
from audiocnn.folds.ray_process import device_of_folds

_ALL_CLIPS_CODE = "audiocnn/training/all_clips.py"


@dataclass(frozen=True)
class Plan:
    """Everything that decides the folds' results, as it was when the plan was made, and where their checkpoints are.

    root: the checkpoint root. code: code_digests.
    """

    prepared: Path
    root: Path
    meta: Meta
    model: ModelParams
    train: TrainParams
    device: str
    code: Mapping[str, str]

    def key(self, fold: int) -> str:
        """The fold's KEY."""
        return fold_key(fold, self.model, self.train, self.meta, self.device, code_of(fold, self.code))

    def folder(self, fold: int) -> Path:
        """The fold's checkpoint folder."""
        return fold_folder(self.root, fold, self.key(fold))

    def results(self, fold: int) -> dict[str, bytes] | None:
        """A finished fold's two files by name, or None: here it is decided that a fold is finished."""
        return read_finished(self.folder(fold), fold, self.key(fold))


def code_of(fold: int, code: Mapping[str, str]) -> Mapping[str, str]:
    """The digests of the code that decides a fold's result. The network on all clips has a module of its own."""
    return code if fold != ALL_CLIPS else {**code, _ALL_CLIPS_CODE: sha256_of_file(PROJECT / _ALL_CLIPS_CODE)}


def make_plan(params: Params, runtime: Runtime, prepared: Path, root: Path | None = None) -> Plan:
    """The plan for these settings. Reads and verifies the prepared data. Raises UserError."""
    meta = read_meta(prepared)
    verify_arrays(prepared, meta)
    if max(params.folds) >= len(meta.folds):
        count = len(meta.folds)
        raise UserError(
            f"params.yaml: folds lists {max(params.folds)}, but the data in {prepared} has {count} folds: "
            f"set folds: {list(range(count))}."
        )
    root = root or checkpoint_root()
    return Plan(prepared, root, meta, params.model, params.train, device_of_folds(runtime, root), code_digests())
