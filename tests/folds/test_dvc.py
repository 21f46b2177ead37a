"""What a stage reads off the command line of the dvc that runs it."""

import pytest

from audiocnn.folds.dvc import is_forced


@pytest.mark.parametrize(
    "command",
    [
        "dvc repro -f",
        "dvc repro --force",
        "dvc repro -sf train_fold@1",
        "dvc repro -fs train_fold@1",
        "dvc repro -Pf",
        "dvc exp run -f -S train.lr=3e-4",
    ],
)
def test_every_form_of_force_is_seen(command: str) -> None:
    assert is_forced(command.split())


@pytest.mark.parametrize(
    "command",
    [
        "dvc repro",
        "dvc repro -P",
        "dvc exp run -nfirst",  # a name, behind an option that takes one
        "dvc exp run -n first -S train.lr=3e-4",
        "dvc repro --force-downstream prepare",
        "dvc repro --file dvc.yaml",
    ],
)
def test_what_only_looks_like_force_is_not(command: str) -> None:
    assert not is_forced(command.split())
