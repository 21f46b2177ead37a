"""The folds' results as files: metrics, the tables behind the plots, and the histories."""

from pathlib import Path

from audiocnn import evaluation
from audiocnn.files import write_atomically, write_json
from audiocnn.fold_results import FoldResult


def write_outs(results: list[FoldResult], metrics: Path, histories: Path) -> None:
    """Writes summary.json and the CSVs into `metrics`, and the histories' pickle, each whole or not at all."""
    tables = {
        "folds": [evaluation.fold_row(result) for result in results],
        "history": evaluation.history_rows(results),
        "predictions": evaluation.prediction_rows(results),
        "classes": evaluation.class_rows(results),
    }
    for name, rows in tables.items():
        write_atomically(metrics / f"{name}.csv", evaluation.csv_text(rows).encode())
    write_json(metrics / "summary.json", evaluation.summary(results))
    write_atomically(histories, evaluation.histories(results))
