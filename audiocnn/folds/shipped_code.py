"""The code as it goes to other machines: what git tracks of it, each file with its digest, in one archive."""

import io
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

from audiocnn.checkpoints.key import PROJECT
from audiocnn.checkpoints.verified import sha256
from audiocnn.files import digest

_SENT = ("audiocnn", "stages", "dvc.yaml")


@dataclass(frozen=True)
class ShippedCode:
    """files: sha256 by path. archive: a zip file of them. digest: of `files`; who has it needs no archive."""

    files: dict[str, str]
    archive: bytes

    @property
    def digest(self) -> str:
        """64 hex digits, the same for the same files."""
        return digest(self.files)


def shipped_code(project: Path = PROJECT) -> ShippedCode:
    """The project's code as it stands now in the working tree."""
    contents = {path: (project / path).read_bytes() for path in _paths(project)}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path, content in contents.items():
            file.writestr(zipfile.ZipInfo(path), content)  # ZipInfo: without the time of now
    return ShippedCode({path: sha256(content) for path, content in contents.items()}, archive.getvalue())


def _paths(project: Path) -> list[str]:
    """Paths in the project, sorted. Where git does not know it: all files but Python's caches."""
    command = ["git", "ls-files", "-z", "--", *_SENT]
    listed = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False).stdout.split("\0")
    paths = [path for path in listed if path and (project / path).is_file()]
    if "dvc.yaml" not in paths:
        files = (path for name in _SENT for path in [project / name, *(project / name).rglob("*")] if path.is_file())
        paths = [path.relative_to(project).as_posix() for path in files if "__pycache__" not in path.parts]
    return sorted(paths)
