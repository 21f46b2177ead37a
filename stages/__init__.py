"""One thin script a DVC stage: read the configuration, call the library, write the outs."""

import atexit
import os
import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("pydantic") is None:  # `.venv/bin/dvc repro` without the environment: the shell finds another python
    sys.exit(
        f"error: {sys.executable} has none of the project's packages: activate the environment that has them "
        "('source .venv/bin/activate'), then run the command again."
    )

_ours = Path(__file__).resolve().parent.parent
if sys.flags.safe_path and _ours != Path.cwd().resolve():  # python looks into the environment then, and not here
    sys.exit(
        f"error: PYTHONSAFEPATH is set, and the environment's code is that of {_ours}: unset it, or activate this "
        "project's own environment."
    )

if "DVC_STAGE" in os.environ:
    from audiocnn.folds.restore import restore_unless_finished

    atexit.register(restore_unless_finished)
