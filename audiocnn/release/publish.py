"""`audiocnn publish`: the weights of a finished run as a model repository, with all that shows what they are worth."""

import sys
from pathlib import Path

from audiocnn.checkpoints.key import PROJECT
from audiocnn.config.all_clips import ALL_CLIPS_RECORD, ALL_CLIPS_WEIGHTS
from audiocnn.config.outs import HISTORIES, METRICS, MODELS, PREPARED, weights_name, weights_number
from audiocnn.config.params import PARAMS_FILE
from audiocnn.data.prepared import read_meta
from audiocnn.errors import UserError
from audiocnn.files import json_text
from audiocnn.release.code_address import public_address
from audiocnn.release.finished_run import FinishedRun, read_all_clips, read_finished_run
from audiocnn.release.going_out import check_destination, send
from audiocnn.release.origin import ORIGIN, Origin, params_yaml, read_origin, why_not_verifiable
from audiocnn.sound.leak_counts import read_leaks
from audiocnn.text import displayed

_NO_ADDRESS = (
    "the card has no command that installs audiocnn: 'git remote get-url origin' names no https:// address without a "
    "password, or this commit is not pushed there"
)


def publish(repository: str, dry_run: Path | None, demo_is_meant: bool) -> None:
    """Pushes what models/, metrics/ and results/ hold to a model repository, or writes it into a folder.

    repository: OWNER/NAME. dry_run: a new or an empty folder, or None to push. demo_is_meant: whether results of the
    demo may go out. Raises UserError where the arguments are wrong, the files are not of one run, or the Hub refuses.
    """
    check_destination("--repo", repository, dry_run)
    release = read_finished_run(demo_is_meant)
    origin = read_origin(release.params, release.results)
    address = public_address(PROJECT, origin.code.commit)
    files = _release_files(release, origin, repository, address)
    message = "Best models, results and model card, by audiocnn publish"
    send(files, repository, "model", message, dry_run, _is_stale)
    if why := why_not_verifiable(origin, release.params, release.results):
        print(displayed(f"note: {why}"), file=sys.stderr)
    if address is None:
        print(f"note: {_NO_ADDRESS}", file=sys.stderr)


def _is_stale(name: str) -> bool:
    """Weights that a release may lack: those of a fold that it does not have would vote in predictions."""
    return weights_number(name) is not None or name in (ALL_CLIPS_WEIGHTS, ALL_CLIPS_RECORD)


def _release_files(release: FinishedRun, origin: Origin, repository: str, address: str | None) -> dict[str, bytes]:
    """The files of the repository by name; the same bytes for the same run."""
    from audiocnn.release.confusion_picture import confusion_png
    from audiocnn.release.model_card import model_card

    results, all_clips = release.results, read_all_clips(release)
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
