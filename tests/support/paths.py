"""Where the repository is, and where real data may be."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"  # beside the clone, if it is there at all
