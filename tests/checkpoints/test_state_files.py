"""State files of the right form and the wrong type are as if they were damaged: without them, work is done again."""

from pathlib import Path

import pytest

from audiocnn.checkpoints.failure import error_of
from audiocnn.checkpoints.folder import FAILURE, LOCK_HOLDER, PROGRESS, TRAINING_STATE, UPLOADED
from audiocnn.checkpoints.lock import holder_of
from audiocnn.checkpoints.outage import outage_of
from audiocnn.checkpoints.progress import read_progress
from audiocnn.checkpoints.training_state import load_training_state_json
from audiocnn.config.runtime import HubSettings
from audiocnn.folds.ledger import must_stay, recent_commits

WRONG = [
    b"",
    b"null",
    b"[]",
    b"1",
    b'"text"',
    b"{}",
    b'{"time": "soon", "until": [], "pid": {}, "files": 1, "repository": "a/b", "commits": 5, "session": "now"}',
    b'{"files": [1], "repository": "a/b", "commits": ["then"], "sha256": 1, "format": 1}',
    b"\xff",
    b"[" * 100_000,
    b'{"time": 1%s, "until": 1%s, "configuration": "", "pid": 1e999, "host": "a", "commits": [1%s]}'
    % ((b"0" * 400,) * 3),
]


@pytest.mark.parametrize("content", WRONG, ids=lambda content: repr(content[:40]))
def test_a_state_file_of_the_wrong_type_is_damage(tmp_path: Path, content: bytes) -> None:
    names = (PROGRESS, FAILURE, LOCK_HOLDER, TRAINING_STATE, UPLOADED, "hub_commits.json", "hub_unavailable.json")
    for name in names:
        (tmp_path / name).write_bytes(content)
    assert read_progress(tmp_path) is None
    assert error_of(tmp_path, "another") is None
    assert error_of(tmp_path, "now") in (None, "it failed, and its error.json does not say why")
    assert "process" in holder_of(tmp_path)
    assert load_training_state_json(tmp_path, 3) == {"last_fold": 3, "last_epoch": 0}
    assert must_stay("epoch_1.safetensors", tmp_path, HubSettings(model_repo="a/b"))
    assert recent_commits(tmp_path) == []
    assert outage_of(tmp_path, "hub") is None
