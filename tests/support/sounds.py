"""Sound files that the tests make: any codec and container that FFmpeg writes."""

from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

_SAMPLES = ("fltp", "flt", "s16", "s16p", "s32p")  # formats of samples, the preferred first


def encode(path: Path, sound: NDArray[np.float32], rate: int, codec: str, **options: str) -> Path:
    """Writes mono sound (samples,) of full scale 1; the suffix names the container. options: the encoder's."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options)
        stream.layout = "mono"
        stream.bit_rate = 64_000
        known = [each.name for each in stream.codec.audio_formats or []]
        kind = next((name for name in _SAMPLES if name in known), "s16")
        stream.format = kind
        stream.codec_context.open()
        resampler = av.AudioResampler(format=kind, layout="mono", rate=rate, frame_size=stream.frame_size or 1024)
        frame = av.AudioFrame.from_ndarray(sound[None].astype(np.float32), format="flt", layout="mono")
        frame.sample_rate = rate
        done = 0
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            piece.pts, piece.time_base = done, stream.codec_context.time_base
            done += piece.samples
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path
