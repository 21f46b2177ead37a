"""Files to a repository of the Hub, whatever its kind: one commit, to a repository made where there is none."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from audiocnn.hub.client import HubError, explained, hub_api, patiently

Kind = Literal["model", "dataset", "space"]


def push(
    repository: str,
    kind: Kind,
    files: Mapping[str, Path | bytes],
    message: str,
    is_stale: Callable[[str], bool] = lambda name: False,
) -> str:
    """Uploads the files, by their names in the repository, in one commit; returns the commit's address.

    repository: OWNER/NAME. A Space is made as one of Gradio. is_stale: whether a file of an earlier commit, by name, is
    deleted by this one where it has none. Raises UserError, and then nothing of the commit is there.
    """
    api = hub_api(progress=True)  # before the library is imported: it sets what that reads
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    sdk = "gradio" if kind == "space" else None
    try:
        patiently(lambda: api.create_repo(repository, repo_type=kind, space_sdk=sdk, exist_ok=True))
        present = patiently(lambda: [entry.path for entry in api.list_repo_tree(repository, repo_type=kind)])
        stale = [name for name in present if is_stale(name) and name not in files]
        commit = patiently(
            lambda: api.create_commit(
                repository,
                [
                    *(CommitOperationAdd(name, content) for name, content in files.items()),
                    *(CommitOperationDelete(name) for name in stale),
                ],
                commit_message=message,
                repo_type=kind,
            )
        )
    except HubError as trouble:
        raise explained(trouble, f"write to {kind} {repository}") from None
    return str(commit.commit_url)
