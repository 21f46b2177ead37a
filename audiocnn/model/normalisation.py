"""Input normalisation: what the network takes off a spectrogram and divides it by, before its first convolution."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from audiocnn.config.settings import Settings

_Real = Annotated[float, Field(allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class Normalisation(Settings):
    """Mean and standard deviation of the clips that trained, in dB: one number each, or one for each mel band."""

    mean: Annotated[tuple[_Real, ...], Field(min_length=1, strict=False)]
    std: Annotated[tuple[_Positive, ...], Field(min_length=1, strict=False)]

    @model_validator(mode="after")
    def _equally_long(self) -> Self:
        if len(self.mean) != len(self.std):
            raise ValueError("as many means as standard deviations")
        return self
