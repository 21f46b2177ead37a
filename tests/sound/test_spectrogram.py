"""Sound files become spectrograms by one recipe, the same as librosa's, and bad ones are told apart."""

import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

librosa = pytest.importorskip("librosa")
soundfile = pytest.importorskip("soundfile")

from audiocnn.config.settings import validate  # noqa: E402
from audiocnn.errors import UserError  # noqa: E402  # after the skip
from audiocnn.sound.decode import BadSoundError, open_recording  # noqa: E402
from audiocnn.sound.log_mel import log_mel  # noqa: E402
from audiocnn.sound.recipe import Recipe  # noqa: E402
from audiocnn.sound.spectrogram import Spectrogram, clip_spectrogram, spectrograms  # noqa: E402

RATE = 8000
RECIPE = Recipe(rate=RATE, seconds=1.0, n_fft=512, hop_length=128, n_mels=64)
HOURS_8 = 8 * 3600


def sweep(rate: int = RATE, seconds: float = 1.0) -> Any:
    """A sound that changes all the time: a tone that rises from 200 to 3000 Hz in each second, float32 (samples,)."""
    time = np.arange(round(rate * seconds)) / rate
    return (0.4 * np.sin(2 * np.pi * (200 * time + 1400 * (time % 1.0) ** 2))).astype(np.float32)


def wav_header(rate: int, seconds: int) -> bytes:
    """A WAV file's header, one channel of 16 bits, that claims so many seconds."""
    size = min(2 * rate * seconds, 2**31)
    riff, format_ = (b"RIFF", 36 + size, b"WAVE"), (b"fmt ", 16, 1, 1, rate, min(2 * rate, 2**31), 2, 16)
    return struct.pack("<4sI4s4sIHHIIHH4sI", *riff, *format_, b"data", size)


def eight_hours(path: Path) -> None:
    """8 hours of silence: zeros that take no space on the disk."""
    path.write_bytes(wav_header(16_000, HOURS_8))
    with path.open("r+b") as file:
        file.truncate(44 + 2 * 16_000 * HOURS_8)


def eight_hours_by_header(path: Path) -> None:
    path.write_bytes(wav_header(16_000, HOURS_8))


def eight_hours_of_flac_by_header(path: Path) -> None:
    """A second of sound in FLAC whose STREAMINFO claims 8 hours."""
    soundfile.write(path, sweep(), RATE, format="FLAC")
    content = bytearray(path.read_bytes())
    content[22:26] = (HOURS_8 * RATE).to_bytes(4, "big")
    path.write_bytes(content)


def test_a_spectrogram_is_the_one_that_librosa_makes(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sweep(22_050, 1.3), 22_050, subtype="FLOAT")
    recipe = RECIPE.model_copy(update={"fmin": 50.0, "fmax": 3500.0, "top_db": 60.0})
    sound, rate = librosa.load(tmp_path / "a.wav", sr=RATE, res_type="soxr_hq")
    mels = librosa.feature.melspectrogram(
        y=sound[:RATE], sr=rate, n_fft=512, hop_length=128, n_mels=64, fmin=50.0, fmax=3500.0
    )
    expected = librosa.power_to_db(mels, ref=np.max, top_db=60.0)[:, :63]
    spectrogram = clip_spectrogram(tmp_path / "a.wav", recipe)
    assert spectrogram.shape == recipe.shape == (64, 63)
    assert spectrogram.dtype == np.float32
    np.testing.assert_allclose(spectrogram, expected, atol=1e-3)


@pytest.mark.parametrize("format_", ["wav", "flac", "ogg", "mp3"])
def test_wav_flac_ogg_and_mp3_are_read(tmp_path: Path, format_: str) -> None:
    path = tmp_path / f"a.{format_}"
    soundfile.write(path, sweep(16_000), 16_000)
    expected = log_mel(librosa.resample(sweep(16_000), orig_sr=16_000, target_sr=RATE, res_type="soxr_hq"), RECIPE)
    loud = expected > -30
    assert np.abs(clip_spectrogram(path, RECIPE) - expected)[loud].mean() < 1.5  # dB; lossy formats differ most


@pytest.mark.parametrize(
    ("rate", "channels", "subtype"),
    [(RATE, 2, "PCM_16"), (RATE, 1, "PCM_24"), (192_000, 1, "PCM_24"), (RATE, 6, "FLOAT")],
)
def test_any_rate_width_and_number_of_channels_is_the_same_sound(
    tmp_path: Path, rate: int, channels: int, subtype: str
) -> None:
    soundfile.write(tmp_path / "plain.wav", sweep(), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "odd.wav", np.repeat(sweep(rate)[:, None], channels, axis=1), rate, subtype=subtype)
    plain, odd = (clip_spectrogram(tmp_path / name, RECIPE) for name in ("plain.wav", "odd.wav"))
    assert np.abs(plain - odd)[plain > -30].max() < 0.5  # dB


def test_channels_are_averaged(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "half.wav", sweep() / 2, RATE, subtype="FLOAT")
    left_only = np.stack([sweep(), np.zeros(RATE, np.float32)], axis=1)
    soundfile.write(tmp_path / "left.wav", left_only, RATE, subtype="FLOAT")
    np.testing.assert_array_equal(
        clip_spectrogram(tmp_path / "half.wav", RECIPE), clip_spectrogram(tmp_path / "left.wav", RECIPE)
    )


def test_short_clips_are_padded_with_zeros_and_long_ones_cut(tmp_path: Path) -> None:
    padded = np.concatenate([sweep(seconds=0.5), np.zeros(RATE // 2, np.float32)])
    for name, sound in (
        ("short", sweep(seconds=0.5)),
        ("padded", padded),
        ("long", sweep(seconds=3.0)),
        ("cut", sweep()),
    ):
        soundfile.write(tmp_path / f"{name}.wav", sound, RATE, subtype="FLOAT")
    short, padded, long, cut = (
        clip_spectrogram(tmp_path / f"{name}.wav", RECIPE) for name in ("short", "padded", "long", "cut")
    )
    np.testing.assert_array_equal(short, padded)
    np.testing.assert_array_equal(long, cut)


def _write(sound: Any, **options: Any) -> Callable[[Path], None]:
    return lambda path: soundfile.write(path, sound, RATE, **options)


HOSTILE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "zero bytes": (lambda path: path.write_bytes(b""), "empty"),
    "a text file": (lambda path: path.write_text("no sound at all\n" * 99), "unreadable"),
    "half a header": (lambda path: path.write_bytes(wav_header(RATE, 1)[:30]), "unreadable"),
    "one sample": (_write(sweep()[1:2]), "too short"),
    "8 hours by header only": (eight_hours_by_header, "empty"),
    "8 hours": (eight_hours, "silent"),
    "2**31 samples a second": (lambda path: path.write_bytes(wav_header(2**31 - 1, 1) + bytes(999)), "unreadable"),
    "zeros": (_write(np.zeros(RATE, np.float32)), "silent"),
    "NaN": (_write(np.where(np.arange(RATE) == 5000, np.nan, sweep()), subtype="FLOAT"), "non-finite"),
    "infinity": (_write(np.where(np.arange(RATE) == 5000, np.inf, sweep()), subtype="FLOAT"), "non-finite"),
    "1e30": (_write(sweep() * np.float32(1e30), subtype="FLOAT"), "non-finite"),
    "a folder": (lambda path: path.mkdir(), "unreadable"),
    "nothing": (lambda path: None, "missing"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_bad_file_is_told_by_its_kind(tmp_path: Path, case: str) -> None:
    make, problem = HOSTILE[case]
    make(tmp_path / "a.wav")
    with pytest.raises(BadSoundError) as caught:
        clip_spectrogram(tmp_path / "a.wav", RECIPE)
    assert caught.value.problem == problem


def test_a_file_without_a_header_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(bytes(range(256)) * 99)
    with pytest.raises(BadSoundError, match=r"unreadable: .*'ffmpeg -i FILE FILE.wav' converts it"):
        clip_spectrogram(tmp_path / "a.raw", RECIPE)


@pytest.mark.parametrize("make", [eight_hours, eight_hours_by_header, eight_hours_of_flac_by_header])
def test_memory_does_not_follow_a_files_length(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "long.wav")
    spectrogram_or_none(tmp_path / "long.wav")  # imports and tables
    tracemalloc.start()
    spectrogram_or_none(tmp_path / "long.wav")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16e6


def windows_of(path: Path, hop_seconds: float, recipe: Recipe = RECIPE) -> list[Spectrogram]:
    with open_recording(path) as recording:
        return list(spectrograms(recording, recipe, hop_seconds))


def spectrogram_or_none(path: Path) -> Any:
    try:
        return clip_spectrogram(path, RECIPE)
    except BadSoundError:
        return None


@pytest.mark.parametrize(
    ("duration", "hop", "starts"),
    [
        (0.3, 0.5, [0.0]),
        (1.0, 0.5, [0.0]),
        (1.01, 0.5, [0.0]),  # 10 ms more than a window, less than one hop_length
        (1.2, 0.5, [0.0, 0.2]),
        (2.0, 0.5, [0.0, 0.5, 1.0]),
        (2.3, 1.0, [0.0, 1.0, 1.3]),
        (5.0, 3.0, [0.0, 3.0, 4.0]),
    ],
)
def test_windows_cover_a_recording_to_its_end(tmp_path: Path, duration: float, hop: float, starts: list[float]) -> None:
    soundfile.write(tmp_path / "a.wav", sweep(seconds=duration), RATE)
    windows = windows_of(tmp_path / "a.wav", hop)
    assert [window.start for window in windows] == starts
    assert windows[-1].end == pytest.approx(max(starts[-1] + 1.0, duration) if duration > 1.01 else min(duration, 1.0))


@pytest.mark.parametrize("format_", ["wav", "flac", "ogg", "mp3"])
def test_a_window_is_what_a_file_cut_there_gives(tmp_path: Path, format_: str) -> None:
    soundfile.write(tmp_path / f"long.{format_}", sweep(seconds=2.75), RATE)
    decoded, _ = soundfile.read(tmp_path / f"long.{format_}", dtype="float32")
    windows = windows_of(tmp_path / f"long.{format_}", hop_seconds=0.75)
    assert [window.start for window in windows][:3] == [0.0, 0.75, 1.5]
    assert windows[-1].end == pytest.approx(len(decoded) / RATE, abs=0.03)  # decoders differ by a frame at the end
    for start, end, spectrogram, _ in windows:
        assert start is not None
        assert end is not None
        soundfile.write(tmp_path / "cut.wav", decoded[round(start * RATE) : round(end * RATE)], RATE, subtype="FLOAT")
        difference = np.abs(spectrogram - clip_spectrogram(tmp_path / "cut.wav", RECIPE))
        assert np.median(difference) < 0.01  # dB; lossy decoders differ a little where they start


def test_a_window_of_digital_silence_is_marked_even_beside_loud_sound(tmp_path: Path) -> None:
    """Resampling lets the loud sound ring into the silence: it is the samples in the file that are looked at."""
    pause = np.concatenate([sweep(16_000), np.zeros(2 * 16_000), sweep(16_000)])
    soundfile.write(tmp_path / "pause.wav", pause, 16_000)
    assert [window.is_silent for window in windows_of(tmp_path / "pause.wav", 1.0)] == [False, True, True, False]
    soundfile.write(tmp_path / "silent.wav", np.zeros(RATE // 2), RATE)
    with pytest.raises(BadSoundError, match=r"silent: nothing but silence from 0 to 0.5 s"):
        clip_spectrogram(tmp_path / "silent.wav", RECIPE)


@pytest.mark.parametrize("level", [-60, -120, -200, 200])
def test_a_quiet_or_loud_float_recording_gives_the_spectrogram_of_full_level(tmp_path: Path, level: int) -> None:
    """Levels in dB; with librosa's floor, which recipes without `floor` keep, a quiet sound loses its weak bands."""
    soundfile.write(tmp_path / "full.wav", sweep(), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "other.wav", sweep() * np.float32(10.0 ** (level / 20)), RATE, subtype="FLOAT")
    relative = RECIPE.model_copy(update={"floor": "relative"})
    full, other = (clip_spectrogram(tmp_path / name, relative) for name in ("full.wav", "other.wav"))
    np.testing.assert_allclose(other, full, atol=2e-2)  # dB: samples at another level are rounded elsewhere
    np.testing.assert_allclose(full, clip_spectrogram(tmp_path / "full.wav", RECIPE), atol=1e-4)
    if level == -60:
        assert np.abs(clip_spectrogram(tmp_path / "other.wav", RECIPE) - full).max() > 10


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"n_fft": 16_384}, "n_fft is 16384, expected at most a clip's samples"),
        ({"fmax": 5000.0}, "fmax is 5000.0, expected a frequency from 0 to half the rate, 4000 Hz"),
        ({"fmin": 3000.0, "fmax": 2000.0}, "fmax is 2000.0"),
        ({"seconds": 1e9}, "seconds is 1000000000.0"),
        ({"hop": 128}, "hop is not a setting"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        validate(Recipe, {"rate": RATE, "seconds": 1.0, "n_fft": 512, **options}, "recipe.json")


def test_more_mel_bands_than_the_spectrum_fills_are_refused() -> None:
    with pytest.raises(UserError, match="400 mel bands are too many for n_fft 512"):
        log_mel(sweep(), RECIPE.model_copy(update={"n_mels": 400}))
