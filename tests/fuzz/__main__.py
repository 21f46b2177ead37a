"""Mutated files in search of a crash, an error that is no sentence, hours or gigabytes.

    python -m tests.fuzz sound --seconds 180 --seed 1
    python -m tests.fuzz all

Each input is a good file with bytes flipped, cut, copied or set to extremes, or with other values where it is JSON;
half of them are mutations of what was slowest and largest so far. A process of its own reads it; one that dies, takes
longer than 10 s or more memory than 250 MB and ten times the file has failed, and so has an error that a user would see
as a traceback. Prints how many inputs were tried, the failures with their seeds, and the most time and memory.
`--keep FOLDER` keeps what failed.
"""

import argparse
import sys
from pathlib import Path

from tests.fuzz.engine import fuzz
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Fuzzes what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=[*TARGETS, "all"])
    parser.add_argument("--seconds", type=float, default=180.0, help="for each target (180)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where inputs that failed are kept")
    options = parser.parse_args()
    names = list(TARGETS) if options.target == "all" else [options.target]
    failures = [line for name in names for line in fuzz(name, options.seed, options.seconds, options.keep)]
    print(*failures, sep="\n", end="\n" if failures else "")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
