"""A clone has the repository's bytes, whatever its git converts elsewhere: digests are of bytes."""

import shutil
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.revisions import git


def test_autocrlf_changes_no_byte_of_a_clone(tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    origin.mkdir()
    for name in (".gitattributes", "params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, origin)
    git(origin, "init", "-q")
    git(origin, "add", "-A")
    git(origin, "commit", "-q", "-m", "start")
    git(tmp_path, "-c", "core.autocrlf=true", "clone", "-q", "origin", "clone")
    for name in ("params.yaml", "dvc.yaml"):
        assert (tmp_path / "clone" / name).read_bytes() == (ROOT / name).read_bytes()
