"""How long clips are, as their files' headers claim it, and what a length for all of them pads and cuts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from audiocnn.sound.decode import BadSoundError, claimed_seconds

_COVERED = 0.95  # of the clips, by the length that is proposed
_LONGEST = 24 * 3600.0  # seconds; what claims more is damaged or of unknown length


@dataclass(frozen=True)
class Lengths:
    """seconds: of the clips whose length is known. unknown: how many there are besides."""

    seconds: list[float]
    unknown: int

    def proposed(self, least: float) -> float:
        """The length that covers 95 % of the clips, in tenths of a second, and no less than `least`."""
        covering = float(np.quantile(self.seconds, _COVERED, method="higher")) if self.seconds else 0.0
        return int(np.ceil(round(max(covering, least) * 10, 6))) / 10

    def padding(self, seconds: float) -> float:
        """The share of the spectrograms, 0 to 1, that is padding if all are of that length."""
        padded = sum(max(0.0, seconds - length) for length in self.seconds)
        return padded / (len(self.seconds) * seconds)

    def cut(self, seconds: float) -> tuple[int, float]:
        """How many clips are longer than that, and which share of all sound, 0 to 1, is not used for it."""
        longer = [length - seconds for length in self.seconds if length > seconds + 0.01]
        return len(longer), sum(longer) / sum(self.seconds)


def read_lengths(folder: Path, files: Sequence[str]) -> Lengths:
    """The claimed lengths of files in a folder."""
    bar = tqdm(files, desc="lengths", unit="clip", disable=None, leave=False, delay=2)
    found = [_claimed_seconds(folder / file) for file in bar]
    known = [seconds for seconds in found if seconds is not None]
    return Lengths(known, len(found) - len(known))


def _claimed_seconds(path: Path) -> float | None:
    """A length as the header claims it: for a table, never to decode by. None where it is unknown or absurd."""
    try:
        seconds = claimed_seconds(path)
    except BadSoundError:
        return None
    return seconds if seconds is not None and 0 < seconds < _LONGEST else None
