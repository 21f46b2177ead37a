"""Networks of two runs never vote together: not while one trains, nor after it was stopped."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from audiocnn.errors import UserError
from audiocnn.files import md5
from audiocnn.inference.find_weights import find_weights
from tests.support.weights import make_header, make_weights, write_weights


def write_lock(project: Path, listed: list[int] | None = None, **code: str) -> None:
    """A dvc.lock of the weights that are there; code: the digest of the network's code, by fold_K."""
    stages: dict[str, Any] = {}
    for fold, digest in enumerate(code.values()):
        path = f"models/model_fold_{fold}_best.safetensors"
        outs = [{"path": path, "md5": md5((project / path).read_bytes())}]
        stages[f"train_fold@{fold}"] = {"deps": [{"path": "audiocnn/model/network.py", "md5": digest}], "outs": outs}
    if listed is not None:
        stages["aggregate"] = {"params": {"params.yaml": {"folds": listed}}}
    (project / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))


def test_weights_of_other_params_beside_new_ones_are_refused_and_one_fold_is_not(tmp_path: Path) -> None:
    old = make_header(fold=1, params_digest="0" * 64)
    folder = write_weights(tmp_path / "models", make_weights(0), make_weights(1, old), make_weights(2, old))
    with pytest.raises(UserError, match=r"holds networks of 2 runs \(folds 0 and 1, 2\), which are not mixed"):
        find_weights(folder, None)
    assert len(find_weights(folder, 1)) == 1


def test_weights_of_other_code_or_data_are_told_by_dvc_lock(tmp_path: Path) -> None:
    folder = write_weights(tmp_path / "models", make_weights(0), make_weights(1))
    write_lock(tmp_path, fold_0="a" * 32, fold_1="a" * 32)
    assert len(find_weights(folder, None)) == 2
    write_lock(tmp_path, fold_0="b" * 32, fold_1="a" * 32)
    with pytest.raises(UserError, match=r"folds 0 and 1\)"):
        find_weights(folder, None)


def test_weights_that_a_running_stage_has_written_and_dvc_not_yet_recorded_are_of_another_run(tmp_path: Path) -> None:
    folder = write_weights(tmp_path / "models", make_weights(0), make_weights(1))
    write_lock(tmp_path, fold_0="a" * 32, fold_1="a" * 32)
    write_weights(folder, make_weights(5))
    with pytest.raises(UserError, match=r"folds 0 and 1\)"):
        find_weights(folder, None)


def test_weights_of_folds_that_the_last_run_no_longer_lists_do_not_vote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = make_header(fold=2, params_digest="0" * 64)
    folder = write_weights(tmp_path / "models", make_weights(0), make_weights(1), make_weights(2, old))
    write_lock(tmp_path, listed=[0, 1], fold_0="a" * 32, fold_1="a" * 32, fold_2="b" * 32)
    assert find_weights(folder, None) == [folder / f"model_fold_{fold}_best.safetensors" for fold in (0, 1)]
    assert "weights of folds 2" in capsys.readouterr().err
