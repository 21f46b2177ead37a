"""The aggregate stage: the listed folds' results as metrics/, the tables behind the plots, and the histories."""

import sys
from pathlib import Path

from audiocnn import evaluation
from audiocnn.errors import run_command
from audiocnn.files import write_atomically, write_json
from audiocnn.fold_results import FoldResult, delete_unlisted, mixture, read_fold_results
from audiocnn.params import read_params
from audiocnn.results import METRICS, print_table

HISTORIES = Path("models/all_fold_histories.pkl")


def main() -> None:
    folds = read_params().folds
    results = read_fold_results(folds)
    for path in delete_unlisted(folds):
        print(f"deleted {path}: params.yaml does not list its fold")
    write_outs(results)
    print_table()
    if note := mixture(results):
        print(note)


def write_outs(results: list[FoldResult]) -> None:
    """Writes every out of the stage, each whole or not at all."""
    tables = {
        "folds": [evaluation.fold_row(result) for result in results],
        "history": evaluation.history_rows(results),
        "predictions": evaluation.prediction_rows(results),
        "classes": evaluation.class_rows(results),
    }
    for name, rows in tables.items():
        write_atomically(METRICS / f"{name}.csv", evaluation.csv_text(rows).encode())
    write_json(METRICS / "summary.json", evaluation.summary(results))
    write_atomically(HISTORIES, evaluation.histories(results))


if __name__ == "__main__":
    sys.exit(run_command(main))
