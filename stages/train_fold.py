"""Stage train_fold@k: makes sure that fold k is trained, and publishes its weights and its result.

The first of these stages to run trains all listed folds side by side; the later ones find theirs finished.
"""

import sys
from pathlib import Path

from audiocnn.checkpoints.failure import error_of, forget_error
from audiocnn.config.outs import FOLD_RESULTS, MODELS, PREPARED
from audiocnn.config.params import read_params
from audiocnn.config.runtime import job_count, read_runtime
from audiocnn.errors import UserError, run_command
from audiocnn.files import write_atomically
from audiocnn.folds.dvc import current_session, end_with_dvc, fold_of_stage, folds_to_train
from audiocnn.folds.memory import fold_memory
from audiocnn.folds.plan import Plan, make_plan
from audiocnn.folds.supervisor import start_over_if_forced, train_folds
from audiocnn.processes import StopSignal

FOLDERS = {".safetensors": MODELS, ".json": FOLD_RESULTS}


def main() -> None:
    """Trains and publishes the fold of the stage that DVC runs, or the one that the command line names."""
    fold = fold_of_stage(sys.argv[1:])
    stop = StopSignal()
    end_with_dvc()
    plan = plan_from_files()
    key = plan.key(fold)
    train(plan, fold, stop)
    results = plan.results(fold)
    if plan_from_files().key(fold) != key:
        raise UserError(
            f"params.yaml, the code or the data changed while fold {fold} trained, so nothing is published: "
            "run 'dvc repro' again; going back to what it was finds the work done."
        )
    if results is None:
        raise UserError(
            error_of(plan.folder(fold), current_session()) or f"fold {fold} did not finish: run 'dvc repro' again."
        )
    for name, content in results.items():
        write_atomically(FOLDERS[Path(name).suffix] / name, content)


def plan_from_files() -> Plan:
    """The plan that params.yaml, runtime.yaml, the code and the data make now."""
    return make_plan(read_params(), read_runtime(), PREPARED)


def train(plan: Plan, fold: int, stop: StopSignal) -> None:
    """Trains the fold, and, unless it alone is wanted, those that still lack a result beside it."""
    runtime = read_runtime()
    jobs = job_count(runtime, plan.device, plan.train.threads, fold_memory(plan))
    folds, forced = folds_to_train(fold, read_params().folds, jobs)
    session = current_session()
    forget_error(plan.folder(fold))
    start_over_if_forced(plan, folds if forced else [fold])
    if plan.results(fold) is None:
        others = [other for other in folds if other != fold and error_of(plan.folder(other), session) is None]
        train_folds(plan, [fold, *others], runtime, stop)


if __name__ == "__main__":
    sys.exit(run_command(main))
