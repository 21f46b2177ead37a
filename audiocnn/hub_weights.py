"""A model repository of the Hub: weights from it, verified, into the client library's own cache; a release to it."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from audiocnn.errors import UserError
from audiocnn.files import sha256_of_file
from audiocnn.hub_client import HubError, explained, hub_api, patiently
from audiocnn.weight_files import LARGEST_FILE, is_weights_name

_COMMIT = re.compile("[0-9a-f]{40}")
Answer = TypeVar("Answer")


class WeightsRepository:
    """A model repository at one commit, so that all folds are of one revision. names: the files at its root."""

    def __init__(self, repository: str, revision: str) -> None:
        """Resolves the revision (a branch, a tag or a commit) and lists the files. Raises UserError."""
        self._repository, self._wanted = repository, f"get model {repository} at {revision}"
        self._api = hub_api(progress=True)
        from huggingface_hub import RepoFile

        info = self._ask(lambda: self._api.model_info(repository, revision=revision))
        if not _COMMIT.fullmatch(info.sha or ""):
            raise UserError(f"cannot {self._wanted}: the server names no commit of 40 hex digits; check HF_ENDPOINT.")
        self._commit = str(info.sha)
        tree = self._ask(lambda: list(self._api.list_repo_tree(repository, revision=self._commit)))
        self._files = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
        self.names = tuple(self._files)

    def fetch(self, name: str) -> Path:
        """A file of the repository, by a name of `names`, with the checksum that is listed there. Raises UserError."""
        listed = self._files[name]
        if listed.size > LARGEST_FILE:
            raise UserError(f"cannot {self._wanted}: {name} has {listed.size} bytes, too many for AudioCNN's weights.")
        for again in (False, True):
            path = self._download(name, again)
            # The library compares no checksum of its own over plain HTTP.
            if listed.lfs is None or sha256_of_file(path) == listed.lfs.sha256:
                return path
        raise UserError(
            f"cannot {self._wanted}: {name} came twice with other bytes than the repository lists; "
            "try again later, or tell its owner."
        )

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


def push_release(repository: str, files: Mapping[str, bytes]) -> str:
    """Uploads the files in one commit, to a repository made where there is none; returns the commit's address.

    Weights of folds that this release does not have are deleted by the same commit: they would vote in predictions.
    Raises UserError, and then nothing of the commit is there.
    """
    api = hub_api(progress=True)
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    try:
        patiently(lambda: api.create_repo(repository, exist_ok=True))
        present = patiently(lambda: [entry.path for entry in api.list_repo_tree(repository)])
        stale = [name for name in present if is_weights_name(name) and name not in files]
        commit = patiently(
            lambda: api.create_commit(
                repository,
                [
                    *(CommitOperationAdd(name, content) for name, content in files.items()),
                    *(CommitOperationDelete(name) for name in stale),
                ],
                commit_message="Best models, results and model card, by audiocnn publish",
            )
        )
    except HubError as trouble:
        raise explained(trouble, f"write to model {repository}") from None
    return str(commit.commit_url)
