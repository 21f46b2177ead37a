"""How sound becomes spectrogram: the numbers that training and prediction must share, as recipe.json holds them."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from audiocnn.config.settings import Settings

# The bounds keep a recipe that came with somebody's weights from asking for more memory than a machine has.
Rate = Annotated[int, Field(ge=1000, le=768_000)]
WindowSize = Annotated[int, Field(ge=16, le=65_536)]


class Recipe(Settings):
    """A log-mel spectrogram's recipe. The defaults are the usual ones for UrbanSound8K.

    rate: samples a second that the sound is resampled to. seconds: a clip's length, to which it is zero-padded or cut.
    n_fft, hop_length: samples in a window of the Fourier transform and from one to the next. n_mels: mel bands, from
    fmin to fmax in Hz (fmax None: half the rate). reference `max`: 0 dB is the clip's own maximum. floor: no power
    counts as less than 1e-10, `absolute` (librosa's, and that of recipes that do not name it), or as less than 1e-10 of
    the clip's maximum, `relative`, so that a quiet sound gives what the same sound gives at full level. top_db: how far
    below the maximum values may lie, lower ones are raised (None: all stay). libraries: versions of what made the
    features.
    """

    rate: Rate = 22_050
    seconds: Annotated[float, Field(gt=0.0, le=600.0)] = 4.0
    n_fft: WindowSize = 2048
    hop_length: WindowSize = 512
    n_mels: Annotated[int, Field(ge=1, le=1024)] = 128
    fmin: Annotated[float, Field(ge=0.0)] = 0.0
    fmax: Annotated[float, Field(gt=0.0)] | None = None
    reference: Literal["max"] = "max"
    floor: Literal["absolute", "relative"] = "absolute"
    top_db: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None = 80.0
    libraries: dict[str, str] = Field(default={})

    @field_validator("n_fft")
    @classmethod
    def _within_a_clip(cls, n_fft: int, info: ValidationInfo) -> int:
        samples = info.data.get("seconds", 1.0) * info.data.get("rate", n_fft)
        if n_fft > samples:
            raise ValueError(f"at most a clip's samples, seconds x rate = {samples:g}")
        return n_fft

    @field_validator("fmin", "fmax")
    @classmethod
    def _within_the_spectrum(cls, frequency: float | None, info: ValidationInfo) -> float | None:
        lowest, highest = info.data.get("fmin", 0.0), info.data.get("rate", 768_000) / 2
        if frequency is not None and not lowest <= frequency <= highest:
            raise ValueError(f"a frequency from {lowest:g} to half the rate, {highest:g} Hz")
        return frequency

    @property
    def samples(self) -> int:
        """Samples in a clip, at `rate`."""
        return round(self.seconds * self.rate)

    @property
    def frames(self) -> int:
        """Frames in a clip's spectrogram: samples / hop_length, rounded up."""
        return -(-self.samples // self.hop_length)

    @property
    def shape(self) -> tuple[int, int]:
        """A clip's spectrogram: (mels, frames)."""
        return self.n_mels, self.frames
