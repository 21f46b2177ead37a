"""A mistake in params.yaml or runtime.yaml is one sentence that says where it is and what would be right."""

from pathlib import Path

import pytest

from audiocnn.config.dvc_lock import parse_lock
from audiocnn.config.params import Params, read_params
from audiocnn.config.runtime import Runtime, read_runtime
from audiocnn.config.settings import parse_json, parse_yaml
from audiocnn.errors import UserError
from tests.support.paths import ROOT


def params_with(tmp_path: Path, text: str) -> Params:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return read_params(path)


def test_the_files_in_the_repository_hold_the_published_defaults() -> None:
    params = read_params(ROOT / "params.yaml")
    assert params == Params(folds=tuple(range(10)))
    assert (params.train.epochs, params.train.batch_size, params.train.lr) == (50, 32, 1e-3)
    assert (params.train.lr_factor, params.train.lr_patience, params.train.min_lr) == (0.2, 5, 1e-5)
    assert params.train.early_stopping_patience == 10
    assert read_runtime(ROOT / "runtime.yaml") == Runtime()


@pytest.mark.parametrize("written", ["1e-05", "1e-5", "0.00001", ".00001", "1.e-5", "1E-05"])
def test_a_number_is_a_number_however_it_is_written(tmp_path: Path, written: str) -> None:
    assert params_with(tmp_path, f"folds: [0]\ntrain: {{lr: {written}}}").train.lr == 1e-5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("folds: [0]\ntrain: {lrr: 1}", ["train.lrr is not a setting", "did you mean train.lr?"]),
        ("folds: [0]\ntrian: {lr: 1}", ["trian is not a setting", "did you mean train?"]),
        ("folds: [0]\ntrain: {lr: fast}", ["train.lr is 'fast'", "expected a valid number"]),
        ("folds: [0]\ntrain: {lr: -1}", ["train.lr is -1", "greater than 0"]),
        ("folds: [0]\ntrain: {lr: .nan}", ["train.lr is nan"]),
        ("folds: [0]\ntrain: {epochs: true}", ["train.epochs is True", "integer"]),
        ("folds: [0]\ntrain: {epochs: 2.5}", ["train.epochs is 2.5", "integer"]),
        ("folds: [0]\ntrain: {epochs: '3'}", ["train.epochs is '3'", "integer"]),
        (
            "folds: [0]\ntrain: {validation: random}",
            ["train.validation is 'random'", "'held_out', 'previous_fold' or 'none'"],
        ),
        ("folds: [0]\ntrain: {precision: bf16}", ["train: precision: bf16 is not portable", "set arithmetic: native"]),
        ("folds: [0]\ntrain: {arithmetic: avx2}", ["train.arithmetic is 'avx2'", "'portable' or 'native'"]),
        ("folds: [0]\ntrain: {weight_decay: 0.1}", ["train: weight_decay is that of optimizer: adamw"]),
        ("folds: [0]\ntrain: {warmup_epochs: 5}", ["train: warmup_epochs is the start of schedule: cosine"]),
        ("folds: [0]\ntrain: {schedule: cosine, warmup_epochs: 50}", ["expected fewer than the 50 epochs"]),
        ("folds: [0]\ntrain: {schedule: cosine, min_lr: 0.1}", ["min_lr is 0.1, expected at most lr, 0.001"]),
        ("folds: [0]\ntrain: {label_smoothing: 1}", ["train.label_smoothing is 1", "less than 1"]),
        ("folds: [0]\ntrain: {augment: {rol: true}}", ["train.augment.rol is not a setting", "train.augment.roll?"]),
        ("folds: [0]\ntrain: {augment: {gain_db: -1}}", ["train.augment.gain_db is -1", "greater than or equal to 0"]),
        ("folds: [0, 0]", ["folds is [0, 0]", "each fold once"]),
        ("folds: []", ["folds is []", "at least 1 item"]),
        ("folds: 10", ["folds is 10"]),
        ("folds: [-1]", ["folds.0 is -1"]),
        ("train: {}", ["folds is missing"]),
        ("folds: [0]\nmodel: {encoder_channels: [1, 2]}", ["model.encoder_channels"]),
        ("folds: [0]\nmodel: {head_dropout: 1.0}", ["model.head_dropout is 1.0", "less than 1"]),
        ("folds: [0]\ndata: {sha256: {features: abc}}", ["data.sha256", "features.pkl"]),
        ("folds: [0]\ndata: {sha256: {features.pkl: abc}}", ["data.sha256", "64 lower-case hex digits"]),
        ("folds: [0]\ndata: {source: ' '}", ["data.source"]),
        ("folds: [0]\nmodel: {hidden_units: 10000000000}", ["model.hidden_units is 10000000000", "equal to 16384"]),
        ("folds: [0]\nmodel: {encoder_channels: [8, 8, 99999]}", ["model.encoder_channels.2 is 99999", "16384"]),
        ("folds: [0]\ntrain: {epochs: 10000000000}", ["train.epochs is 10000000000", "equal to 1000000"]),
        ("folds: [0]\ntrain: {batch_size: 10000000000}", ["train.batch_size", "equal to 1000000"]),
        ('folds: [0]\n"\\e[31m": 1', ["[31m is not a setting"]),
        ("- a list", ["the file"]),
        ("<<<<<<< HEAD\nfolds: [0]\n=======\nfolds: [1]\n>>>>>>> other", ["git merge conflict"]),
        ("a: [unclosed", ["not valid YAML"]),
        ("!!python/object/apply:os.system [true]", ["not valid YAML"]),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_key(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        params_with(tmp_path, text)
    message = str(caught.value)
    assert message.isprintable()
    assert "params.yaml" in message
    for word in words:
        assert word in message


DOUBLED = "".join(f"a{i + 1}: &a{i + 1} [*a{i}, *a{i}]\n" for i in range(60))
BOMBS = {
    "aliases that multiply": "a0: &a0 [x]\n" + DOUBLED,
    "merged aliases that multiply": "a0: &a0 {x: 1}\n" + DOUBLED.replace("[", "{<<: [").replace("]", "]}"),
    "a value that contains itself": "folds: &a [*a]",
    "brackets": "[" * 3000,
    "closed brackets": "[" * 3000 + "]" * 3000,
    "a chain of aliases": "a0: &a0 {x: 1}\n" + "".join(f"a{i + 1}: &a{i + 1} {{x: *a{i}}}\n" for i in range(900)),
    "a number of 5,000 digits": "folds: [" + "9" * 5000 + "]",
    "a time that is none": "!!timestamp x",
    "a number that is none": '!!int ""',
    "many megabytes": "#" * 5_000_000,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_yaml_bomb_is_one_short_sentence(tmp_path: Path, bomb: str) -> None:
    with pytest.raises(UserError) as caught:
        params_with(tmp_path, BOMBS[bomb])
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_dvc_lock_that_is_a_bomb_is_none(bomb: str) -> None:
    assert parse_lock(BOMBS[bomb].encode()) == {}


@pytest.mark.parametrize("text", ["[" * 3000, '{"a":' * 3000 + "1" + "}" * 3000, "9" * 5000, "[" * 60 + "]" * 60])
def test_a_json_bomb_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"nested|digits|delimiter"):
        parse_json(text)


def test_aliases_that_stand_for_little_are_read() -> None:
    assert parse_yaml(b"a: &a {lr: 1}\nb: *a\nc: {<<: *a, x: 2}") == {
        "a": {"lr": 1},
        "b": {"lr": 1},
        "c": {"lr": 1, "x": 2},
    }


def test_a_missing_file_says_how_to_get_it_back(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="git checkout"):
        read_params(tmp_path / "params.yaml")


def test_settings_cannot_be_changed_after_reading(tmp_path: Path) -> None:
    params = params_with(tmp_path, "folds: [0]")
    with pytest.raises(ValueError, match="frozen"):
        params.train.lr = 1.0
