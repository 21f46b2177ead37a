"""The sound files below a folder, and which of them a table means by a name."""

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from audiocnn.errors import UserError
from audiocnn.sound.suffixes import SUFFIXES
from audiocnn.sound.tables import names_a_sound

_NO_CLIPS = ("__MACOSX", "_background_noise_")  # of an archive made on macOS; of speech_commands


class SoundFiles:
    """The sound files below a folder, as sorted paths in it, without those in hidden folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = sorted(_walk(folder))
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in self.paths:
            name = PurePosixPath(path)
            self._by_name[name.name].append(path)
            self._by_name[name.stem].append(path)  # FSD50K's table leaves the ending out

    def find(self, name: str, fold: str, where: str) -> str | None:
        """The file that a table means: the one at that path, or the only one whose path ends so. None: it is missing.

        Of several, it is the one in the folder that is called as its fold. Raises UserError where several are left,
        or the name leads out of the folder.
        """
        parts = _parts(name, where)
        path = "/".join(parts)
        found = [other for other in self._by_name.get(parts[-1], []) if _ends_with(other, parts)]
        if path in found or (self.folder / path).is_file():
            return path
        if len(found) > 1:
            found = [other for other in found if PurePosixPath(other).parent.name in (fold, f"fold{fold}")] or found
        if len(found) > 1:
            raise UserError(
                f"{where}: {name!r} may be {found[0]!r} or {found[1]!r}, both are in {self.folder}: name the folder "
                "that holds one of them as AUDIO_DIR, and the table with --metadata FILE."
            )
        return found[0] if found else None


def _walk(folder: Path) -> Iterator[str]:
    """Links to folders are followed, each folder is entered once."""
    seen: set[str] = set()
    for here, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        folders[:] = [name for name in folders if real not in seen and name[0] != "." and name not in _NO_CLIPS]
        if real not in seen:
            names = (name for name in files if name[0] != "." and names_a_sound(name))
            paths = (path for name in names if (path := Path(here, name)).is_file())  # a pipe would be waited for
            yield from (path.relative_to(folder).as_posix() for path in paths)
        seen.add(real)


def _parts(name: str, where: str) -> tuple[str, ...]:
    """The parts of a name in a table, which may have Windows' separators."""
    path = PurePosixPath(name.replace("\\", "/"))
    outside = path.is_absolute() or PureWindowsPath(name).drive or ".." in path.parts or "\0" in name
    if not path.parts or outside:
        raise UserError(f"{where}: the file {name!r} is not inside the folder of audio: expected a path below it.")
    return path.parts


def _ends_with(path: str, parts: tuple[str, ...]) -> bool:
    own = PurePosixPath(path)
    if own.name != parts[-1] and own.suffix.lower() in SUFFIXES:
        own = own.with_suffix("")
    return own.parts[-len(parts) :] == parts
