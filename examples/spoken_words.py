"""Makes recordings to try audiocnn on: five words, spoken by four synthetic voices. Needs espeak-ng.

python examples/spoken_words.py

writes words/WORD/SPEAKER_TAKE.wav, with three speakers and four takes each, and dora/WORD.wav by a fourth speaker.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

WORDS = ("forward", "left", "right", "seven", "stop")
VOICES = {"anna": "en-us+f2", "ben": "en-gb-scotland+m3", "carl": "en-gb-x-rp+croak"}
"""espeak-ng's voices by speaker. They differ: of en-us+m1 and +m3, say, the same word is nearly the same sound."""
OTHER_VOICE = "en-us+f4"
TAKES = ((130, 40), (150, 50), (170, 60), (190, 45))  # words a minute, pitch (0 to 99)


def speak_all(folder: Path, voices: Mapping[str, str]) -> None:
    """Writes all words by all speakers in all takes."""
    for word in WORDS:
        for speaker, voice in voices.items():
            for number, take in enumerate(TAKES):
                speak(folder / word / f"{speaker}_{number}.wav", word, voice, take)


def speak(path: Path, word: str, voice: str, take: tuple[int, int] = TAKES[1]) -> None:
    """Writes one word as WAV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    speed, pitch = take
    subprocess.run(["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "-w", str(path), word], check=True)


def main() -> None:
    """Writes both folders below the current one."""
    speak_all(Path("words"), VOICES)
    for word in WORDS:
        speak(Path("dora", f"{word}.wav"), word, OTHER_VOICE)
    print(f"words: {len(WORDS) * len(VOICES) * len(TAKES)} recordings; dora: {len(WORDS)}, of another voice")


if __name__ == "__main__":
    try:
        main()
    except FileNotFoundError:
        sys.exit("error: espeak-ng is not installed: on Debian and Ubuntu, run 'sudo apt install espeak-ng'.")
