"""One thin script a DVC stage: read the configuration, call the library, write the outs."""

import atexit
import os
import sys
from importlib.util import find_spec

if find_spec("pydantic") is None:  # `.venv/bin/dvc repro` without the environment: the shell finds another python
    sys.exit(
        f"error: {sys.executable} has none of the project's packages: activate the environment that has them "
        "('source .venv/bin/activate'), then run the command again."
    )

if "DVC_STAGE" in os.environ:  # however the stage ends
    from audiocnn.folds.restore import restore_outs

    atexit.register(restore_outs, os.environ["DVC_STAGE"])
