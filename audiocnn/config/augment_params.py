"""The `train.augment` group of params.yaml: how the clips that train are varied. Off by default, each on its own."""

from typing import Annotated

from pydantic import Field

from audiocnn.config.model_params import MIN_FRAMES
from audiocnn.config.settings import Settings

Natural = Annotated[int, Field(ge=0)]
Size = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class AugmentParams(Settings):
    """What is drawn anew for each clip of each batch; training/augment.py does it in this order.

    roll: in time, by any number of frames. crop: a window of this share of the frames, 1 for all. mel_shift: by at most
    so many bands, up or down. equaliser_db: 6 points from -x to x dB, interpolated over the mels. gain_db: all of a
    clip, from -x to x dB. mixup_alpha: two clips and their labels, weighted by Beta(x, x). mel_mask, frame_mask: one
    band of at most so many mels or frames becomes the clip's mean.
    """

    roll: bool = False
    crop: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    mel_shift: Natural = 0
    equaliser_db: Size = 0.0
    gain_db: Size = 0.0
    mixup_alpha: Size = 0.0
    mel_mask: Natural = 0
    frame_mask: Natural = 0

    def shown(self, frames: int) -> int:
        """How many of a clip's frames the network is shown: at least as many as it takes."""
        return min(max(round(self.crop * frames), MIN_FRAMES), frames)

    def obstacle(self, mels: int, frames: int) -> str | None:
        """Why clips of this shape cannot be varied so, or None where they can."""
        if self.mel_shift >= mels:
            return f"mel_shift is {self.mel_shift}, and clips have {mels} mels: 0 to {mels - 1}"
        if self.mel_mask > mels:
            return f"mel_mask is {self.mel_mask}, and clips have {mels} mels: 0 to {mels}"
        shown = self.shown(frames)
        if self.frame_mask > shown:
            return f"frame_mask is {self.frame_mask}, and {shown} frames are shown: 0 to {shown}"
        return None
