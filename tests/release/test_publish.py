"""`audiocnn publish`: one commit with everything, refused where it would mislead."""

import csv
import hashlib
import io
import json
import re
import subprocess
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard, ModelCardData
from scipy.special import softmax

from audiocnn.cli.main import main
from audiocnn.config.params import read_params
from audiocnn.evaluation.fold_results import read_fold_results
from audiocnn.evaluation.metrics import expected_calibration_error
from audiocnn.evaluation.write import write_outs
from audiocnn.files import write_json
from audiocnn.model.network import AudioCNN
from audiocnn.release.code_address import public_address
from audiocnn.release.confusion_picture import confusion_png
from audiocnn.report import confusion_matrix
from tests.support.hub_server import FakeHub, Fault, Repository
from tests.support.prepared import CLASSES, write_prepared
from tests.support.processes import environment
from tests.support.results import fold_result, write_fold_results
from tests.support.weights import make_weights, without_header, write_all_clips, write_finished_run, write_weights

NAME = "owner/net"
ALL_CLIPS = ["model_all_clips.safetensors", "model_all_clips.json"]
WEIGHTS = [f"model_fold_{fold}_best.safetensors" for fold in range(3)]
FILES = sorted(
    [
        *WEIGHTS,
        "README.md",
        "all_fold_histories.pkl",
        "confusion_matrix.png",
        "folds.csv",
        "histories.json",
        "origin.json",
        "params.yaml",
        "summary.json",
    ]
)


def publish(*options: str) -> int:
    return main(["publish", "--repo", NAME, *options])


def dry_run(folder: str = "release", *options: str) -> dict[str, bytes]:
    assert publish("--dry-run", folder, *options) == 0
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_a_dry_run_writes_the_folder_and_shows_what_is_in_it(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = dry_run()
    assert sorted(files) == FILES
    said = capsys.readouterr().out
    for name, content in files.items():
        assert re.search(rf"^ *{len(content):,} bytes  {re.escape(name)}$", said, re.MULTILINE)
    assert "nothing is pushed" in said
    for name in (*WEIGHTS, "all_fold_histories.pkl"):
        assert files[name] == (run / "models" / name).read_bytes()
    for name in ("summary.json", "folds.csv"):
        assert files[name] == (run / "metrics" / name).read_bytes()
    assert read_params(Path("release/params.yaml")).train == read_params().train
    assert files["confusion_matrix.png"].startswith(b"\x89PNG")


def test_params_leave_as_values_without_a_comment_or_the_path_of_a_folder(run: Path) -> None:
    params = (run / "params.yaml").read_text().replace("source: sounds", f"source: {run}/private  # my own")
    (run / "params.yaml").write_text(params)
    files = dry_run()
    values = yaml.safe_load(files["params.yaml"])
    assert values["data"]["source"] == "folder"
    assert values["train"]["arithmetic"] == "portable"  # defaults are values, too
    assert all(b"private" not in content and b"my own" not in content for content in files.values())


def test_the_card_repeats_what_prepare_found_odd_about_the_data(run: Path) -> None:
    assert b"**Check.**" not in dry_run("before")["README.md"]
    meta = write_prepared(run / "data/prepared").model_copy(update={"copied": 7})
    write_json(run / "data/prepared/meta.json", meta.model_dump())
    card = dry_run("after")["README.md"].decode()
    assert "**Check.** 7 of 60 clips are identical to one in another fold" in card


def test_the_same_run_gives_the_same_bytes(run: Path) -> None:
    first = dry_run("first")
    (run / "matplotlibrc").write_text("figure.facecolor: red\nfont.size: 30\n")  # a style of the user's own
    assert dry_run("second") == first


def test_histories_are_every_epoch_of_every_fold(run: Path) -> None:
    histories = json.loads(dry_run()["histories.json"])
    for fold, history in enumerate(histories):
        assert history == {"fold": fold, **fold_result(fold)["history"]}


@pytest.mark.parametrize("validation", ["held_out", "previous_fold", "none"])
def test_the_cards_front_matter_holds_the_results_as_the_hub_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, validation: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_finished_run(tmp_path, source="hub", validation=validation)
    data = ModelCard(dry_run()["README.md"].decode()).data
    assert isinstance(data, ModelCardData)
    summary = json.loads((tmp_path / "metrics/summary.json").read_text())
    accuracy = summary["val_acc" if validation == "held_out" else "test_acc"]
    assert data.pipeline_tag == "audio-classification"
    assert data.datasets == ["owner/sounds"]
    assert data.eval_results is not None
    first, second = data.eval_results
    assert (first.metric_type, first.metric_value) == ("accuracy", accuracy["mean"])
    assert f"std {accuracy['std']:.4f}" in str(first.metric_name)
    assert (second.metric_type, second.metric_value) == ("f1", summary["macro_f1"])
    assert (first.dataset_type, first.dataset_revision) == ("owner/sounds", "main")


def assert_rules_of_the_hub(front_matter: dict[str, Any]) -> None:
    """What https://huggingface.co/docs/hub/model-cards asks of a model-index."""
    (model,) = front_matter["model-index"]
    assert model["name"]
    for result in model["results"]:
        assert result["task"]["type"]
        assert re.fullmatch(r"(?:[\w-]+/)?[\w.-]+", result["dataset"]["type"])
        assert result["dataset"]["name"]
        for metric in result["metrics"]:
            assert metric["type"]
            assert isinstance(metric["value"], float)


@pytest.mark.parametrize("source", ["demo", "folder", "hub"])
def test_the_card_is_valid_whatever_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.chdir(tmp_path)
    write_finished_run(tmp_path, source=source, classes=["a: b", "c- | d", '"]\n---\n'.replace("\n", " ")])
    text = dry_run("release", "--yes-this-is-the-demo")["README.md"].decode()
    assert_rules_of_the_hub(yaml.safe_load(text.split("---\n")[1]))
    table = text.partition("| class | clips")[2].partition("\n\n")[0].splitlines()
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table[2:]} == {7}


def test_the_card_says_what_a_user_must_know(run: Path) -> None:
    text = dry_run()["README.md"].decode()
    summary = json.loads((run / "metrics/summary.json").read_text())
    assert f"**{summary['val_acc']['mean']:.4f} ± {summary['val_acc']['std']:.4f}**" in text
    assert "so the accuracy below is optimistic" in text
    for row in csv.DictReader(io.StringIO((run / "metrics/classes.csv").read_text())):
        numbers = (f"{float(row[f'recall_{name}']):.3f}" for name in ("mean", "std", "low", "high"))
        assert f"| {row['class']} | {row['clips']} | {' | '.join(numbers)} |" in text
    assert "| class | clips | recall, mean of folds | std | 95 % from | to |" in text
    assert f'AudioCNN.from_pretrained("{NAME}", fold=0)' in text
    assert f"audiocnn predict clip.wav --models hf://{NAME}" in text
    assert "rate 8000" in text
    assert str(run) not in text


def test_the_card_says_what_a_temperature_was_worth_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_finished_run(tmp_path, validation="previous_fold")
    results = read_fold_results([0, 1, 2])
    correct = np.concatenate([result.predictions == result.labels for result in results])

    def error(*temperatures: float) -> str:
        pairs = zip(results, temperatures, strict=True)
        confidence = np.concatenate([softmax(result.logits * by, axis=1).max(axis=1) for result, by in pairs])
        return f"{expected_calibration_error(confidence, correct):.3f}"

    text = dry_run("without")["README.md"].decode()
    assert f"Its probabilities are not calibrated: expected calibration error {error(1, 1, 1)} on the held" in text
    values = [json.loads(Path(f"results/folds/fold_{fold}.json").read_text()) for fold in range(3)]
    for value, temperature in zip(values, (3.0, 1.0, 0.2), strict=True):
        value["held_out"]["temperature"] = temperature
    write_fold_results(tmp_path, *values)
    write_outs(read_fold_results([0, 1, 2]), Path("metrics"), Path("models/all_fold_histories.pkl"))
    text = dry_run("with")["README.md"].decode()
    assert "not calibrated" not in text
    assert f"(`train.calibrate`): expected calibration error {error(1, 1, 1)} on the held-out clips, " in text
    assert f" clips, {error(3, 1, 0.2)} without it." in text
    assert error(1, 1, 1) != error(3, 1, 0.2)


def test_the_cards_network_for_torch_is_there(run: Path) -> None:
    """Its other code runs in test_card_as_typed.py."""
    code = dry_run()["README.md"].decode().rpartition("```python\n")[2].partition("```")[0]
    assert len(code.splitlines()) == 4
    names: dict[str, Any] = {}
    exec(code.replace(f'"{NAME}"', '"release"'), names)
    assert names["logits"].shape == (1, len(CLASSES))


def test_the_unbiased_protocol_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_finished_run(tmp_path, validation="previous_fold")
    text = dry_run()["README.md"].decode()
    assert "test accuracy below is not selected on" in text
    assert "optimistic" not in text


def test_the_confusion_matrix_counts_every_held_out_clip(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = read_fold_results([0, 1, 2])
    draw = Mock(return_value=b"picture")
    monkeypatch.setattr(confusion_matrix, "confusion_png", draw)
    assert dry_run()["confusion_matrix.png"] == b"picture"
    counts, names = draw.call_args.args
    assert list(names) == CLASSES
    assert counts.sum() == 3 * 24
    assert np.trace(counts) == sum((result.predictions == result.labels).sum() for result in results)
    assert counts[0, 1] == sum(((r.labels == 0) & (r.predictions == 1)).sum() for r in results)


def test_class_names_that_a_font_or_tex_would_choke_on_are_drawn(tmp_path: Path) -> None:
    names = ["$\\frac{$", "犬の声", "a" * 60]
    write_fold_results(tmp_path, fold_result(0, classes=names))
    assert confusion_png(read_fold_results([0], tmp_path / "results/folds")).startswith(b"\x89PNG")


def test_results_of_the_demo_go_out_only_when_they_are_meant_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_finished_run(tmp_path, source="demo")
    assert publish("--dry-run", "release") == 1
    assert "--yes-this-is-the-demo" in capsys.readouterr().err
    assert not Path("release").exists()
    text = dry_run("release", "--yes-this-is-the-demo")["README.md"].decode()
    assert "synthesised sounds. These weights know nothing of real ones." in text


def other_weights(run: Path) -> None:
    write_weights(run / "models", make_weights(9))


def swapped_weights(run: Path) -> None:
    first, second = (run / "models" / name for name in WEIGHTS[:2])
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def weights_without_header(run: Path) -> None:
    write_weights(run / "models", without_header(make_weights()))


def other_params(run: Path) -> None:
    params = yaml.safe_load((run / "params.yaml").read_text())
    (run / "params.yaml").write_text(yaml.safe_dump({**params, "train": {"lr": 0.5}}))


def other_data(run: Path) -> None:
    params = yaml.safe_load((run / "params.yaml").read_text())
    (run / "params.yaml").write_text(yaml.safe_dump({**params, "data": {"source": "demo"}}))


def other_summary(run: Path) -> None:
    path = run / "metrics/summary.json"
    path.write_text(path.read_text().replace('"mean": 0.', '"mean": 0.9', 1))


def other_table(run: Path) -> None:
    (run / "metrics/folds.csv").write_text("fold,val_acc\n0,0.99\n")


def other_result(run: Path) -> None:
    write_fold_results(run, fold_result(1, source="folder", clips=30))


def no_histories(run: Path) -> None:
    (run / "models/all_fold_histories.pkl").unlink()


def no_weights(run: Path) -> None:
    (run / "models" / WEIGHTS[2]).unlink()


OTHER_RUNS = {
    other_weights: "they differ in accuracy",
    swapped_weights: "they differ in fold",
    weights_without_header: "has no header",
    other_params: "than params.yaml, they differ in params",
    other_data: "names data of kind demo, the results are of folder",
    other_summary: "summary.json is not what results/folds give",
    other_table: "folds.csv is not what results/folds give",
    other_result: "is not what results/folds give",
    no_histories: "all_fold_histories.pkl is not here",
    no_weights: "model_fold_2_best.safetensors is not here",
}


@pytest.mark.parametrize("change", OTHER_RUNS, ids=lambda change: change.__name__)
def test_files_of_different_runs_are_not_published(run: Path, capsys: pytest.CaptureFixture[str], change: Any) -> None:
    change(run)
    assert publish("--dry-run", "release") == 1
    error = capsys.readouterr().err
    assert OTHER_RUNS[change] in error
    assert "dvc repro" in error
    assert error.count("\n") == 1
    assert not Path("release").exists()


def test_a_dry_run_leaves_files_that_are_there_alone(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert publish("--dry-run", "models") == 1
    assert "models already exists" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["net", "owner/net/x", "hf://owner/net", "../net", "owner/net\n"])
def test_a_name_that_is_not_a_repository_is_refused(run: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main(["publish", "--repo", name]) == 1
    assert "expected OWNER/NAME" in capsys.readouterr().err


def test_everything_goes_in_one_commit_and_loads_from_there(
    hub: FakeHub, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish() == 0
    assert hub.models[NAME].commits == [FILES]
    assert hub.models[NAME].files == dry_run()
    assert f"{len(FILES)} files in one commit: {hub.url}/{NAME}/commit/" in capsys.readouterr().out
    model = AudioCNN.from_pretrained(NAME, fold=2)
    assert model.header == AudioCNN.from_pretrained("models", fold=2).header


def test_weights_of_folds_that_no_longer_exist_are_deleted_by_the_same_commit(hub: FakeHub, run: Path) -> None:
    epoch = "fold_0/epoch_1.safetensors"
    hub.models[NAME] = Repository({"model_fold_9_best.safetensors": b"old", epoch: b"kept", "notes.md": b"kept"})
    assert publish() == 0
    assert sorted(hub.models[NAME].files) == sorted([*FILES, epoch, "notes.md"])
    assert len(hub.models[NAME].commits) == 1


@pytest.mark.parametrize("path", ["/api/repos/create", "/commit/", "/lfs/"])
def test_a_push_that_fails_leaves_nothing_and_says_so(
    hub: FakeHub, run: Path, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    hub.faults.append(Fault("status", path=path, status=403))
    assert publish() == 1
    assert f"cannot write to model {NAME}: " in capsys.readouterr().err
    assert not hub.models.get(NAME, Repository()).files


def test_the_card_says_in_one_line_what_leaks(run: Path) -> None:
    assert b"\n\nLeaks were not looked for.\n" in dry_run("before")["README.md"]
    write_json(run / "data/prepared/leaks.json", {"groups": None, "same": 0, "similar": 1})
    card = dry_run("after")["README.md"].decode()
    assert "Leaks looked for: no groups are known; pairs of clips in two folds: 0 of the same sound, 1 of n" in card


# --- The network on all clips ---


@pytest.mark.parametrize("validation", ["held_out", "none"])
def test_the_network_on_all_clips_goes_out_with_the_cross_validations_accuracy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, validation: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_finished_run(tmp_path, validation=validation)
    assert b"all clips" not in dry_run("without")["README.md"]
    write_all_clips(tmp_path)
    files = dry_run("with")
    assert sorted(files) == sorted([*FILES, *ALL_CLIPS])
    assert all(files[name] == (tmp_path / "models" / name).read_bytes() for name in ALL_CLIPS)
    metric = "val_acc" if validation == "held_out" else "test_acc"
    accuracy = json.loads(files["summary.json"])[metric]
    epochs = {"held_out": 6, "none": 8}[validation]
    assert (
        f"`model_all_clips.safetensors` is trained on all 72 clips for a fixed number of epochs, {epochs}; no clip was "
        "held out, so it has no accuracy of its own: the cross-validation's is "
        f"{accuracy['mean']:.4f} ± {accuracy['std']:.4f} ({metric})."
    ) in files["README.md"].decode()
    assert (b"here nothing was chosen" in files["README.md"]) == (validation == "held_out")
    assert f"--models hf://{NAME}/model_all_clips.safetensors\n" in files["README.md"].decode()


def changed_record(run: Path, **changes: Any) -> None:
    path = run / "models" / ALL_CLIPS[1]
    write_json(path, {**json.loads(path.read_text()), **changes})


@pytest.mark.parametrize("what", ["folds", "bytes", "params", "no record"])
def test_a_network_on_all_clips_of_another_run_is_not_published(
    run: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    write_all_clips(run)
    if what == "folds":
        changed_record(run, folds={"0": "f" * 64})
    if what == "bytes":
        (run / "models" / ALL_CLIPS[0]).write_bytes(make_weights(8))
    if what == "params":
        weights = make_weights(9)
        (run / "models" / ALL_CLIPS[0]).write_bytes(weights)
        changed_record(run, weights=hashlib.sha256(weights).hexdigest())
    if what == "no record":
        (run / "models" / ALL_CLIPS[1]).unlink()
    assert publish("--dry-run", "release") == 1
    error = capsys.readouterr().err
    assert "run 'audiocnn train --all-clips' again" in error
    assert error.count("\n") == 1
    assert not Path("release").exists()


def test_a_network_on_all_clips_of_an_earlier_release_is_deleted(hub: FakeHub, run: Path) -> None:
    hub.models[NAME] = Repository(dict.fromkeys(ALL_CLIPS, b"old"))
    assert publish() == 0
    assert sorted(hub.models[NAME].files) == FILES


# --- Where the code is ---

COMMITTED = {f"GIT_{who}_{what}": "test@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def git(folder: Path, *words: str) -> str:
    command = ["git", *words]
    return subprocess.run(
        command, cwd=folder, env=environment(**COMMITTED), check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A git repository with one commit, which its origin has, as far as git knows."""
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "one")
    git(tmp_path, "remote", "add", "origin", "https://code.example:8443/owner/audiocnn.git")
    git(tmp_path, "update-ref", "refs/remotes/origin/main", "HEAD")
    return tmp_path


def test_the_address_of_the_code_is_a_public_one_that_has_the_commit(clone: Path) -> None:
    commit = git(clone, "rev-parse", "HEAD")
    assert public_address(clone, commit) == "https://code.example:8443/owner/audiocnn.git"
    assert public_address(clone, None) is None
    git(clone, "commit", "-q", "--allow-empty", "-m", "not pushed")
    assert public_address(clone, git(clone, "rev-parse", "HEAD")) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://me:secret@code.example/owner/audiocnn",
        "https://token@code.example/owner/audiocnn",
        "git@code.example:owner/audiocnn.git",
        "/srv/private/audiocnn",
        "file:///srv/private/audiocnn",
        "https://code.example/owner/audiocnn?token=secret",
        'https://code.example/owner/$(touch x)"',
    ],
)
def test_an_address_that_is_private_or_that_a_shell_would_run_never_leaves(clone: Path, url: str) -> None:
    git(clone, "remote", "set-url", "origin", url)
    assert public_address(clone, git(clone, "rev-parse", "HEAD")) is None


def test_without_an_address_the_card_names_the_commit_and_publish_says_so(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("audiocnn.release.publish.public_address", lambda root, commit: None)
    files = dry_run()
    commit = json.loads(files["origin.json"])["code"]["commit"]
    assert f"commit `{commit}`" in files["README.md"].decode()
    assert "pip install" not in files["README.md"].decode()
    assert "note: the card has no command that installs audiocnn" in capsys.readouterr().err
