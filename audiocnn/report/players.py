"""A recording as a small MP3 within the page, so that a mistake can be heard. Needs the extra `audiocnn[audio]`."""

import base64
import io
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np

from audiocnn.sound.decode import BadSoundError, Floats, open_recording
from audiocnn.sound.recipe import Recipe
from audiocnn.sound.windows import Window, WindowCutter

_RATE = 22_050  # Hz, mono: half of a CD's, which every browser plays
_BITS = 32_000  # a second: 4 kB, a third more within the page
_MOST_SECONDS = 10.0


def sound_url(path: Path, seconds: float) -> str | None:
    """The first `seconds` of a sound file, ten at most, as a `data:` address; None where it cannot be decoded."""
    from av import FFmpegError

    recipe = Recipe(rate=_RATE, seconds=min(seconds, _MOST_SECONDS))
    with suppress(BadSoundError, FFmpegError, OSError):
        window = _first_window(path, recipe)
        sound = window.sound[: round(window.end * _RATE)]  # without the padding
        return f"data:audio/mpeg;base64,{base64.b64encode(_mp3(sound)).decode()}"
    return None


def _first_window(path: Path, recipe: Recipe) -> Window:
    with open_recording(path) as recording:
        cutter = WindowCutter(recording.rate, recipe, recipe.seconds)
        for block in recording.blocks():
            for window in cutter.feed(block):
                return window
        return next(cutter.finish())


def _mp3(sound: Floats) -> bytes:
    """Mono samples (samples,) of full scale 1 as MP3, without tags."""
    from av import AudioFrame
    from av import open as open_container

    content = io.BytesIO()
    with open_container(content, "w", format="mp3", options={"write_xing": "0", "id3v2_version": "0"}) as container:
        stream = container.add_stream("libmp3lame", rate=_RATE)
        stream.layout, stream.format, stream.bit_rate = "mono", "s16p", _BITS
        samples = np.round(np.clip(sound, -1, 1) * 32767).astype(np.int16)
        frame = AudioFrame.from_ndarray(samples[None], format="s16p", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = _RATE, 0, Fraction(1, _RATE)
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return content.getvalue()
