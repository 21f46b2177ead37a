"""data/raw to data/prepared: the pickles read safely, checked, and written as arrays."""

import sys

from audiocnn.errors import run_command
from audiocnn.params import read_params
from audiocnn.preparation import RAW, prepare
from audiocnn.prepared import PREPARED
from audiocnn.signals import end_with_dvc


def main() -> None:
    end_with_dvc()
    prepare(RAW, PREPARED, read_params().folds)


if __name__ == "__main__":
    sys.exit(run_command(main))
