"""Sound files as blocks of samples, decoded once from their start by FFmpeg: what decodes counts, not what is claimed.

Nothing seeks after the container is open, so pipes work, and no header decides how much is read or allocated.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from itertools import chain
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av import AudioFifo, AudioFrame
    from av.container import InputContainer

Floats: TypeAlias = NDArray[np.float32]
Problem = Literal["missing", "unreadable", "empty", "too short", "non-finite", "silent"]

RATES = range(1000, 768_001)  # Hz; a header that claims billions would have us allocate for them
# FFmpeg's demuxers of files that hold sound. Not among them: playlists and the like, which name other files to open.
_FORMATS = (
    "aac,aiff,amr,amrnb,amrwb,ape,asf,au,avi,avr,caf,flac,gsm,htk,iff,ircam,matroska,mov,mp3,mpc,mpc8,mpegts,nistsphere,"
    "ogg,paf,epaf,pvf,rm,sds,sln,sox,tak,tta,voc,w64,wav,wsd,wv,wve,xwma"
)
_BLOCK = 16_384  # samples handed on at a time, at least: a frame of FFmpeg has about a thousand


class BadSoundError(Exception):
    """A file or a sound that gives no usable spectrogram: `problem` is its kind, the text says more.

    Too short is less than one hop_length of sound (more is padded), non-finite a sample or an overflow, silent a
    clip whose spectrogram is constant.
    """

    def __init__(self, problem: Problem, detail: str = "") -> None:
        super().__init__(f"{problem}: {detail}" if detail else problem)
        self.problem = problem


class Recording:
    """An open sound file that is decoded once. rate: Hz, of its first samples."""

    def __init__(self, file: FileIO, container: "InputContainer") -> None:
        self._file = file
        self._size = _regular_size(file)
        self._samples = 0  # decoded so far
        self._bad_packets = 0
        self._first_bad = 0.0  # seconds
        self._end: str | None = None  # why it ends before its file
        self.rate = 0
        self._frames = self._decoded(container)
        self._first = next(self._frames, None)
        if self._first is None:
            raise BadSoundError("unreadable", _hint(self._end)) if self._end else BadSoundError("empty", "no samples")

    @property
    def is_live(self) -> bool:
        """Whether it comes from a pipe, perhaps as it is recorded."""
        return self._size is None

    @property
    def part_read(self) -> float:
        """How much of the file was read: 0 to 1, and 0 for a pipe."""
        return min(self._file.tell() / self._size, 1.0) if self._size else 0.0

    @property
    def damage(self) -> str | None:
        """What of the blocks so far was damaged and left out, or None."""
        if self._end is not None:
            return f"damaged: what follows {self._samples / self.rate:.2f} s is left out ({self._end})"
        if self._bad_packets:
            packets = "1 packet" if self._bad_packets == 1 else f"{self._bad_packets} packets"
            return f"damaged: left out {packets} that did not decode, the first at {self._first_bad:.2f} s"
        return None

    def blocks(self) -> Iterator[Floats]:
        """All that decodes, in order: the mean over channels, (samples,) each, as floats of full scale 1.

        What does not decode is left out, and `damage` says so.
        """
        from av import AudioFifo

        assert self._first is not None
        waiting = AudioFifo()  # joins frames before Python and numpy look at them: a frame has but a thousand samples
        for frame in chain([self._first], self._frames):
            frame.pts = None  # what decodes counts: a gap in time stamps is none in the samples
            try:
                waiting.write(frame)
            except ValueError:
                self._end = "its samples change their form"
                break
            if waiting.samples >= _BLOCK or self.is_live:
                yield from _mono(waiting)
        yield from _mono(waiting)

    def _decoded(self, container: "InputContainer") -> Iterator["AudioFrame"]:
        """The frames of the first stream of sound; sets `rate` with the first of them."""
        if not container.streams.audio:
            raise BadSoundError("unreadable", "it holds no sound")
        for frame in self._all_frames(container):
            self.rate = self.rate or frame.sample_rate
            if self.rate not in RATES:
                raise BadSoundError("unreadable", f"its header claims {self.rate} samples a second")
            if frame.sample_rate != self.rate:
                self._end = f"there are {frame.sample_rate} samples a second, not {self.rate}"
                return
            self._samples += frame.samples
            yield frame

    def _all_frames(self, container: "InputContainer") -> Iterator["AudioFrame"]:
        from av import FFmpegError

        packets = container.demux(container.streams.audio[0])
        while True:
            try:
                packet = next(packets, None)
            except (FFmpegError, OSError) as error:
                self._end = _reason(error)
                return
            if packet is None:
                return
            try:
                yield from packet.decode()
            except FFmpegError:
                if not self._bad_packets:
                    self._first_bad = self._samples / (self.rate or 1)
                self._bad_packets += 1


@contextmanager
def open_recording(path: Path) -> Iterator[Recording]:
    """A file, a FIFO or a device with sound. Raises BadSoundError where it holds none that can be decoded."""
    with _open(path) as file, _container(file) as container:
        yield Recording(file, container)


def claimed_seconds(path: Path) -> float | None:
    """How long a file says that it is, or FFmpeg guesses: to be shown, never to be relied on. Raises BadSoundError."""
    with _open(path) as file, _container(file) as container:
        streams = container.streams.audio
        if streams and streams[0].duration is not None and streams[0].time_base is not None:
            return float(streams[0].duration * streams[0].time_base)
        return None if container.duration is None else container.duration / 1e6  # it counts microseconds


class _Source:
    """A file as FFmpeg is to see it: where it cannot seek, it is told by a number, because PyAV prints exceptions."""

    def __init__(self, file: FileIO) -> None:
        self.read, self.tell, self.seekable = file.read, file.tell, file.seekable
        self._seek = file.seek

    def seek(self, offset: int, whence: int) -> int:
        try:
            return self._seek(offset, whence)
        except (OSError, ValueError):
            return -errno.EINVAL


def _container(file: FileIO) -> "InputContainer":
    import av

    # FFmpeg gets an open file and no name: nothing in its content can have it open another.
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": ""}
    try:
        return av.open(_Source(file), "r", metadata_errors="ignore", options=options)
    except (av.FFmpegError, OSError) as error:
        raise BadSoundError("unreadable", _hint(_reason(error))) from None


def _open(path: Path) -> FileIO:
    try:
        file = path.open("rb", buffering=0)  # a pipe gives what is there, and does not wait for more
    except FileNotFoundError:
        raise BadSoundError("missing", "no such file") from None
    except (OSError, ValueError) as error:
        raise BadSoundError("unreadable", _reason(error)) from None
    if _regular_size(file) == 0:
        file.close()
        raise BadSoundError("empty", "0 bytes")
    return file


def _regular_size(file: FileIO) -> int | None:
    """A file's bytes, or None for what is no regular file."""
    status = os.fstat(file.fileno())
    return status.st_size if S_ISREG(status.st_mode) else None


def _mono(waiting: "AudioFifo") -> Iterator[Floats]:
    """All that waits, if anything, as one block (samples,)."""
    frame = waiting.read()
    if frame is None or not frame.samples:
        return
    samples: NDArray[Any] = frame.to_ndarray()  # (channels, samples), or (1, samples x channels) where interleaved
    yield mean_over_channels(samples.reshape(frame.samples, -1).T if frame.format.is_packed else samples)


def mean_over_channels(samples: NDArray[Any]) -> Floats:
    """(channels, samples) of integers or floats to (samples,) float32: integers scaled to -1..1, floats as they are."""
    kind, size = samples.dtype.kind, samples.dtype.itemsize
    with np.errstate(over="ignore"):
        floats: Floats = samples.astype(np.float32)
    if kind == "u":
        floats -= 2.0 ** (8 * size - 1)
    if kind in "iu":
        floats *= 2.0 ** (1 - 8 * size)
    mean: Floats = floats.mean(axis=0, dtype=np.float32)
    return mean


def _reason(error: Exception) -> str:
    from av import InvalidDataError

    if isinstance(error, InvalidDataError):
        return "it is no sound, or of a format that is not known here"
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split()).rstrip(".") or type(error).__name__


def _hint(reason: str) -> str:
    return f"{reason} (where ffmpeg knows it, 'ffmpeg -i FILE FILE.wav' converts it)"
