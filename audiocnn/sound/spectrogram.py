"""Sound to mel spectrogram, in one way for training and for prediction. Needs the extra `audiocnn[audio]`."""

import importlib.util
import math
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audiocnn.errors import UserError
from audiocnn.sound.log_mel import log_mel
from audiocnn.sound.recipe import Recipe

if TYPE_CHECKING:
    from soundfile import SoundFile

Floats: TypeAlias = NDArray[np.float32]
Problem = Literal["missing", "unreadable", "empty", "too short", "non-finite", "silent"]

_LIBRARIES = ("numpy", "soundfile", "soxr")
_RATES = range(1000, 768_001)  # Hz; a header that claims billions would have us read and allocate for them
_BLOCK = 16_384  # frames decoded at a time
_MARGIN = 0.5  # seconds read beyond a clip's end, so that cutting does not show in the resampler's last samples


class BadSoundError(Exception):
    """A file that gives no usable spectrogram: `problem` is its kind, the text says more.

    Too short is less than one hop_length of sound (more is padded), non-finite a sample or an overflow, silent a
    spectrogram that is constant, where no band's power exceeds power_to_db's floor of 1e-10.
    """

    def __init__(self, problem: Problem, detail: str = "") -> None:
        super().__init__(f"{problem}: {detail}" if detail else problem)
        self.problem = problem


def require_audio() -> None:
    """Raises UserError where the libraries that decode and transform sound are not installed."""
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        command = "pip install -c constraints.txt -e '.[audio]'"
        raise UserError(f'sound files need {", ".join(missing)}: install them with "{command}".')


def library_versions() -> dict[str, str]:
    """The versions of the libraries that decide a spectrogram's last digits, by name."""
    return {name: version(name) for name in _LIBRARIES}


def clip_spectrogram(path: Path, recipe: Recipe) -> Floats:
    """The spectrogram (mels, frames), in dB, of a sound file's first `recipe.seconds`. Raises BadSoundError."""
    with _sound_file(path) as file:
        spectrogram, _ = _window(file, recipe, 0.0)
    return _audible(spectrogram)


def spectrograms(path: Path, recipe: Recipe, hop_seconds: float) -> Iterator[tuple[float, float, Floats]]:
    """A recording's windows, one every `hop_seconds` (> 0): start and end in seconds, spectrogram (mels, frames) in dB.

    Each is what `clip_spectrogram` gives for a file cut at its start. The last one ends with the recording, so that
    only a recording shorter than a window is zero-padded. A silent window among others is constant.
    Raises BadSoundError.
    """
    with _sound_file(path) as file:
        starts = window_starts(file.frames / file.samplerate, recipe, hop_seconds)
        for start in starts:
            spectrogram, seconds = _window(file, recipe, start)
            yield start, start + seconds, spectrogram if len(starts) > 1 else _audible(spectrogram)


def window_starts(duration: float, recipe: Recipe, hop_seconds: float) -> list[float]:
    """Where the windows over a recording start, in seconds. What is left at its end counts from one hop_length on."""
    left = duration - recipe.seconds
    starts = [index * hop_seconds for index in range(math.floor(max(left, 0.0) / hop_seconds) + 1)]
    if left - starts[-1] >= recipe.hop_length / recipe.rate:
        starts.append(left)
    return starts


@contextmanager
def _sound_file(path: Path) -> Iterator["SoundFile"]:
    """An open sound file; the decoder's errors become BadSoundError."""
    import soundfile

    try:
        with _open(path) as file:
            if file.samplerate not in _RATES:
                raise BadSoundError("unreadable", f"its header claims {file.samplerate} samples a second")
            yield file
    except soundfile.LibsndfileError as error:
        raise BadSoundError("unreadable", error.error_string.rstrip(".")) from None


def _open(path: Path) -> "SoundFile":
    import soundfile

    if not path.is_file():
        raise BadSoundError("missing", "no such file")
    if path.stat().st_size == 0:
        raise BadSoundError("empty", "0 bytes")
    try:
        return soundfile.SoundFile(path)
    except TypeError:  # soundfile's answer to a file named .raw
        raise BadSoundError("unreadable", "it has no header") from None


def _window(file: "SoundFile", recipe: Recipe, start: float) -> tuple[Floats, float]:
    """The spectrogram (mels, frames) of the sound from `start`, and how many seconds of it are sound, not padding."""
    import soxr

    rate = file.samplerate
    sound = _read_mono(file, round(start * rate), math.ceil((recipe.seconds + _MARGIN) * rate))
    if len(sound) == 0:
        raise BadSoundError("empty", "no samples")
    if len(sound) * recipe.rate < recipe.hop_length * rate:
        raise BadSoundError("too short", f"{len(sound)} samples, shorter than one hop_length")
    if not np.isfinite(sound).all():
        raise BadSoundError("non-finite", "NaN or infinite samples")
    resampled = soxr.resample(sound, rate, recipe.rate, quality="HQ")[: recipe.samples]
    with np.errstate(over="ignore", invalid="ignore"):
        spectrogram = log_mel(np.pad(resampled, (0, recipe.samples - len(resampled))), recipe)
    if not np.isfinite(spectrogram).all():
        raise BadSoundError("non-finite", "its samples overflow")
    return spectrogram, min(len(sound) / rate, recipe.seconds)


def _read_mono(file: "SoundFile", start: int, frames: int) -> Floats:
    """At most `frames` samples from `start` on, the mean over channels, float32 (samples,).

    Decoded block by block: memory follows what is there, not what the header claims.
    """
    file.seek(min(start, file.frames))
    blocks = file.blocks(_BLOCK, frames=frames, dtype="float32", always_2d=True)  # (samples, channels) each
    return np.concatenate([np.zeros(0, np.float32), *(block.mean(axis=1) for block in blocks)])


def _audible(spectrogram: Floats) -> Floats:
    """The spectrogram, unless it is constant."""
    if spectrogram.min() == spectrogram.max():
        raise BadSoundError("silent")
    return spectrogram
