"""The `model` group of params.yaml: AudioCNN's free sizes, beside those that the published network fixes."""

from typing import Annotated

from pydantic import Field

from audiocnn.config.settings import Settings

Size = Annotated[int, Field(ge=1, le=16_384)]
Dropout = Annotated[float, Field(ge=0.0, lt=1.0)]

POOLS = ((2, 2), (2, 2), (2, 4))
"""What the published network's three encoder blocks pool by: (mels, frames) each."""
MIN_MELS, MIN_FRAMES = 8, 16
"""The products of POOLS over mels and over frames: a smaller spectrogram pools to nothing."""


class ModelParams(Settings):
    """Channels of the three encoder blocks and of the Conv1d, hidden units, dropout probabilities."""

    encoder_channels: Annotated[tuple[Size, Size, Size], Field(strict=False)] = (32, 64, 128)
    conv1d_channels: Size = 64
    hidden_units: Size = 128
    encoder_dropout: Dropout = 0.2
    head_dropout: Dropout = 0.5
