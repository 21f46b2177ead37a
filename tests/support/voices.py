"""Words spoken by voices of espeak-ng, a file each."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

ESPEAK = shutil.which("espeak-ng")
VOICES = {"anna": "en-us+f2", "ben": "en-gb-scotland+m3", "carl": "en-gb-x-rp+croak"}
"""Three that differ: of en-us+m1 and +m3, say, the same word is nearly the same sound."""
WORDS = ("forward", "left", "right", "seven", "stop")
_TAKES = ((130, 40), (150, 50), (170, 60), (190, 45))  # words a minute, pitch (0 to 99)


def speak(folder: Path, words: Sequence[str], voices: Mapping[str, str]) -> Path:
    """Takes at several speeds and pitches, as WORD/SPEAKER_TAKE.wav. voices: espeak-ng's, by speaker."""
    assert ESPEAK is not None
    for word in words:
        (folder / word).mkdir(parents=True, exist_ok=True)
        for speaker, voice in voices.items():
            for take, (speed, pitch) in enumerate(_TAKES):
                path = folder / word / f"{speaker}_{take}.wav"
                options = ["-v", voice, "-s", str(speed), "-p", str(pitch), "-w", str(path)]
                subprocess.run([ESPEAK, *options, word], check=True)
    return folder
