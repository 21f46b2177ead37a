"""A model repository of the Hub: files from it, verified, into the client library's own cache.

What the files are called and how large they may be is the caller's to say.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from audiocnn.config.hub_names import HubName
from audiocnn.errors import UserError
from audiocnn.files import sha256_of_file
from audiocnn.hub.client import HubError, commit_of, explained, hub_api, other_bytes, patiently

Answer = TypeVar("Answer")


class ModelRepository:
    """A model repository at one commit, so that all files are of one revision. names: the files at its root."""

    def __init__(self, name: HubName, largest: int) -> None:
        """Resolves the revision (a branch, a tag or a commit) and lists the files. Raises UserError.

        largest: bytes; a file that is larger is refused before it is downloaded.
        """
        self._repository, self._wanted = name.repository, f"get model {name.repository} at {name.revision}"
        self._largest = largest
        self._api = hub_api(progress=True)
        from huggingface_hub import RepoFile

        info = self._ask(lambda: self._api.model_info(name.repository, revision=name.revision))
        self._commit = commit_of(info, self._wanted)
        tree = self._ask(lambda: list(self._api.list_repo_tree(name.repository, revision=self._commit)))
        self._files = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
        self.names = tuple(self._files)

    def fetch(self, name: str, largest: int | None = None) -> Path:
        """A file of the repository, by a name of `names`, with the checksum that is listed there. Raises UserError.

        largest: bytes, where this file may have fewer than others.
        """
        listed = self._files[name]
        if listed.size > (self._largest if largest is None else largest):
            raise UserError(f"cannot {self._wanted}: {name} has {listed.size} bytes, too many for what it should hold.")
        for again in (False, True):
            path = self._download(name, again)
            # The library compares no checksum of its own over plain HTTP.
            if listed.lfs is None or sha256_of_file(path) == listed.lfs.sha256:
                return path
        raise other_bytes(self._wanted, name)

    def _download(self, name: str, again: bool) -> Path:
        return Path(
            self._ask(
                lambda: self._api.hf_hub_download(self._repository, name, revision=self._commit, force_download=again)
            )
        )

    def _ask(self, action: Callable[[], Answer]) -> Answer:
        try:
            return patiently(action)
        except HubError as trouble:
            raise explained(trouble, self._wanted) from None
