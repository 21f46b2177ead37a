"""`audiocnn report`: one HTML file on a cross-validation, that needs no network, no server and no other file.

Needs the extra `audiocnn[report]`; its libraries are imported when a report is written.
"""

import logging
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tqdm import tqdm

from audiocnn.config.dvc_lock import read_lock
from audiocnn.config.outs import METRICS, PREPARED
from audiocnn.data.prepared import Meta
from audiocnn.errors import UserError
from audiocnn.evaluation.metrics import mean_std
from audiocnn.files import write_atomically
from audiocnn.report import numbers
from audiocnn.report.numbers import Mistake, Run
from audiocnn.text import displayed

REPORT = Path("report/index.html")
MISTAKES = 12
CONFUSIONS = 10
_LIBRARIES = ("jinja2", "matplotlib")


def write_report(root: Path = Path()) -> Path:
    """Writes report/index.html from what the stages left below `root`; returns its path. Raises UserError."""
    if any(find_spec(name) is None for name in _LIBRARIES):
        raise UserError(
            "the report needs jinja2 and matplotlib: install them with "
            "\"pip install -c constraints.txt -e '.[report]'\"."
        )
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # what it says of its cache, from its first import on
    page = _page(numbers.read_run(root / METRICS), root)
    write_atomically(root / REPORT, page.encode())
    return root / REPORT


def _page(run: Run, root: Path) -> str:
    from audiocnn.report import origin

    lock = read_lock(root)
    params = origin.run_params(root, lock, run)
    meta, lack = _prepared(run, root)
    return _rendered(
        {
            "run": run,
            "headline": _headline(run),
            "doubts": origin.doubts(root, lock, run),
            "params": origin.param_rows(params),
            "dataset": origin.dataset_rows(run, params, meta),
            "dataset_name": origin.dataset_name(run, params),
            "dataset_folds": len(meta.folds) if meta else len(run.folds),
            "versions": origin.version_rows(root, run),
            "spread": {name: mean_std(fold.scores[name] for fold in run.folds) for name in run.folds[0].scores},
            "confusions": numbers.frequent_confusions(run, CONFUSIONS),
            **_drawn(run, root, meta, lack),
        }
    )


def _headline(run: Run) -> dict[str, Any]:
    """The accuracy and loss that count: those of the test where the protocol has one."""
    kind = "test" if run.tested else "val"
    accuracy = run.summary[f"{kind}_acc"]
    interval = (accuracy["ci95_low"], accuracy["ci95_high"]) if "ci95_low" in accuracy else None
    return {"name": f"{kind}_acc", "accuracy": accuracy, "loss": run.summary[f"{kind}_loss"], "interval": interval}


def _prepared(run: Run, root: Path) -> tuple[Meta | None, str]:
    """data/prepared's meta.json, or None and a sentence on what to do about it."""
    from audiocnn.report.spectrograms import prepared_meta

    try:
        return prepared_meta(run, root / PREPARED), ""
    except UserError as error:
        return None, str(error)


def _drawn(run: Run, root: Path, meta: Meta | None, lack: str) -> dict[str, Any]:
    """The figures, and the mistakes with their spectrograms where there are any."""
    from markupsafe import Markup

    from audiocnn.report import figures

    validation = "validation" if run.tested else "held out"
    mistakes = numbers.worst_mistakes(run, MISTAKES)
    words = {"validation": validation, "loss_is_cut": figures.loss_is_cut(run), "lack": lack}
    draws: dict[str, Callable[[], str]] = {
        "accuracy": partial(figures.accuracy_curves, run, validation),
        "loss": partial(figures.loss_curves, run, validation),
        "matrix": partial(figures.confusion_matrix, run),
        "recall": partial(figures.recall_dots, run),
    }
    if meta and mistakes:
        draws |= _spectrograms(run, root, meta, mistakes)
    bar = tqdm(draws.items(), desc="report", unit="figure", disable=None, leave=False)
    drawn = {name: Markup(draw()) for name, draw in bar}  # noqa: S704  # matplotlib has escaped the class names
    return words | drawn | {"mistakes": [(mistake, drawn.get(f"clip-{mistake.row}", "")) for mistake in mistakes]}


def _spectrograms(run: Run, root: Path, meta: Meta, mistakes: list[Mistake]) -> dict[str, Callable[[], str]]:
    """What draws the scale of the colours and each mistake's spectrogram, by name."""
    from audiocnn.report import spectrograms as pictures

    values = pictures.read_spectrograms(root / PREPARED, meta, mistakes)
    limits = pictures.limits_of(values)
    clips = {
        f"clip-{mistake.row}": partial(pictures.spectrogram, run, mistake, clip, limits, meta)
        for mistake, clip in zip(mistakes, values, strict=True)
    }
    return {"level": partial(pictures.level_bar, limits, meta), **clips}


def _rendered(values: dict[str, Any]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("audiocnn.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"percent": lambda share: f"{100 * share:.1f}", "displayed": displayed}
    return environment.get_template("report.html").render(values)
