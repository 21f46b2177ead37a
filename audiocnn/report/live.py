"""report/index.html while folds train: their states and curves so far, and in the end the report itself.

The page asks for itself again every few seconds, so a browser that has it open follows without a server.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from audiocnn.config.outs import FOLD_RESULTS, METRICS, fold_result_name
from audiocnn.errors import UserError
from audiocnn.evaluation import rows
from audiocnn.evaluation.fold_results import read_fold_results
from audiocnn.files import write_atomically
from audiocnn.folds.history import History, fold_history
from audiocnn.folds.plan import Plan
from audiocnn.folds.status import fold_status
from audiocnn.report.page import REPORT, render_page, write_report
from audiocnn.report.render import BLUE, ORANGE, svg

_POLL = 2.0  # seconds between two looks at the folds
_RELOAD = 5  # seconds after which the page asks for itself again
_SIZE = (4.7, 3.2)  # inches


def watch_report(plan: Plan, folds: Sequence[int], root: Path = Path(), recordings: Path | None = None) -> Path:
    """Keeps report/index.html up to date until metrics/ holds the results of all `folds`; returns its path.

    The last page is write_report's. Raises UserError where that one does.
    """
    histories: dict[int, History] = {}
    shown: Sequence[tuple[str, ...]] = []
    while not _is_aggregated(plan, folds, root):
        states = [(str(fold), *fold_status(plan, fold)) for fold in folds]
        if states != shown:
            for fold in folds:
                histories[fold] = fold_history(plan, fold, histories.get(fold, {}))
            _write(root, states, histories)
            shown = states
        time.sleep(_POLL)
    return write_report(root, recordings)


def _is_aggregated(plan: Plan, folds: Sequence[int], root: Path) -> bool:
    """Whether all folds are finished, published, and in metrics/."""
    for fold in folds:
        results, published = plan.results(fold), root / FOLD_RESULTS / fold_result_name(fold)
        if results is None or not published.is_file() or published.read_bytes() != results[published.name]:
            return False
    try:
        table = rows.csv_text([rows.fold_row(result) for result in read_fold_results(folds, root / FOLD_RESULTS)])
        return (root / METRICS / "folds.csv").read_bytes() == table.encode()
    except (OSError, UserError):
        return False  # DVC is at work on them


def _write(root: Path, states: Sequence[Sequence[str]], histories: Mapping[int, History]) -> None:
    begun = [history for history in histories.values() if history]
    curves = [
        _curves(kind, title, begun) for kind, title in (("accuracy", "accuracy"), ("loss", "cross-entropy, nats"))
    ]
    finished = sum(state[1] == "finished" for state in states)
    values = {"states": states, "curves": curves if begun else [], "finished": finished, "reload": _RELOAD}
    write_atomically(root / REPORT, render_page("live.html", values).encode())


def _curves(kind: str, title: str, histories: Sequence[History]) -> str:
    """A metric by epoch, a line a fold, as an <svg> element."""

    def draw(figure: Figure) -> None:
        axes: Axes = figure.add_axes((0.13, 0.15, 0.85, 0.75))
        for name, colour, label in ((kind, BLUE, "training"), (f"val_{kind}", ORANGE, "validation")):
            lines = [history[name] for history in histories if name in history]
            for index, line in enumerate(lines):
                axes.plot(
                    line, ".-", color=colour, alpha=0.6, linewidth=1, markersize=3, label=None if index else label
                )
        axes.set(xlabel="epoch, from 0", ylabel=title, ylim=(0, 1.02 if kind == "accuracy" else None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncols=2)

    return svg(f"live-{kind}", f"{title} by epoch so far, a line a fold", _SIZE, draw)
