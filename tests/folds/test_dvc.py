"""What a stage asks about itself and the dvc that runs it."""

import pytest

from audiocnn.errors import UserError
from audiocnn.folds.dvc import fold_of_stage, is_forced


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


@pytest.mark.parametrize("name", ["train_fold@7", "dvc.yaml:train_fold@7", "../dvc.yaml:train_fold@7"])
def test_a_stage_knows_its_fold_by_the_name_that_dvc_gives_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("DVC_STAGE", name)
    assert fold_of_stage([]) == 7


@pytest.mark.parametrize("name", ["", "train_fold", "train_fold@0; touch X", "train_fold@-1", "train_fold@\u0663"])
def test_a_stage_of_another_name_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("DVC_STAGE", name)
    with pytest.raises(UserError, match="expected train_fold@K"):
        fold_of_stage([])
