"""The same bytes on every x86-64 CPU with AVX2: the pipeline on emulated CPUs of two vendors, and on this one."""

import platform
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from audiocnn.config.arithmetic import is_x86_64
from tests.support.other_cpus import QEMU, Pipeline

CPUS = {"Haswell": "Intel Core", "EPYC-Rome": "AMD EPYC-Rome", "Skylake-Client": "Intel Core"}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(QEMU is None, reason="qemu-x86_64 is not here: on Debian, apt-get install qemu-user"),
    pytest.mark.skipif(platform.system() != "Linux" or not is_x86_64(), reason="qemu-user emulates x86-64 on Linux"),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Pipeline]:
    """The pipelines that the tests compare, two at a time: an emulated process takes one core for most of a minute."""
    root = tmp_path_factory.mktemp("cpus")

    def whole(name: str, cpu: str | None, arithmetic: str = "portable", levers: bool = False) -> Pipeline:
        return Pipeline(root / name, cpu, arithmetic, levers=levers).prepared().trained()

    def fetched(name: str, cpu: str | None) -> Pipeline:
        return Pipeline(root / name, cpu, source="demo").prepared()

    with ThreadPoolExecutor(2) as pool:
        made: dict[str, Future[Pipeline]] = {cpu: pool.submit(whole, cpu, cpu) for cpu in CPUS}
        made["native arithmetic, Haswell"] = pool.submit(whole, "native_haswell", "Haswell", "native")
        made["levers, Haswell"] = pool.submit(whole, "levers_haswell", "Haswell", levers=True)
        made["levers, here"] = pool.submit(whole, "levers_here", None, levers=True)
        made["demo, Haswell"] = pool.submit(fetched, "demo_haswell", "Haswell")
        made["demo, here"] = pool.submit(fetched, "demo_here", None)
        made["native arithmetic, here"] = pool.submit(whole, "native_here", None, "native")
        made["here"] = pool.submit(whole, "here", None)
        return {name: future.result() for name, future in made.items()}


@pytest.mark.parametrize("cpu", CPUS)
def test_every_out_of_the_pipeline_has_the_same_bytes_on_another_cpu(runs: Mapping[str, Pipeline], cpu: str) -> None:
    assert runs[cpu].outs() == runs["here"].outs()
    assert {"models/model_fold_1_best.safetensors", "metrics/summary.json"} < runs[cpu].outs().keys()


def test_with_all_levers_on_they_have_the_same_bytes_on_another_cpu(runs: Mapping[str, Pipeline]) -> None:
    assert runs["levers, Haswell"].outs() == runs["levers, here"].outs()
    assert runs["levers, here"].outs() != runs["here"].outs()


@pytest.mark.parametrize("cpu", CPUS)
def test_every_process_of_it_ran_on_that_cpu(runs: Mapping[str, Pipeline], cpu: str) -> None:
    seen = runs[cpu].seen()
    assert [process["module"] for process in seen] == [
        "stages.fetch",
        "stages.prepare",
        "audiocnn.folds.worker",
        "stages.train_fold",
        "stages.train_fold",
        "stages.aggregate",
    ]
    assert all(process["avx2"] and not process["avx512"] for process in seen)
    assert [process["name"] for process in seen if process["name"]] == [CPUS[cpu]]  # the worker has torch


def test_the_demo_has_the_same_bytes_on_another_cpu(runs: Mapping[str, Pipeline]) -> None:
    assert runs["demo, Haswell"].outs() == runs["demo, here"].outs()
    assert not any(process["avx512"] for process in runs["demo, Haswell"].seen())


def test_native_arithmetic_has_other_bytes_on_another_cpu(runs: Mapping[str, Pipeline]) -> None:
    """So the tests above can fail."""
    if not runs["here"].seen()[0]["avx512"]:
        pytest.skip("this CPU has no AVX-512, so its native arithmetic may be the emulated one's")
    here, there = runs["native arithmetic, here"].outs(), runs["native arithmetic, Haswell"].outs()
    differing = {name for name in here if here[name] != there[name]}
    assert {"models/model_fold_0_best.safetensors", "results/folds/fold_0.json"} <= differing


def test_a_cpu_without_avx2_gets_a_sentence_that_names_native(tmp_path: Path) -> None:
    here = Pipeline(tmp_path / "old", None).prepared()
    said = Pipeline(here.folder, "Nehalem").work()
    assert "fold 0: train.arithmetic is portable, which takes a CPU with AVX2 and FMA, and this one has none" in said
    assert "set train.arithmetic: native in params.yaml." in said
