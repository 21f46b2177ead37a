"""The folds' results as files: metrics, the tables behind the plots, and the histories."""

from pathlib import Path

from audiocnn.evaluation import rows
from audiocnn.evaluation.fold_results import FoldResult
from audiocnn.files import write_atomically, write_json


def write_outs(results: list[FoldResult], metrics: Path, histories: Path) -> None:
    """Writes summary.json and the CSVs into `metrics`, and the histories' pickle, each whole or not at all."""
    tables = {
        "folds": [rows.fold_row(result) for result in results],
        "history": rows.history_rows(results),
        "predictions": rows.prediction_rows(results),
        "classes": rows.class_rows(results),
    }
    for name, table in tables.items():
        write_atomically(metrics / f"{name}.csv", rows.csv_text(table).encode())
    write_json(metrics / "summary.json", rows.summary(results))
    write_atomically(histories, rows.histories(results))
