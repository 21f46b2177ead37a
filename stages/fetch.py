"""fetch: params.yaml's `data` → data/raw, the dataset's pickles and source.json."""

import sys

from audiocnn.config.params import read_params
from audiocnn.data.fetch import fetch, pin_lines, summary
from audiocnn.errors import run_command
from audiocnn.folds.dvc import end_with_dvc
from audiocnn.text import displayed


def main() -> None:
    """Fetches the dataset, says how to pin it where it is not pinned, and what was fetched."""
    end_with_dvc()
    data = read_params().data
    record = fetch(data)
    lines = pin_lines(record, data)
    if lines:
        print("to pin exactly this data, put into params.yaml:", *map(displayed, lines.splitlines()), sep="\n")
    print(displayed(summary(record)))


if __name__ == "__main__":
    sys.exit(run_command(main))
