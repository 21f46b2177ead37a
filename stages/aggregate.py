"""The aggregate stage: the listed folds' results as metrics/, the tables behind the plots, and the histories."""

import sys

from audiocnn.config.class_names import check_class_names
from audiocnn.config.outs import FOLD_RESULTS, HISTORIES, METRICS
from audiocnn.config.params import read_params
from audiocnn.config.runtime import checkpoint_root
from audiocnn.errors import run_command
from audiocnn.evaluation.fold_results import delete_unlisted, mixture, read_fold_results
from audiocnn.evaluation.table import print_table
from audiocnn.evaluation.write import write_outs
from audiocnn.folds.machines import kinds_note
from audiocnn.text import displayed
from audiocnn.tracking.tracker import log_results


def main() -> None:
    params = read_params()
    folds = params.folds
    results = read_fold_results(folds)
    check_class_names(results[0].classes, str(FOLD_RESULTS))  # they may come from a DVC remote
    for path in delete_unlisted(folds):
        print(f"deleted {path}: params.yaml does not list its fold")
    write_outs(results, METRICS, HISTORIES)
    print_table()
    keys = {result.fold: result.key for result in results}
    for note in (mixture(results), kinds_note(checkpoint_root(), keys)):
        if note:
            print(displayed(note))
    log_results(params, results, METRICS)


if __name__ == "__main__":
    sys.exit(run_command(main))
