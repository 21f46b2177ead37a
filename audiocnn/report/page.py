"""`audiocnn report`: one HTML file on a cross-validation that needs no network, no server and no other file.

Needs the extra `audiocnn[report]`; its libraries are imported when a report is written.
"""

import base64
import hashlib
import logging
from collections.abc import Callable, Mapping
from functools import partial
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tqdm import tqdm

from audiocnn.config.dvc_lock import read_lock
from audiocnn.config.outs import METRICS, PREPARED
from audiocnn.data.prepared import Meta
from audiocnn.errors import UserError
from audiocnn.evaluation.metrics import mean_std
from audiocnn.evaluation.read import headline_metrics
from audiocnn.files import write_atomically
from audiocnn.report.mistakes import LISTED, clip_seconds, confused_recordings, names_and_folder, shown_mistakes
from audiocnn.report.numbers import CrossValidation, Mistake, all_mistakes, most_frequent_confusions
from audiocnn.report.read import read_cross_validation
from audiocnn.sound.leak_counts import read_leaks
from audiocnn.text import displayed

REPORT = Path("report/index.html")
MISTAKES = 12  # at most, in the report
_CONFUSIONS = 10  # at most, in the report
_LIBRARIES = ("jinja2", "matplotlib")


def write_report(root: Path = Path(), recordings: Path | None = None) -> Path:
    """Writes report/index.html from what the stages left below `root`; returns its path.

    recordings: the folder with the dataset's sound files; by default where `audiocnn features` found them.

    Raises UserError where a library, metrics/ or params.yaml is missing or damaged. Without data/prepared or dvc.lock
    the report says what it cannot show.
    """
    require_libraries()
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # its first import warns where it cannot write its cache
    page = _page(read_cross_validation(root / METRICS), root, recordings)
    write_atomically(root / REPORT, page.encode())
    return root / REPORT


def require_libraries() -> None:
    """Raises UserError where the libraries that make the page are not installed."""
    if any(find_spec(name) is None for name in _LIBRARIES):
        raise UserError(
            "the report needs jinja2 and matplotlib: install them with "
            "\"pip install -c constraints.txt -e '.[report]'\"."
        )


def _page(crossval: CrossValidation, root: Path, recordings: Path | None) -> str:
    from audiocnn.report import origin

    lock = read_lock(root)
    params = origin.recorded_params(root, lock, crossval)
    meta, why_no_spectrograms = _prepared(crossval, root)
    metrics = crossval.folds[0].scores
    wrong = all_mistakes(crossval)
    figures = _figures(crossval, root, meta, wrong[:MISTAKES])
    names, folder = names_and_folder(root, crossval, params, meta)
    shown = shown_mistakes(wrong, names, recordings or folder, clip_seconds(meta), MISTAKES)
    return render_page(
        "report.html",
        {
            "crossval": crossval,
            "headline": _headline(crossval),
            "doubts": [*origin.doubts(root, lock, crossval), *crossval.doubts, *(meta.doubts() if meta else [])],
            "params": origin.param_rows(params),
            "dataset": origin.dataset_rows(crossval, params, meta, read_leaks(root / PREPARED)),
            "dataset_name": origin.dataset_name(crossval, params),
            "dataset_folds": len(meta.folds) if meta else len(crossval.folds),
            "versions": origin.version_rows(root, crossval),
            "mean_std": {name: mean_std(fold.scores[name] for fold in crossval.folds) for name in metrics},
            "confusions": [
                (pair, confused_recordings(pair, shown)) for pair in most_frequent_confusions(crossval, _CONFUSIONS)
            ],
            "mistakes": [(figures.get(_clip(one.mistake), ""), one) for one in shown[:MISTAKES]],
            "listed": shown[:LISTED],
            "wrong": len(wrong),
            "named": names is not None,
            "heard": any(one.sound for one in shown),
            "why_no_spectrograms": why_no_spectrograms,
            **figures,
        },
    )


def _headline(crossval: CrossValidation) -> dict[str, Any]:
    """The accuracy and the loss that count, as summary.json has them, and the accuracy's interval where it has one."""
    name, loss = headline_metrics(crossval.validation)
    accuracy = crossval.summary[name]
    interval = (accuracy["ci95_low"], accuracy["ci95_high"]) if "ci95_low" in accuracy else None
    return {"name": name, "accuracy": accuracy, "interval": interval, "loss": crossval.summary[loss]}


def _prepared(crossval: CrossValidation, root: Path) -> tuple[Meta | None, str]:
    """data/prepared's meta.json and no text; or None, and a sentence on why it cannot be used and what to do."""
    from audiocnn.report.spectrograms import prepared_meta

    try:
        return prepared_meta(crossval, root / PREPARED), ""
    except UserError as error:
        return None, str(error)


def _figures(crossval: CrossValidation, root: Path, meta: Meta | None, mistakes: list[Mistake]) -> dict[str, Any]:
    """The figures by name, as markup for the template, and whether that of the loss is cut off."""
    from markupsafe import Markup

    from audiocnn.report.confusion_matrix import confusion_svg
    from audiocnn.report.curves import accuracy_curves, loss_curves, loss_is_cut
    from audiocnn.report.recall_by_class import recall_dots

    validation = "validation" if crossval.has_test else "held out"
    draws: dict[str, Callable[[], str]] = {
        "accuracy": partial(accuracy_curves, crossval, validation),
        "loss": partial(loss_curves, crossval, validation),
        "matrix": partial(confusion_svg, crossval.confusion_counts, crossval.class_names),
        "recall": partial(recall_dots, crossval),
    }
    if meta and mistakes:
        draws |= _spectrograms(crossval, root, meta, mistakes)
    bar = tqdm(draws.items(), desc="report", unit="figure", disable=None, leave=False)
    figures = {name: Markup(draw()) for name, draw in bar}  # noqa: S704  # the class names in them are escaped
    return {**figures, "loss_is_cut": loss_is_cut(crossval)}


def _spectrograms(
    crossval: CrossValidation, root: Path, meta: Meta, mistakes: list[Mistake]
) -> dict[str, Callable[[], str]]:
    """What draws the scale of the colours and the spectrogram of each mistake, by name of the figure."""
    from audiocnn.report.spectrograms import level_bar, limits_of, read_spectrograms, spectrogram

    values = read_spectrograms(root / PREPARED, meta, mistakes)
    limits = limits_of(values)
    clips = {
        _clip(mistake): partial(spectrogram, crossval, mistake, clip, limits, meta)
        for mistake, clip in zip(mistakes, values, strict=True)
    }
    return {"level": partial(level_bar, limits, meta), **clips}


def _clip(mistake: Mistake) -> str:
    """The name of a mistake's spectrogram among the figures."""
    return f"clip-{mistake.row}"


def render_page(template: str, values: Mapping[str, Any]) -> str:
    """A page of templates/, with our own script allowed in it and no other. values: what the template shows."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("audiocnn.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"share": lambda share: f"{share:.4f}", "displayed": displayed}
    script = resources.files("audiocnn.report").joinpath("templates/report.js").read_text(encoding="utf-8")
    script = script.rstrip("\n")
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()  # of all scripts, this one alone
    own = {"script": Markup(script), "script_sha256": allowed}  # noqa: S704  # our own file, no data in it
    return environment.get_template(template).render({**values, **own})
