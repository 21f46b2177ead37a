"""`audiocnn publish`: the weights of a finished run as a model repository, with all that shows what they are worth."""

import sys
from pathlib import Path

from audiocnn.config.outs import HISTORIES, METRICS, MODELS, PREPARED, weights_name, weights_number
from audiocnn.config.params import PARAMS_FILE
from audiocnn.data.prepared import read_meta
from audiocnn.errors import UserError
from audiocnn.files import json_text
from audiocnn.release.finished_run import FinishedRun, read_finished_run
from audiocnn.release.going_out import check_destination, send
from audiocnn.release.origin import ORIGIN, Origin, params_yaml, read_origin, why_not_verifiable
from audiocnn.sound.leak_counts import read_leaks
from audiocnn.text import displayed


def publish(repository: str, dry_run: Path | None, demo_is_meant: bool) -> None:
    """Pushes what models/, metrics/ and results/ hold to a model repository, or writes it into a folder.

    repository: OWNER/NAME. dry_run: a new or an empty folder, or None to push. demo_is_meant: whether results of the
    demo may go out. Raises UserError where the arguments are wrong, the files are not of one run, or the Hub refuses.
    """
    check_destination("--repo", repository, dry_run)
    release = read_finished_run(demo_is_meant)
    origin = read_origin(release.params, release.results)
    files = _release_files(release, origin, repository)
    message = "Best models, results and model card, by audiocnn publish"
    # Weights of a fold that this release does not have would vote in predictions.
    send(files, repository, "model", message, dry_run, is_stale=lambda name: weights_number(name) is not None)
    if why := why_not_verifiable(origin, release.params, release.results):
        print(displayed(f"note: {why}"), file=sys.stderr)


def _release_files(release: FinishedRun, origin: Origin, repository: str) -> dict[str, bytes]:
    """The files of the repository by name; the same bytes for the same run."""
    from audiocnn.release.confusion_picture import confusion_png
    from audiocnn.release.model_card import model_card

    results, leaks = release.results, read_leaks(PREPARED)
    names = [weights_name(result.fold) for result in results]
    histories = [{"fold": result.fold, **result.history.series} for result in results]
    return {
        "README.md": model_card(release.params, results, release.headers[0], repository, leaks, _doubts()).encode(),
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
