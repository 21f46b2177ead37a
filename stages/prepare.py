"""data/raw to data/prepared: the pickles read safely, checked, and written as arrays."""

import sys

from audiocnn.config.outs import PREPARED, RAW
from audiocnn.config.params import read_params
from audiocnn.data.prepare import prepare
from audiocnn.errors import run_command
from audiocnn.folds.dvc import end_with_dvc


def main() -> None:
    end_with_dvc()
    prepare(RAW, PREPARED, read_params().folds)


if __name__ == "__main__":
    sys.exit(run_command(main))
