"""One sound in many encodings: how far each one's spectrogram is from the WAV's, and whether its class is the same.

    python -m benchmarks.encodings ../shared/audio/esc10/audio/1-17150-A-9.ogg --models models

Needs ffmpeg and sox, which write the files. Prints a Markdown table: the encoding, seconds decoded, the mean and the
largest distance in dB where the WAV's spectrogram is above -40 dB, the class, what is said of damage, and whether three
readings gave the same bytes.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

import audiocnn
from audiocnn.sound.decode import BadSoundError, open_recording
from audiocnn.sound.spectrogram import first_window
from audiocnn.text import markdown

_LOUD = -40.0  # dB
# Suffix, and the encoder's options of ffmpeg, or of sox after its name.
LOSSLESS = [
    ("wav", "-c:a pcm_u8"),
    ("wav", "-c:a pcm_s24le"),
    ("wav", "-c:a pcm_s32le"),
    ("wav", "-c:a pcm_f64le"),
    ("wav", "-c:a pcm_alaw"),
    ("wav", "-c:a pcm_mulaw"),
    ("wav", "-c:a adpcm_ima_wav"),
    ("wav", "-c:a adpcm_ms"),
    ("wav", "-ar 8000 -ac 1 -c:a g726 -b:a 32k"),
    ("wav", "sox -e gsm-full-rate -r 8000 -c 1"),
    ("w64", "-c:a pcm_s16le"),
    ("aiff", "-c:a pcm_s16be"),
    ("au", "-c:a pcm_s16be"),
    ("caf", "-c:a pcm_s16le"),
    ("flac", "-c:a flac"),
    ("flac", "-c:a flac -sample_fmt s32"),
    ("ogg", "-c:a flac"),
    ("m4a", "-c:a alac"),
    ("wv", "-c:a wavpack"),
    ("mka", "-c:a pcm_s16le"),
    ("voc", "sox"),
    ("snd", "sox"),
]
LOSSY = [
    ("mp3", "-c:a libmp3lame -b:a 128k"),
    ("mp3", "-c:a libmp3lame -b:a 64k -ar 22050 -ac 1"),
    ("mp3", "-c:a libmp3lame -q:a 4"),
    ("mp3", "-c:a libmp3lame -q:a 9 -ar 16000"),
    ("mp2", "-c:a mp2 -b:a 192k"),
    ("ogg", "-c:a libvorbis -q:a 4"),
    ("ogg", "-c:a libvorbis -b:a 64k -ar 22050 -ac 1"),
    ("opus", "-c:a libopus -b:a 64k"),
    ("webm", "-c:a libopus -b:a 96k -vbr off"),
    ("webm", "-c:a libvorbis"),
    ("m4a", "-c:a aac -b:a 128k"),
    ("m4a", "-c:a aac -b:a 48k -ar 22050 -ac 1"),
    ("mp4", "-c:a aac -b:a 128k"),
    ("mov", "-c:a aac -b:a 128k"),
    ("3gp", "-c:a aac -b:a 64k"),
    ("aac", "-c:a aac -b:a 128k"),
    ("wma", "-c:a wmav2 -b:a 128k"),
    ("wma", "-c:a wmav1 -b:a 96k"),
    ("spx", "-c:a libspeex -ar 16000 -ac 1"),
    ("mkv", "-c:a ac3 -b:a 192k"),
]
SHAPES = [("wav", "-ar 8000"), ("wav", "-ar 96000"), ("flac", "-ac 2"), ("wav", "-ac 6"), ("wav", "-ar 11025 -ac 2")]
DAMAGED = [
    ("mp3", "-c:a libmp3lame -b:a 128k", "cut"),
    ("m4a", "-c:a aac -movflags +faststart", "cut"),
    ("flac", "-c:a flac", "cut"),
    ("ogg", "-c:a libvorbis", "hole"),
    ("mp3", "-c:a libmp3lame -q:a 4", "hole"),
]


class Made(NamedTuple):
    """A file and what it is."""

    what: str
    path: Path


def make(sound: Path, folder: Path) -> list[Made]:
    """All encodings of a sound, in a folder; those that this ffmpeg cannot write are left out, and said."""
    made = []
    plain = [(suffix, options, "") for suffix, options in (*LOSSLESS, *LOSSY, *SHAPES)]
    for number, (suffix, options, damage) in enumerate([*plain, *DAMAGED]):
        path = folder / f"{number:02}.{suffix}"
        words = options.split()
        if words and words[0] == "sox":
            command = ["sox", str(sound), *words[1:], str(path)]
        else:
            command = ["ffmpeg", "-v", "error", "-y", "-i", str(sound), *words, str(path)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            print(f"left out: {suffix} {options}: {done.stderr.strip()[-80:]}", file=sys.stderr)
            continue
        if damage:
            content = path.read_bytes()
            half = len(content) // 2
            path.write_bytes(content[:half] if damage == "cut" else content[:half] + content[half + 2000 :])
        made.append(Made(" ".join([suffix, options, damage]).strip(), path))
    return made


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sound", type=Path)
    parser.add_argument("--models", default="models")
    options = parser.parse_args()
    classifier = audiocnn.load(options.models)
    recipe = classifier.recipe
    rows = [("encoding", "decoded, s", "mean, dB", "largest, dB", "class", "said", "same bytes")]
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "reference.wav"
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(options.sound), str(wav)], check=True)
        expected = first_window(wav, recipe)[0].values
        loud = expected > _LOUD
        for what, path in tqdm([Made("wav", wav), *make(wav, Path(folder))], disable=None):
            try:
                read = [first_window(path, recipe) for _ in range(3)]
                with open_recording(path) as recording:
                    seconds = sum(map(len, recording.blocks())) / recording.rate
            except BadSoundError as error:
                rows.append((what, "", "", "", "", str(error), ""))
                continue
            distance = np.abs(read[0][0].values - expected)[loud]
            answer = classifier.predict(path)
            digests = {hashlib.sha256(window.values.tobytes()).hexdigest() for window, _ in read}
            rows.append(
                (
                    what,
                    f"{seconds:.3f}",
                    f"{distance.mean():.2f}",
                    f"{distance.max():.1f}",
                    f"{answer.class_name} {answer.probability or 0:.2f}",
                    read[0][1] or "",
                    "yes" if len(digests) == 1 else "no",
                )
            )
    print(markdown(rows))


if __name__ == "__main__":
    main()
