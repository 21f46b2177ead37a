"""The finished run in this project, read back and checked against itself before anything of it goes out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from audiocnn.config.all_clips import ALL_CLIPS_WEIGHTS
from audiocnn.config.data_params import source_kind
from audiocnn.config.outs import FOLD_RESULTS, HISTORIES, METRICS, MODELS, weights_name
from audiocnn.config.params import PARAMS_FILE, Params, read_params
from audiocnn.config.train_params import params_digest
from audiocnn.errors import UserError
from audiocnn.evaluation import rows
from audiocnn.evaluation.fold_results import FoldResult, fold_result_path, read_fold_results
from audiocnn.files import json_text, sha256_of_file
from audiocnn.folds.all_clips import AllClipsRecord, all_clips_train, read_record
from audiocnn.model.weights import WeightsHeader

_CURE = "run 'dvc repro', so that models/, results/ and metrics/ are of one run"


@dataclass(frozen=True)
class FinishedRun:
    """A finished run: its params, and its folds' results and weights' headers, in the order of the folds."""

    params: Params
    results: list[FoldResult]
    headers: list[WeightsHeader]

    @property
    def all_clips_digest(self) -> str:
        """The params_digest of a network on all clips of this run. Raises UserError where there can be none."""
        return params_digest(self.params.model, all_clips_train(self.params.train, self.results))


def read_finished_run(demo_is_meant: bool) -> FinishedRun:
    """The finished run in this project.

    demo_is_meant: whether it may be of the demo. Raises UserError where it is and may not, where a file is missing, or
    where one is of another run.
    """
    run = _read_run()
    if run.results[0].source == "demo" and not demo_is_meant:
        raise UserError(
            "these are results of the demo, on synthetic sounds: train on real ones (data.source in params.yaml), "
            "or publish them all the same with --yes-this-is-the-demo."
        )
    return run


def _read_run() -> FinishedRun:
    params = read_params()
    results = read_fold_results(params.folds)
    kind = source_kind(params.data.source)
    if results[0].source != kind:
        raise UserError(f"{PARAMS_FILE} names data of kind {kind}, the results are of {results[0].source}: {_CURE}.")
    expected: Mapping[Path, bytes] = {
        METRICS / "summary.json": json_text(rows.summary(results)).encode(),
        METRICS / "folds.csv": rows.csv_text([rows.fold_row(result) for result in results]).encode(),
        HISTORIES: rows.histories(results),
    }
    for path, content in expected.items():
        if _read(path) != content:
            raise UserError(f"{path} is not what {FOLD_RESULTS} give: {_CURE}.")
    return FinishedRun(params, results, [_header(result, params) for result in results])


def read_all_clips(run: FinishedRun) -> AllClipsRecord | None:
    """The record of the network on all clips, where there is one. Raises UserError where it is of another run."""
    from audiocnn.inference.pretrained import load_weights

    path = MODELS / ALL_CLIPS_WEIGHTS
    if not path.exists():
        return None
    record, header = read_record(MODELS), load_weights(path).header
    is_of_params = header is not None and header.params_digest == run.all_clips_digest
    is_recorded = record.weights == sha256_of_file(path) and is_of_params
    if not is_recorded or record.folds != {result.fold: result.key for result in run.results}:
        raise UserError(
            f"{path} is of another run than {FOLD_RESULTS}: run 'audiocnn train --all-clips' again, or remove it."
        )
    return record


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} is not here: {_CURE}.") from None


def _header(result: FoldResult, params: Params) -> WeightsHeader:
    """The header of a fold's weights. Raises UserError unless they can be loaded and are those of the fold's result."""
    from audiocnn.inference.pretrained import load_weights

    path = MODELS / weights_name(result.fold)
    header = load_weights(path).header
    if header is None:
        raise UserError(f"{path} has no header, so it is not of this project's training: {_CURE}.")
    same = {
        "fold": header.fold == result.fold and header.dataset_fold == result.dataset_fold,
        "classes": tuple(header.classes) == result.classes,
        "source": header.source == result.source,
        "epoch": header.epoch == result.best_epoch,
        "accuracy": header.accuracy == result.val_accuracy,
        "validation": header.validation == result.validation,
        "params": header.params_digest == params_digest(params.model, params.train),
    }
    for name, agrees in same.items():
        if not agrees:
            origin = PARAMS_FILE if name == "params" else fold_result_path(result.fold)
            raise UserError(f"{path} is of another run than {origin}, they differ in {name}: {_CURE}.")
    return header
