"""Levers change nothing while they are off, and while they are on a run that was killed goes on as itself."""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import pytest
from safetensors.torch import load

from audiocnn.config.model_params import ModelParams
from audiocnn.config.train_params import LEVERS, TrainParams, params_digest
from tests.support.prepared import write_prepared
from tests.support.training import LEVERS_ON, TRAIN, make_job, result_bytes, train_until

# Of commit 103cb43, which had no levers, with the versions that constraints.txt pins.
WEIGHTS = "414eb9fcfe3e08f03188d1c4a3295aece6591f81edb88cd55bb16d2024997e7e"
NUMBERS = "57186a9f8380f8a9d3da9725b56337ad349775fa4a4680fc582f568d461d903e"
DIGEST = "97361aca47247263a270504371ef9c8d46d855ea8b398623ec75a51b210c4ce0"


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    write_prepared(tmp_path / "prepared")
    return tmp_path / "prepared"


@pytest.mark.skipif(not version("torch").startswith("2.13.0"), reason="another torch has other last bits")
def test_a_fold_without_levers_has_the_bits_of_before_there_were_any(prepared: Path, tmp_path: Path) -> None:
    job = make_job(prepared, tmp_path, TRAIN)
    train_until(job)
    files = result_bytes(job.folder)
    weights = load(files["model_fold_0_best.safetensors"])
    tensors = hashlib.sha256(b"".join(name.encode() + weights[name].numpy().tobytes() for name in sorted(weights)))
    result = json.loads(files["fold_0.json"])
    numbers = json.dumps([result["history"], result["held_out"]]).encode()
    assert (tensors.hexdigest(), hashlib.sha256(numbers).hexdigest()) == (WEIGHTS, NUMBERS)


def test_levers_that_are_off_leave_the_digest_in_the_weights_header_as_it_was() -> None:
    assert params_digest(ModelParams(), TrainParams()) == DIGEST


@pytest.mark.parametrize("lever", LEVERS)
def test_each_lever_that_is_on_changes_the_digest(lever: str) -> None:
    levers_on = LEVERS_ON.model_copy(update={"calibrate": True})  # which validation none has no clips for
    on = TrainParams().model_copy(update={lever: getattr(levers_on, lever)})
    assert params_digest(ModelParams(), on) != DIGEST


@pytest.mark.parametrize("validation", ["held_out", "none"])
def test_with_all_levers_on_a_run_interrupted_after_every_epoch_ends_in_the_same_bytes(
    tmp_path: Path, validation: str
) -> None:
    prepared = tmp_path / "longer"
    write_prepared(prepared, frames=24)
    train = TrainParams(**{**LEVERS_ON.model_dump(), "validation": validation})
    undisturbed, job = make_job(prepared, tmp_path / "one", train), make_job(prepared, tmp_path / "other", train)
    train_until(undisturbed)
    trained = [epoch for last in range(train.epochs + 1) for epoch in train_until(job, last).trained]
    assert trained == list(range(train.epochs))
    assert result_bytes(job.folder) == result_bytes(undisturbed.folder)
