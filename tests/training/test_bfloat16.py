"""train.precision: bf16 trains in bfloat16 and answers in float32, as predictions are made."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.bfloat16 import BF16
from tests.support.paths import ROOT
from tests.support.prepared import write_prepared
from tests.support.processes import environment
from tests.support.training import make_job, train_until


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """In a process of its own: this one computes with portable arithmetic, which has no bfloat16."""
    command = [sys.executable, "-m", "tests.support.bfloat16", str(tmp_path_factory.mktemp("bfloat16"))]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_encoder_stays_in_bfloat16_and_in_onednns_layout(seen: dict[str, Any]) -> None:
    if not seen["supported"]:
        pytest.skip("this CPU has no AVX-512 BF16")
    assert seen["layouts"] == [["torch.bfloat16", True]] * 2


def test_gradients_are_float32s_but_for_bfloat16s_rounding(seen: dict[str, Any]) -> None:
    errors = seen["gradient_errors"]
    # Normalisation cancels these two biases, so their gradients are rounding alone.
    assert {name for name, error in errors.items() if error > 0.3} <= {"encoder2.conv.bias", "encoder3.conv.bias"}


def test_a_fold_that_stops_and_resumes_ends_in_the_same_bytes(seen: dict[str, Any]) -> None:
    assert seen["resumed_is_same"]


def test_the_held_out_clips_are_answered_in_float32(seen: dict[str, Any]) -> None:
    assert seen["answers_error"] < 1e-4


def test_a_cpu_without_it_is_told_that_float32_is_quicker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_prepared(tmp_path / "prepared")
    for place in ("audiocnn.training.loop", "audiocnn.model.quick_on_cpu"):
        monkeypatch.setattr(f"{place}.computes_in_bfloat16", lambda: False)
    watcher = train_until(make_job(tmp_path / "prepared", tmp_path, BF16))
    assert "this CPU has no AVX-512 BF16: float32 is quicker here than train.precision bf16" in watcher.said
    assert watcher.trained == list(range(BF16.epochs))
