"""Every format that people have is decoded once from its start: what decodes counts, not what a header claims."""

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av = pytest.importorskip("av")
soundfile = pytest.importorskip("soundfile")

from audiocnn.sound.decode import BadSoundError, open_recording  # noqa: E402  # after the skip
from audiocnn.sound.recipe import Recipe  # noqa: E402
from audiocnn.sound.spectrogram import clip_spectrogram, spectrograms  # noqa: E402
from tests.support.paths import SHARED  # noqa: E402
from tests.support.processes import environment  # noqa: E402
from tests.support.sounds import encode  # noqa: E402

RATE = 16_000
RECIPE = Recipe(rate=RATE, seconds=1.0, n_fft=512, hop_length=160, n_mels=64)
CASES = SHARED / "cases"


def speech_like(seconds: float = 3.0, rate: int = RATE) -> Any:
    """A sound of changing pitch and strength, float32 (samples,)."""
    time = np.arange(round(rate * seconds)) / rate
    strength = 0.3 * (1.1 + np.sin(2 * np.pi * 3 * time))
    return (strength * np.sin(2 * np.pi * (300 * time + 700 * (time % 1.0) ** 2))).astype(np.float32)


def decoded(path: Path) -> Any:
    with open_recording(path) as recording:
        return np.concatenate(list(recording.blocks()))


# Suffix, encoder, its rate, how far the loud part of its spectrogram may be from the WAV's, in dB, and the samples of
# its encoder's delay that the format has no place to name; of WMA, FFmpeg leaves out the first 512 instead.
FORMATS = [
    ("flac", "flac", RATE, 0.01, 0),
    ("ogg", "flac", RATE, 0.01, 0),
    ("m4a", "alac", RATE, 0.01, 0),
    ("aiff", "pcm_s16be", RATE, 0.01, 0),
    ("au", "pcm_s16be", RATE, 0.01, 0),
    ("caf", "pcm_s16le", RATE, 0.01, 0),
    ("w64", "pcm_s16le", RATE, 0.01, 0),
    ("wv", "wavpack", RATE, 0.01, 0),
    ("mka", "pcm_s16le", RATE, 0.01, 0),
    ("m4a", "aac", RATE, 1.0, 0),
    ("mp4", "aac", RATE, 1.0, 0),
    ("mov", "aac", RATE, 1.0, 0),
    ("aac", "aac", RATE, 1.0, 1024),
    ("webm", "libopus", 48_000, 1.0, 0),
    ("opus", "libopus", 48_000, 1.0, 0),
    ("wma", "wmav2", RATE, 1.0, -512),
    ("mp3", "libmp3lame", RATE, 1.0, 0),
    ("mp2", "mp2", RATE, 1.0, 481),
]


@pytest.mark.parametrize(("suffix", "codec", "rate", "most", "delay"), FORMATS)
def test_a_format_gives_the_spectrogram_of_its_sound(
    tmp_path: Path, suffix: str, codec: str, rate: int, most: float, delay: int
) -> None:
    path = encode(tmp_path / f"a.{suffix}", speech_like(rate=rate), rate, codec)
    if delay:
        aligned = np.pad(decoded(path), (max(-delay, 0), 0))[max(delay, 0) :]
        soundfile.write(tmp_path / "without_delay.wav", aligned, rate, subtype="FLOAT")
        path = tmp_path / "without_delay.wav"
    soundfile.write(tmp_path / "a.wav", speech_like(), RATE, subtype="FLOAT")
    expected = clip_spectrogram(tmp_path / "a.wav", RECIPE)
    loud = expected > -30  # dB; a lossy codec may do what it likes with the rest
    loud[:, :8] = False  # the first 80 ms, where codecs begin
    assert np.abs(clip_spectrogram(path, RECIPE) - expected)[loud].mean() < most


@pytest.mark.parametrize("options", [{"b": "64000"}, {"qscale": "4", "flags": "+qscale"}])
def test_mp3_is_as_long_as_its_sound_without_its_encoders_delay(tmp_path: Path, options: dict[str, str]) -> None:
    sound = speech_like()
    decoded_sound = decoded(encode(tmp_path / "a.mp3", sound, RATE, "libmp3lame", **options))
    assert abs(len(decoded_sound) - len(sound)) <= 1152
    at = int(np.argmax(np.correlate(decoded_sound[: RATE + 2000], sound[:RATE], "valid")))
    assert at <= 1


def unfinished_wav(path: Path) -> None:
    """A WAV whose recorder died: its data size was never written."""
    soundfile.write(path, speech_like(), RATE, format="WAV", subtype="PCM_16")
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = bytes(4)
    path.write_bytes(content)


def streamed_flac(path: Path) -> None:
    """A FLAC of unknown length, as a program writes it into a pipe."""
    soundfile.write(path, speech_like(), RATE, format="FLAC")
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)


def flac_that_claims_weeks(path: Path) -> None:
    soundfile.write(path, speech_like(), RATE, format="FLAC")
    content = bytearray(path.read_bytes())
    content[21] |= 0x0F
    content[22:26] = b"\xff" * 4
    path.write_bytes(content)


@pytest.mark.parametrize("make", [unfinished_wav, streamed_flac, flac_that_claims_weeks])
def test_what_decodes_is_the_sound_whatever_the_header_claims(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "a")
    np.testing.assert_allclose(decoded(tmp_path / "a"), speech_like(), atol=1e-4)


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp3", "libmp3lame"), ("flac", "flac"), ("aac", "aac"), ("ogg", "flac")]
)
def test_a_cut_file_ends_where_it_was_cut_and_always_in_the_same_bytes(tmp_path: Path, suffix: str, codec: str) -> None:
    whole = encode(tmp_path / f"a.{suffix}", speech_like(20.0), RATE, codec)
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) * 2 // 5])
    first, second = decoded(whole), decoded(whole)
    assert first.tobytes() == second.tobytes()
    assert 4.0 < len(first) / RATE < 12.0
    assert np.abs(first[-RATE:]).max() > 0.1  # sound to the end, and no padding


def test_a_damaged_place_costs_its_packets_and_is_said(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.m4a", speech_like(20.0), RATE, "aac")
    content = bytearray(path.read_bytes())
    middle = content.index(b"mdat") + 30_000
    content[middle : middle + 2000] = b"\xff" * 2000
    path.write_bytes(content)
    with open_recording(path) as recording:
        seconds = sum(map(len, recording.blocks())) / RATE
        assert recording.damage is not None
        assert recording.damage.startswith("damaged: ")
    assert 15 < seconds < 20.1


def test_sounds_and_playlists_cannot_have_another_file_opened(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "secret.wav", speech_like(), RATE)
    lists = {
        "a.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{tmp_path}/secret.wav\n#EXT-X-ENDLIST\n",
        "a.ffconcat": f"ffconcat version 1.0\nfile '{tmp_path}/secret.wav'\n",
        "a.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(BadSoundError, match="unreadable"):
            clip_spectrogram(tmp_path / name, RECIPE)


def test_memory_is_bounded_whatever_a_file_claims(tmp_path: Path) -> None:
    """In a process that may have 3 GB of address space, as `ulimit -v 3000000` says."""
    flac_that_claims_weeks(tmp_path / "weeks.flac")
    unfinished_wav(tmp_path / "unfinished.wav")
    streamed_flac(tmp_path / "streamed.flac")
    files = [tmp_path / name for name in ("weeks.flac", "unfinished.wav", "streamed.flac")]
    files += sorted((CASES / "mp3_claims_more").glob("*.mp3")) if CASES.is_dir() else []
    script = (
        "import sys; from pathlib import Path\n"
        "from audiocnn.sound.recipe import Recipe\n"
        "from audiocnn.sound.decode import BadSoundError, open_recording\n"
        "from audiocnn.sound.spectrogram import spectrograms\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        with open_recording(Path(name)) as recording:\n"
        "            print(sum(1 for _ in spectrograms(recording, Recipe(seconds=1.0), 1.0)))\n"
        "    except BadSoundError as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, files)],
        env=environment(OPENBLAS_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (3_000_000 * 1024,) * 2),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(files)


@pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not here")
@pytest.mark.parametrize(
    ("case", "windows"),
    [
        ("flac_unknown_length/streamed.flac", [(0, 5), (1, 6)]),
        ("mp3_claims_more/lame397v9short.mp3", "too short"),
        ("mp3_vbr_gaps/sweep_vbr.mp3", [(0, 5), (1, 6)]),
        ("mp3_vbr_gaps/x.mp3", [(0, 5)]),
        ("mp3_cut/cut_at_40_percent.mp3", [(0, 4.03)]),
        ("mp3_claims_more/full.mp3", [(0, 1.07)]),
        ("mp3_claims_more/id3v22-test.mp3", [(0, 0.16)]),  # with the last frame, which the file cuts short
        ("mp3_claims_more/pr-544-id3v24.mp3", [(0, 0.14)]),
        ("mp3_claims_more/test_audio_44100.mp3", [(0, 2.51)]),
        ("mp3_claims_more/he_44khz.mp3", [(0, 5), (5, 10), (5.71, 10.71)]),
        ("wav_data_size_0/recorder_died.wav", [(0, 2)]),
        ("silent_window/dog_silence_dog.wav", [(0, 5), (5, 10), (10, 15)]),
    ],
)
def test_files_that_failed_once_have_their_right_outcome(case: str, windows: Any) -> None:
    recipe = Recipe(seconds=5.0)
    try:
        with open_recording(CASES / case) as recording:
            cut = list(spectrograms(recording, recipe, 1.0 if recording.rate == RATE else 5.0))
            found: Any = [(round(window.start or 0.0, 2), round(window.end or 0.0, 2)) for window in cut]
    except BadSoundError as error:
        found = error.problem
    assert found == (
        windows if isinstance(windows, str) else [(pytest.approx(start, abs=1e-3), end) for start, end in windows]
    )


def test_a_pipe_is_read_as_a_file_is(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", speech_like(), RATE)
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["sh", "-c", "cat a.wav > pipe"], cwd=tmp_path) as cat:
        from_pipe = decoded(tmp_path / "pipe")
        assert cat.wait() == 0
    np.testing.assert_array_equal(from_pipe, decoded(tmp_path / "a.wav"))
