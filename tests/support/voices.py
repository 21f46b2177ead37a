"""Words spoken by voices of espeak-ng, a file each."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

ESPEAK = shutil.which("espeak-ng")
_TAKES = ((130, 40), (150, 50), (170, 60), (190, 45))  # words a minute, pitch (0 to 99)


def speak(folder: Path, words: Sequence[str], voices: Sequence[str]) -> Path:
    """A folder a word, in it each voice's takes at several speeds and pitches: WORD/VOICE_TAKE.wav."""
    assert ESPEAK is not None
    for word in words:
        (folder / word).mkdir(parents=True, exist_ok=True)
        for voice in voices:
            for take, (speed, pitch) in enumerate(_TAKES):
                path = folder / word / f"{voice}_{take}.wav"
                options = ["-v", f"en-us+{voice}", "-s", str(speed), "-p", str(pitch), "-w", str(path)]
                subprocess.run([ESPEAK, *options, word], check=True)
    return folder
