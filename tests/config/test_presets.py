"""`audiocnn preset` writes values into params.yaml, and nothing else of the file changes."""

import re
from pathlib import Path

import pytest
import yaml

from audiocnn.cli import main as cli
from audiocnn.config.params import Params, read_params
from audiocnn.config.presets import PRESETS, write_preset
from audiocnn.config.settings import flat
from audiocnn.config.train_params import LEVERS
from audiocnn.errors import UserError
from tests.support.paths import ROOT

USERS = {"folds": [0, 2], "train.seed": 7, "train.threads": 2, "train.precision": "bf16", "train.arithmetic": "native"}


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "params.yaml"
    path.write_bytes((ROOT / "params.yaml").read_bytes())
    return path


def comments(path: Path) -> list[str]:
    return re.findall(r"#.*", path.read_text())


def test_the_committed_params_are_the_preset_published(params: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = params.read_bytes()
    assert cli.main(["preset", "published"]) == 0
    assert params.read_bytes() == before
    assert capsys.readouterr().out == "params.yaml holds preset published already.\n"


def test_accurate_changes_its_values_and_keeps_comments_and_lines(
    params: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, notes = params.read_text().splitlines(), comments(params)
    assert cli.main(["preset", "accurate"]) == 0
    assert "train.validation: held_out to none\n" in capsys.readouterr().out
    train = read_params(params).train
    assert (train.validation, train.optimizer, train.schedule, train.augment.crop) == ("none", "adamw", "cosine", 0.74)
    assert comments(params) == notes
    after = params.read_text().splitlines()
    assert len(after) == len(before)
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    values = flat(read_params(params).model_dump(mode="json"))
    defaults = flat(Params(folds=tuple(range(10))).model_dump(mode="json"))
    assert len(changed) == sum(values[name] != defaults[name] for name in defaults)


def test_the_command_knows_every_preset(params: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in PRESETS:
        assert cli.main(["preset", name]) == 0
        capsys.readouterr()
        assert cli.main(["preset", name]) == 0
        assert capsys.readouterr().out == f"params.yaml holds preset {name} already.\n"


def test_back_to_published_every_value_is_the_default_again(params: Path) -> None:
    write_preset("accurate", params)
    write_preset("published", params)
    assert read_params(params) == read_params(ROOT / "params.yaml")


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_the_users_own_stays(tmp_path: Path, name: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(
        "folds: [0, 2]  # quick\ntrain: {seed: 7, threads: 2, precision: bf16, arithmetic: native}\n"
        "data:\n  source: 'sounds'\n"
    )
    write_preset(name, path)
    values = flat(read_params(path).model_dump(mode="json"))
    assert {key: values[key] for key in USERS} == USERS
    assert values["data.source"] == "sounds"
    assert "folds: [0, 2]  # quick\n" in path.read_text()


def test_every_preset_sets_every_lever_so_that_none_is_left_on_from_another() -> None:
    names = [set(preset) for preset in PRESETS.values()]
    assert all(one == names[0] for one in names)
    assert {key.split(".")[1] for key in names[0] if key.startswith("train.")} >= set(LEVERS)


def test_the_table_in_the_settings_page_is_what_the_presets_set() -> None:
    text = (ROOT / "docs/settings.md").read_text()
    table = text.split("| setting | `published` |")[1].split("|---|---|---|---|\n")[1].split("\n\n")[0]
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table.splitlines()]
    shown = {name: (published, accurate, speech or accurate) for name, published, accurate, speech in rows}
    values = {name: [PRESETS[preset][name] for preset in PRESETS] for name in PRESETS["published"]}
    differ = {name: found for name, found in values.items() if found != found[:1] * len(found)}
    assert list(shown) == list(differ)
    assert {name: [yaml.safe_load(cell) for cell in cells] for name, cells in shown.items()} == differ
    epochs = {preset["train.epochs"] for preset in PRESETS.values()}
    assert f"A preset also sets `train.epochs` to {epochs.pop()}: " in text
    assert not epochs


def test_a_file_that_is_not_valid_is_refused_and_left(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("folds: [0]\ntrain: {lrr: 1}\n")
    with pytest.raises(UserError, match="lrr is not a setting"):
        write_preset("accurate", path)
    assert path.read_text() == "folds: [0]\ntrain: {lrr: 1}\n"
