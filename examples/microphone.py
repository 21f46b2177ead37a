"""Names what a microphone hears, one line per second. Needs `pip install sounddevice`, and weights in models/.

python examples/microphone.py
"""

from collections.abc import Iterator
from typing import Any

import audiocnn

RATE = 22_050  # Hz; any rate that the sound card has will do
BLOCK = RATE // 10


def blocks() -> Iterator[Any]:
    """What the microphone hears, a tenth of a second at a time: float32 (samples,)."""
    import sounddevice

    with sounddevice.InputStream(samplerate=RATE, channels=1, dtype="float32", blocksize=BLOCK) as microphone:
        while True:
            samples, _ = microphone.read(BLOCK)
            yield samples[:, 0]


def main() -> None:
    """Listens until Ctrl-C."""
    stream = audiocnn.load("models").stream(RATE, hop_seconds=1.0)
    for block in blocks():
        for answer in stream.feed(block):
            said = "silence" if answer.is_silent else f"{answer.class_name} {answer.probability:.2f}"
            print(f"{answer.start:6.1f} to {answer.end:6.1f} s  {said}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print()
