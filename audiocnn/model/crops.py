"""Prediction over several crops: a spectrogram's answer is the mean over windows as wide as those that trained."""

from typing import Annotated

from pydantic import Field

from audiocnn.config.model_params import MIN_FRAMES
from audiocnn.config.settings import Settings
from audiocnn.config.train_params import TrainParams


class Crops(Settings):
    """count: how many windows, evenly spaced, the first at the start and the last at the end. frames: of each."""

    count: Annotated[int, Field(ge=2, le=100)]
    frames: Annotated[int, Field(ge=MIN_FRAMES)]

    def starts(self, frames: int) -> list[int]:
        """The first frame of each window of a spectrogram of so many frames."""
        return [window * (frames - self.frames) // (self.count - 1) for window in range(self.count)]


def crops_of(train: TrainParams, frames: int) -> Crops | None:
    """The crops by train.test_crops for clips of so many frames; None where a clip is answered whole."""
    return Crops(count=train.test_crops, frames=train.augment.shown(frames)) if train.test_crops > 1 else None
