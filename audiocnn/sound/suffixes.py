"""How files of sound are called."""

# What is taken from a folder. A file that is named may be called anything: its content decides.
_NAMES = """
    3gp aac aif aifc aiff amr au caf flac gsm m4a m4b mka mkv mov mp2 mp3 mp4 mpga oga ogg opus snd spx voc w64 wav wave
    weba webm wma wv
"""
SUFFIXES = frozenset(f".{name}" for name in _NAMES.split())
