"""`audiocnn publish`: the weights of a finished run as a model repository, with all that shows what they are worth."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from audiocnn.checkpoints.key import PROJECT
from audiocnn.config.all_clips import ALL_CLIPS_RECORD, ALL_CLIPS_WEIGHTS
from audiocnn.config.data_params import source_kind
from audiocnn.config.hub_names import is_repository
from audiocnn.config.outs import FOLD_RESULTS, HISTORIES, METRICS, MODELS, PREPARED, weights_name, weights_number
from audiocnn.config.params import PARAMS_FILE, Params, read_params
from audiocnn.config.train_params import params_digest
from audiocnn.data.prepared import read_meta
from audiocnn.errors import UserError
from audiocnn.evaluation import rows
from audiocnn.evaluation.fold_results import FoldResult, fold_result_path, read_fold_results
from audiocnn.files import json_text, sha256_of_file, write_atomically
from audiocnn.folds.all_clips import AllClipsRecord, all_clips_train, read_record
from audiocnn.model.weights import WeightsHeader
from audiocnn.release.code_address import public_address
from audiocnn.release.origin import ORIGIN, Origin, params_yaml, read_origin, why_not_verifiable
from audiocnn.sound.leak_counts import read_leaks
from audiocnn.text import displayed

_CURE = "run 'dvc repro', so that models/, results/ and metrics/ are of one run"
_NO_ADDRESS = (
    "the card has no command that installs audiocnn: 'git remote get-url origin' names no https:// address without a "
    "password, or this commit is not pushed there"
)


@dataclass(frozen=True)
class _Release:
    """A finished run: its params, and its folds' results and weights' headers, in the order of the folds.

    all_clips: the record of the network on all clips, where there is one.
    """

    params: Params
    results: list[FoldResult]
    headers: list[WeightsHeader]
    all_clips: AllClipsRecord | None


def publish(repository: str, dry_run: Path | None, demo_is_meant: bool) -> None:
    """Pushes what models/, metrics/ and results/ hold to a model repository, or writes it into a folder.

    repository: OWNER/NAME. dry_run: a new or an empty folder, or None to push. demo_is_meant: whether results of the
    demo may go out. Raises UserError where the arguments are wrong, the files are not of one run, or the Hub refuses.
    """
    if not is_repository(repository):
        raise UserError(f"--repo is {repository!r}, expected OWNER/NAME.")
    if dry_run is not None:
        _check_new(dry_run)
    release = _read_release()
    if release.results[0].source == "demo" and not demo_is_meant:
        raise UserError(
            "these are results of the demo, on synthetic sounds: train on real ones (data.source in params.yaml), "
            "or publish them all the same with --yes-this-is-the-demo."
        )
    origin = read_origin(release.params, release.results)
    address = public_address(PROJECT, origin.code.commit)
    files = _release_files(release, origin, repository, address)
    for name, content in files.items():
        print(displayed(f"{len(content):>10,} bytes  {name}"))
    if dry_run is None:
        _push(files, repository)
    else:
        _write(files, dry_run)
    if why := why_not_verifiable(origin, release.params, release.results):
        print(displayed(f"note: {why}"), file=sys.stderr)
    if address is None:
        print(f"note: {_NO_ADDRESS}", file=sys.stderr)


def _check_new(folder: Path) -> None:
    """Raises UserError unless a folder can be made there, or is there and empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} already exists: name a new or an empty folder for --dry-run.")


def _write(files: Mapping[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        write_atomically(folder / name, content)
    print(f"{len(files)} files in {folder}, nothing is pushed; the model card is {folder / 'README.md'}")


def _push(files: Mapping[str, bytes], repository: str) -> None:
    from audiocnn.hub.models import push_release

    def is_stale(name: str) -> bool:  # weights of a fold that this release does not have would vote in predictions
        return weights_number(name) is not None or name in (ALL_CLIPS_WEIGHTS, ALL_CLIPS_RECORD)

    print(displayed(f"{len(files)} files in one commit: {push_release(repository, files, is_stale)}"))


def _release_files(release: _Release, origin: Origin, repository: str, address: str | None) -> dict[str, bytes]:
    """The files of the repository by name; the same bytes for the same run."""
    from audiocnn.release.confusion_picture import confusion_png
    from audiocnn.release.model_card import model_card

    results, all_clips = release.results, release.all_clips
    names = [weights_name(result.fold) for result in results]
    names += [ALL_CLIPS_WEIGHTS, ALL_CLIPS_RECORD] if all_clips else []
    card = model_card(
        release.params,
        results,
        release.headers[0],
        repository,
        leaks=read_leaks(PREPARED),
        doubts=_doubts(),
        all_clips=all_clips,
        code=origin.code,
        address=address,
    )
    histories = [{"fold": result.fold, **result.history.series} for result in results]
    return {
        "README.md": card.encode(),
        **{name: (MODELS / name).read_bytes() for name in names},
        PARAMS_FILE.name: params_yaml(release.params),
        ORIGIN: json_text(origin.model_dump(mode="json")).encode(),
        "summary.json": (METRICS / "summary.json").read_bytes(),
        "folds.csv": (METRICS / "folds.csv").read_bytes(),
        "histories.json": json_text(histories).encode(),
        HISTORIES.name: HISTORIES.read_bytes(),
        "confusion_matrix.png": confusion_png(results),
    }


def _doubts() -> list[str]:
    """What prepare found in the data; nothing where the data is not here."""
    try:
        return read_meta(PREPARED).doubts()
    except UserError:
        return []


def _read_release() -> _Release:
    """The finished run in this project. Raises UserError where a file is missing, or is of another run."""
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
    return _Release(params, results, [_header(result, params) for result in results], _all_clips(params, results))


def _all_clips(params: Params, results: Sequence[FoldResult]) -> AllClipsRecord | None:
    """The record of the network on all clips, where there is one. Raises UserError where it is of another run."""
    from audiocnn.inference.pretrained import load_weights

    path = MODELS / ALL_CLIPS_WEIGHTS
    if not path.exists():
        return None
    record, header = read_record(MODELS), load_weights(path).header
    digest = params_digest(params.model, all_clips_train(params.train, results))
    is_recorded = record.weights == sha256_of_file(path) and header is not None and header.params_digest == digest
    if not is_recorded or record.folds != {result.fold: result.key for result in results}:
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
