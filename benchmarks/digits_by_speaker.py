"""Writes the Free Spoken Digits' four pickles with one fold per speaker, so that each is tested by unheard speakers.

    python -m benchmarks.digits_by_speaker ../shared/data/fsdd FOLDER

The set's rows are sorted by file name, DIGIT_SPEAKER_INDEX: 50 recordings for each of 6 speakers, digit by digit.
"""

import argparse
import pickle
import shutil
from pathlib import Path

import numpy as np

from audiocnn.config.data_params import PICKLES

RECORDINGS, SPEAKERS = 50, 6


def main() -> None:
    """Copies three files and writes folds.pkl."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    for name in PICKLES:
        shutil.copyfile(options.source / name, options.folder / name)
    rows = np.arange(10 * SPEAKERS * RECORDINGS)
    with (options.folder / "folds.pkl").open("wb") as file:
        pickle.dump(rows // RECORDINGS % SPEAKERS + 1, file)


if __name__ == "__main__":
    main()
