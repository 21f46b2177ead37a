"""`make repro` as a terminal shows it: `python -m tests.captures CLONE > docs/terminal.md`.

CLONE: a fresh clone, installed (`make environment`), in which nothing is trained. It takes as long as the training.
"""

import os
import sys
import time
from pathlib import Path

from tests.support.terminal import CTRL_C, Terminal, terminal

COMMAND = ("make", "repro")
HEAD = """# What a terminal shows

`make repro` in a fresh clone, its environment installed. Written by `python -m tests.captures`: 2 shared cores (AMD
EPYC Zen 5), Python 3.11.7, torch 2.13.0 for the CPU. A narrower window cuts lines off and scrolls nothing away.
"""


def show(title: str, screen: Terminal) -> None:
    """Prints the screen as a block."""
    print(f"\n## {title}\n\n```text\n{screen.shown()}\n```", flush=True)


def follow(screen: Terminal, seconds: float) -> None:
    """Reads for some seconds, then until nothing is being drawn."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        screen.read()
    screen.settle()


def main() -> None:
    """Two runs: one that Ctrl-C stops, and the same command again to its end."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("AUDIOCNN_", "VIRTUAL_ENV"))}
    setting = {"cwd": Path(sys.argv[1]), "env": {**variables, "DVC_NO_ANALYTICS": "1", "WANDB_MODE": "disabled"}}
    print(HEAD, end="")
    with terminal(setting, *COMMAND, columns=80, rows=24) as screen:
        screen.read_until(lambda: "fold 1: epoch 3 of" in screen.shown(), seconds=600)
        screen.settle()
        show("Start, 80 x 24", screen)
        screen.resize(50, 24)
        follow(screen, 3)
        show("The window narrowed to 50 columns", screen)
        screen.resize(80, 24)
        follow(screen, 3)
        screen.press(CTRL_C)
        screen.read_to_end()
        show("Ctrl-C", screen)
    with terminal(setting, *COMMAND, columns=120, rows=40) as screen:
        screen.read_until(lambda: "\n5 of 10 folds" in screen.shown(), seconds=3600)
        screen.settle()
        show("The same command again, half way, 120 x 40", screen)
        screen.read_to_end(seconds=3600)
        show("End", screen)


if __name__ == "__main__":
    main()
