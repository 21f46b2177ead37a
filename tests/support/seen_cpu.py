"""Runs a module as `python -m` does, and then writes down which CPU this process saw.

    python -m tests.support.seen_cpu FILE MODULE ARGUMENT...

Under emulation it is the emulated one: then nothing of the module ran on this machine's own.
"""

import importlib
import json
import runpy
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Appends a line of JSON to FILE: the module, whether numpy sees AVX2 and AVX-512, the name that torch sees."""
    file, module = Path(sys.argv[1]), sys.argv[2]
    sys.argv = sys.argv[2:]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        features: Any = importlib.import_module("numpy._core._multiarray_umath").__cpu_features__
        torch: Any = sys.modules.get("torch")
        seen = {
            "module": module,
            "avx2": bool(features["AVX2"]),
            "avx512": bool(features["AVX512F"]),
            "name": None if torch is None else torch.cpu.get_capabilities()["cpu_name"],
        }
        with file.open("a") as lines:
            lines.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
