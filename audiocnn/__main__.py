"""`python -m audiocnn`, the same as `audiocnn`."""

import sys

from audiocnn.cli.main import main

sys.exit(main())
