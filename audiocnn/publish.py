"""The command `audiocnn publish`: the best models with everything that says what they are worth, in one commit."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from audiocnn import evaluation
from audiocnn.errors import UserError
from audiocnn.files import json_text, write_atomically
from audiocnn.fold_results import FOLD_RESULTS, FoldResult, read_fold_results
from audiocnn.key import digest
from audiocnn.params import PARAMS_FILE, Params, read_params
from audiocnn.weight_files import weights_name
from audiocnn.weights import WeightsHeader

MODELS, METRICS = Path("models"), Path("metrics")
HISTORIES = "all_fold_histories.pkl"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_MEND = "run 'dvc repro', so that models/, results/ and metrics/ are of one run"


@dataclass(frozen=True)
class Release:
    """One finished run: its params, its folds' results in order, and each fold's weights."""

    params: Params
    results: list[FoldResult]
    headers: list[WeightsHeader]


def publish(repository: str, dry_run: Path | None, demo_is_meant: bool) -> None:
    """Pushes what models/, metrics/ and results/ hold, or writes it into a new folder. Raises UserError."""
    if not _REPOSITORY.fullmatch(repository):
        raise UserError(f"--repo is {repository!r}, expected OWNER/NAME.")
    if dry_run is not None and dry_run.exists() and (not dry_run.is_dir() or any(dry_run.iterdir())):
        raise UserError(f"{dry_run} is there already: name a new or an empty folder for --dry-run.")
    release = read_release()
    if release.results[0].source == "demo" and not demo_is_meant:
        raise UserError(
            "these are results of the demo, on synthetic sounds: train on real ones (data.source in params.yaml), "
            "or publish them all the same with --yes-this-is-the-demo."
        )
    files = release_files(release, repository)
    for name, content in files.items():
        if dry_run is not None:
            write_atomically(dry_run / name, content)
        print(f"{len(content):>10,} bytes  {name}")
    if dry_run is not None:
        print(f"{len(files)} files in {dry_run}, nothing is pushed; the model card is {dry_run / 'README.md'}")
        return
    from audiocnn.hub_weights import push_release

    print(f"{len(files)} files in one commit: {push_release(repository, files)}")


def release_files(release: Release, repository: str) -> dict[str, bytes]:
    """The files of the repository by name; the same bytes for the same run."""
    from audiocnn.confusion_picture import confusion_png
    from audiocnn.model_card import model_card

    results = release.results
    names = [weights_name(result.fold) for result in results]
    histories = [{"fold": result.fold, **result.history.model_dump(mode="json")} for result in results]
    return {
        "README.md": model_card(release.params, results, release.headers[0], repository).encode(),
        **{name: (MODELS / name).read_bytes() for name in names},
        PARAMS_FILE.name: PARAMS_FILE.read_bytes(),
        "summary.json": (METRICS / "summary.json").read_bytes(),
        "folds.csv": (METRICS / "folds.csv").read_bytes(),
        "histories.json": json_text(histories).encode(),
        HISTORIES: (MODELS / HISTORIES).read_bytes(),
        "confusion_matrix.png": confusion_png(results),
    }


def read_release() -> Release:
    """The finished run in this project. Raises UserError where something is missing, or is of another run."""
    params = read_params()
    results = read_fold_results(params.folds)
    kind = "demo" if params.data.source == "demo" else "hub" if params.data.source.startswith("hf://") else "folder"
    if results[0].source != kind:
        raise UserError(f"{PARAMS_FILE} names data of kind {kind}, the results are of {results[0].source}: {_MEND}.")
    expected: Mapping[Path, bytes] = {
        METRICS / "summary.json": json_text(evaluation.summary(results)).encode(),
        METRICS / "folds.csv": evaluation.csv_text([evaluation.fold_row(result) for result in results]).encode(),
        MODELS / HISTORIES: evaluation.histories(results),
    }
    for path, content in expected.items():
        if _read(path) != content:
            raise UserError(f"{path} is not what {FOLD_RESULTS} give: {_MEND}.")
    return Release(params, results, [_header(result, params) for result in results])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} is not here: {_MEND}.") from None


def _header(result: FoldResult, params: Params) -> WeightsHeader:
    """The header of a fold's weights, which can be loaded, and are those of the fold's result. Raises UserError."""
    from audiocnn.pretrained import load_weights

    path = MODELS / weights_name(result.fold)
    header = load_weights(path).header
    if header is None:
        raise UserError(f"{path} has no header, so it is not of this project's training: {_MEND}.")
    effective = {"model": params.model.model_dump(mode="json"), "train": params.train.model_dump(mode="json")}
    same = {
        "fold": header.fold == result.fold and header.dataset_fold == result.dataset_fold,
        "classes": tuple(header.classes) == result.classes,
        "source": header.source == result.source,
        "epoch": header.epoch == result.best_epoch,
        "accuracy": header.accuracy == result.history.val_accuracy[result.best_epoch],
        "validation": header.validation == result.validation,
        "params": header.params_digest == digest(effective),
    }
    for name, agrees in same.items():
        if not agrees:
            origin = PARAMS_FILE if name == "params" else FOLD_RESULTS / f"fold_{result.fold}.json"
            raise UserError(f"{path} is of another run than {origin}, they differ in {name}: {_MEND}.")
    return header
