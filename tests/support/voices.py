"""Words spoken by voices of espeak-ng, where it is installed: those of the example."""

import shutil

from examples.spoken_words import OTHER_VOICE, VOICES, WORDS, speak_all

__all__ = ["ESPEAK", "OTHER_VOICE", "VOICES", "WORDS", "speak_all"]
ESPEAK = shutil.which("espeak-ng")
