"""`audiocnn report`: what it says is what metrics/ holds, it needs nothing else, and nobody's class name runs code."""

import base64
import csv
import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiocnn.errors import UserError
from audiocnn.evaluation.fold_results import read_fold_results
from audiocnn.evaluation.read import csv_rows
from audiocnn.evaluation.write import write_outs
from audiocnn.files import write_json

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from audiocnn.report.page import MISTAKES, REPORT, write_report
from audiocnn.sound.decode import open_recording
from tests.support.paths import ROOT
from tests.support.prepared import CLASSES, write_noise
from tests.support.processes import environment
from tests.support.recordings import write_sounds
from tests.support.results import fold_result, make_project_with_results, written_and_read

HOSTILE = [
    "<script>alert(1)</script>",
    "</text></svg><img src=x onerror=alert(1)>",
    "'\" onload=alert(1) x='",
    "{{ 7 * 7 }} ${x} $\\alpha$",
    "x" * 300,
    "とても長い日本語のクラス名とても長い日本語のクラス名",
    "أصوات الطيور",
    "\u202egnol\nline\x1b[31m",
]
VOID = {"meta", "link", "br"}
SCRIPT = (ROOT / "audiocnn/report/templates/report.js").read_text().rstrip("\n")


class Page(HTMLParser):
    """A page's tags, their attributes, ids and visible text; fails where tags do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.cells: dict[str, str] = {}
        self.text = ""
        self._open: list[tuple[str, str | None]] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append((tag, dict(attrs).get("id")))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1][0] != "style":
            self.text += data
            if name := self._open[-1][1]:
                self.cells[name] = self.cells.get(name, "") + data


def report(root: Path) -> str:
    return write_report(root).read_text()


@pytest.fixture(scope="module")
def standard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of three folds and three classes with its report, for tests that only look."""
    project = make_project_with_results(tmp_path_factory.mktemp("standard"))
    write_report(project)
    return project


def read(project: Path) -> str:
    return (project / REPORT).read_text()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A project with few clips, for tests that change something and write the report."""
    return make_project_with_results(tmp_path / "small", clips=6)


def summary(root: Path) -> Any:
    return json.loads((root / "metrics/summary.json").read_text())


def four_digits(share: float) -> str:
    return f"{share:.4f}"


def test_the_accuracy_that_it_shows_is_the_summarys(standard: Path) -> None:
    page, accuracy = Page(read(standard)), summary(standard)["val_acc"]
    assert page.cells["accuracy"] == four_digits(accuracy["mean"])
    assert page.cells["mean-accuracy"] == four_digits(accuracy["mean"])
    assert page.cells["std-accuracy"] == four_digits(accuracy["std"])
    assert (
        f"interval of the mean {four_digits(accuracy['ci95_low'])} to {four_digits(accuracy['ci95_high'])}" in page.text
    )


def test_each_fold_and_each_class_has_its_row(standard: Path) -> None:
    page = re.sub(r"<[^>]+>", " ", read(standard))
    lines = {" ".join(line.split()) for line in page.splitlines()}
    for result in read_fold_results([0, 1, 2], standard / "results/folds"):
        best = result.best_epoch
        score = f"{four_digits(result.val_accuracy or 0)} {result.history.series['val_loss'][best]:.4f}"
        start = f"{result.fold} {result.dataset_fold} 24 {best} of {len(result.history.loss)} {score}"
        assert any(line.startswith(start) for line in lines), start
    for row in csv_rows((standard / "metrics/classes.csv").read_text()):
        mean, std = (four_digits(float(row[name])) for name in ("recall_mean", "recall_std"))
        assert any(words.endswith(f"24 {mean} {std}") for words in lines)


def test_it_says_how_far_the_accuracy_can_be_trusted(standard: Path, tmp_path: Path) -> None:
    assert "val_acc is selected on the fold it reports" in read(standard)
    assert "Synthetic sounds." in read(standard)
    unbiased = make_project_with_results(tmp_path, clips=6, validation="previous_fold", source="folder")
    page = Page(report(unbiased))
    assert "test_acc is read once, after training" in page.text
    assert "selected on the fold it reports" not in page.text
    assert "Synthetic sounds." not in page.text
    assert page.cells["accuracy"] == four_digits(summary(unbiased)["test_acc"]["mean"])
    assert "Chance level: 0.3333" in page.text


def test_without_validation_it_says_so_and_draws_no_curve_of_it(tmp_path: Path) -> None:
    text = report(make_project_with_results(tmp_path, clips=6, validation="none", source="folder"))
    page = Page(text)
    assert "test_acc is read once, after a fixed number of epochs: nothing was chosen." in page.text
    assert page.cells["accuracy"] == four_digits(summary(tmp_path)["test_acc"]["mean"])
    assert "last epoch" in page.text
    assert "best epoch" not in page.text
    assert "alidation" not in page.text.replace("train.validation", "").replace("Cross-validation", "")
    assert 'aria-label="Accuracy by epoch, training"' in text


def test_it_needs_no_network_and_no_other_file(standard: Path) -> None:
    text = read(standard)
    page = Page(text)
    assert "default-src 'none'" in text  # the browser refuses whatever else would be asked for
    assert not {"iframe", "object", "base", "form"} & set(page.tags)
    places = [value or "" for name, value in page.attributes if name in ("src", "href", "xlink:href", "action")]
    assert places
    assert all(place.startswith(("#", "data:")) for place in places)
    assert "@import" not in text
    assert set(re.findall(r"url\((.)", text)) <= {"#"}


def test_its_only_script_is_our_own_file_and_the_browser_runs_no_other(standard: Path) -> None:
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", read(standard), flags=re.DOTALL)
    assert scripts == [SCRIPT]
    allowed = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    assert re.findall(r"script-src [^;\"]*", read(standard)) == [f"script-src 'sha256-{allowed}'"]


def test_the_same_results_give_the_same_bytes_wherever_they_are(tmp_path: Path) -> None:
    pages = [
        write_report(make_project_with_results(tmp_path / name, clips=6)).read_bytes() for name in ("one", "another")
    ]
    assert pages[0] == pages[1]
    assert str(tmp_path).encode() not in pages[0]


def test_what_prepare_found_odd_about_the_data_is_repeated(tmp_path: Path) -> None:
    project = make_project_with_results(tmp_path)
    path = project / "data/prepared/meta.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "copied": 7, "contradicting": 2}))
    text = Page(report(project)).text
    assert "7 of 72 clips are identical to one in another fold" in text
    assert "2 of 72 clips are identical to one with another label" in text


def test_very_unequal_folds_are_said_and_the_accuracy_over_all_clips_is_given(tmp_path: Path) -> None:
    results = written_and_read(tmp_path, fold_result(0, clips=6), fold_result(1, clips=24))
    write_outs(results, tmp_path / "metrics", tmp_path / "histories.pkl")
    (tmp_path / "params.yaml").write_text("folds: [0, 1]\n")
    correct = sum(int((result.predictions == result.labels).sum()) for result in results)
    assert f"over all clips together the accuracy is {correct / 30:.4f}" in Page(report(tmp_path)).text


def test_class_names_are_text_and_nothing_else(tmp_path: Path) -> None:
    text = report(make_project_with_results(tmp_path, classes=HOSTILE, clips=24, folds=2))
    page = Page(text)
    assert page.tags.count("script") == 1  # our own
    assert "img" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    for name in HOSTILE[:-1]:
        assert name in page.text
    assert not [char for char in text if char != "\n" and not char.isprintable()]


def test_its_ids_are_unique_and_its_headings_in_order(standard: Path) -> None:
    text = read(standard)
    page = Page(text)
    ids = Counter(value for name, value in page.attributes if name == "id")
    assert ids.most_common(1)[0][1] == 1
    assert {value for name, value in page.attributes if name == "href" and value != "data:,"} >= {"#folds", "#origin"}
    headings = [tag for tag in page.tags if re.fullmatch("h[1-6]", tag)]
    assert headings == ["h1", *["h2"] * 6]
    assert '<html lang="en">' in text
    assert text.count('role="img" aria-label="') == page.tags.count("svg") == 5 + MISTAKES


def test_the_mistakes_are_the_most_confident_ones(standard: Path) -> None:
    text = read(standard)
    wrong: list[tuple[float, str]] = []
    for line in (standard / "metrics/predictions.csv").read_text().splitlines()[1:]:
        parts = re.fullmatch(r"demo,(\d+),(\d+),(\".*?\"|[^,]*),(\".*?\"|[^,]*),([\d.]+)", line)
        assert parts
        if parts[3] != parts[4]:
            wrong.append((-float(parts[5]), f"fold {parts[1]}, clip {parts[2]}"))
    shown = re.findall(r"fold \d+, clip \d+", text)
    assert text.count('<tr><td class="words"><bdi>') >= len(wrong)  # the table has all of them
    assert shown == [words for _, words in sorted(wrong)[:MISTAKES]]
    assert ">frequency, kHz<" in text
    assert ">time, s<" in text


def name_recordings(project: Path, names: Sequence[str], label_of_first: int | None = None) -> None:
    """Writes data/raw/clips.csv as fetch brings it: a name for each row of the made-up dataset."""
    labels = np.load(project / "data/prepared/labels.npy").tolist()
    labels[0] = labels[0] if label_of_first is None else label_of_first
    (project / "data/raw").mkdir(parents=True, exist_ok=True)
    with (project / "data/raw/clips.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "label"])
        table.writerows(zip(names, labels, strict=True))


def test_mistakes_have_the_name_of_their_recording(small: Path) -> None:
    name_recordings(small, [f"day {row}/recording {row}.wav" for row in range(18)])
    text = report(small)
    cards = re.findall(
        r"<bdi>day (\d+)/recording \1.wav</bdi></span><br><span class=\"where\">fold \d, clip (\d+)<", text
    )
    assert cards
    assert all(named == row for named, row in cards)
    table = text.split('class="named sortable"')[1]
    assert all(f'<tr><td class="words"><bdi>day {row}/recording {row}.wav</bdi>' in table for row, _ in cards)
    assert "<summary>show</summary><bdi>day " in text  # the recordings of a pair of classes
    assert "<audio" not in text  # nothing says where they are


def test_names_of_recordings_are_text_and_nothing_else(small: Path) -> None:
    names = [HOSTILE[row % len(HOSTILE)] + str(row) for row in range(18)]
    name_recordings(small, names)
    text = report(small)
    page = Page(text)
    assert (page.tags.count("script"), page.tags.count("img")) == (1, 0)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not [char for char in text if char != "\n" and not char.isprintable()]


@pytest.mark.parametrize("damage", ["label", "short", "binary"])
def test_names_of_another_datasets_recordings_are_not_shown(small: Path, damage: str) -> None:
    names = [f"{row}.wav" for row in range(18)]
    name_recordings(small, names, label_of_first=2 if damage == "label" else None)
    path = small / "data/raw/clips.csv"
    if damage == "short":
        path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    if damage == "binary":
        path.write_bytes(bytes(range(256)))
    assert ".wav" not in report(small)


def test_mistakes_can_be_heard_where_their_recordings_are(small: Path, tmp_path: Path) -> None:
    pytest.importorskip("av")
    write_sounds(tmp_path / "recordings", [f"{row}.wav" for row in range(18)])
    (tmp_path / "outside.wav").write_bytes((tmp_path / "recordings/0.wav").read_bytes())
    name_recordings(small, [f"{row}.wav" if row % 2 else "../outside.wav" for row in range(18)])
    (small / "dataset").mkdir()
    (small / "dataset/recordings.txt").write_text("../../recordings\n")
    (small / "params.yaml").write_text("folds: [0, 1, 2]\ndata: {source: dataset}\n")
    text = report(small)
    figures = re.findall(r"<figure>.*?</figure>", text.split('class="cards"')[1], flags=re.DOTALL)
    heard = [("<audio" in figure, "outside.wav" in figure) for figure in figures]
    assert {(True, False), (False, True)} == set(heard)  # a name that leads out of the folder opens nothing
    address = re.findall(r'<audio controls preload="none" src="data:audio/mpeg;base64,([^"]+)"', text)[0]
    (tmp_path / "heard.mp3").write_bytes(base64.b64decode(address))
    with open_recording(tmp_path / "heard.mp3") as recording:
        seconds = sum(len(block) for block in recording.blocks()) / recording.rate
    with open_recording(tmp_path / "recordings/1.wav") as recording:
        assert seconds == pytest.approx(sum(len(block) for block in recording.blocks()) / recording.rate, abs=0.2)
    assert len(address) < 60_000
    assert report(small) == text
    assert "<audio" in write_report(small, tmp_path / "recordings").read_text()


def test_without_a_recipe_bands_and_frames_are_called_so(tmp_path: Path) -> None:
    text = report(make_project_with_results(tmp_path, clips=6, recipe=False))
    assert ">mel band<" in text
    assert ">frame<" in text
    assert "kHz" not in text


def test_without_the_dataset_it_says_how_to_get_it(small: Path) -> None:
    (small / "data").rename(small / "elsewhere")
    page = Page(report(small))
    assert "Without spectrograms" in page.text
    assert "data/prepared is not here: 'dvc pull' gets it" in page.text
    assert page.tags.count("svg") == 4


def test_clips_of_another_dataset_are_not_shown(small: Path) -> None:
    (small / "data").rename(small / "elsewhere")
    write_noise(small / "data/prepared", CLASSES, np.zeros(18, dtype=np.int64), folds=3)
    assert "another dataset than the results" in report(small)


def test_a_run_without_mistakes_has_none_to_show(tmp_path: Path) -> None:
    labels = np.arange(24) % 3
    result: dict[str, Any] = {"logits": (20.0 * np.eye(3)[labels]).tolist(), "labels": labels.tolist()}
    held_out = result | {"rows": list(range(24))}
    curve = [1.0, 1.0]
    history = {"loss": curve, "accuracy": curve, "val_loss": curve, "val_accuracy": curve, "lr": curve}
    page = Page(report(make_project_with_results(tmp_path, folds=1, held_out=held_out, history=history, best_epoch=1)))
    assert "every held-out clip was recognised" in page.text
    assert "No clip was taken for another class" in page.text
    assert page.cells["accuracy"] == "1.0000"


def test_one_fold_has_no_spread(tmp_path: Path) -> None:
    page = Page(report(make_project_with_results(tmp_path, folds=1, clips=6)))
    assert "on the one fold that was held out" in page.text
    assert "±" not in page.text
    assert "std" not in page.text


def test_folds_that_were_never_held_out_are_reported(small: Path) -> None:
    meta = json.loads((small / "data/prepared/meta.json").read_text())
    (small / "data/prepared/meta.json").write_text(json.dumps(meta | {"folds": list(range(1, 11))}))
    assert "<strong>3 of 10 folds.</strong>" in report(small)


@pytest.mark.parametrize("classes", [2, 50])
def test_any_number_of_classes_fits(tmp_path: Path, classes: int) -> None:
    names = [f"class number {label}" for label in range(classes)]
    text = report(make_project_with_results(tmp_path, folds=2, classes=names, clips=4 * classes))
    assert all(f"<bdi>{name}</bdi>" in text for name in names)
    assert len(text) < 1_000_000


def test_results_that_dvc_lock_does_not_record_are_reported(small: Path) -> None:
    assert "no dvc.lock here" in report(small)
    files = "deps: [{path: audiocnn/evaluation/intervals.py, md5: aaaa}], outs: [{path: metrics/folds.csv, md5: bbbb}]"
    train = "{params: {params.yaml: {model: {}, train: {lr: 0.5}}}}"
    aggregate = f"{{params: {{params.yaml: {{folds: [0, 1, 2]}}}}, {files}}}"
    old = train.replace("0.5", "0.7")  # of a fold that is no longer listed: DVC keeps such entries
    lock = f"schema: '2.0'\nstages:\n  train_fold@0: {train}\n  train_fold@7: {old}\n  aggregate: {aggregate}\n"
    (small / "dvc.lock").write_text(lock)
    text = report(small)
    assert "not the ones that dvc.lock records (metrics/folds.csv differs)" in text
    assert "Code has changed since these results were made (audiocnn/evaluation/intervals.py)" in text
    assert "params.yaml has changed since" in text
    assert '<th scope="row">train.lr</th><td>0.5</td>' in text
    assert "trained with the same params" not in text


@pytest.mark.parametrize("lock", ["stages: []", "stages: {aggregate: 3}", "stages: {prepare: {}}", "no YAML: ["])
def test_a_lock_that_records_no_results_is_as_good_as_none(small: Path, lock: str) -> None:
    (small / "dvc.lock").write_text(lock)
    assert "no dvc.lock here that records results" in report(small)


def test_where_somebodys_folder_is_stays_private(tmp_path: Path) -> None:
    project = make_project_with_results(tmp_path, clips=6, source="folder")
    (project / "params.yaml").write_text("folds: [0, 1, 2]\ndata: {source: /home/somebody/sounds}\n")
    text = report(project)
    assert "somebody" not in text
    assert "<h1>AudioCNN on sounds</h1>" in text


def test_files_of_different_runs_are_refused(tmp_path: Path) -> None:
    project, other = make_project_with_results(tmp_path / "a"), make_project_with_results(tmp_path / "b", folds=2)
    (other / "metrics/predictions.csv").replace(project / "metrics/predictions.csv")
    with pytest.raises(UserError, match="damaged or not of one run"):
        write_report(project)
    (project / "metrics/history.csv").unlink()
    with pytest.raises(UserError, match=r"history.csv is not here: run 'dvc repro'"):
        write_report(project)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("summary.json", '"macro_f1"', '"other"'),
        ("summary.json", '"mean"', '"other"'),
        ("summary.json", '"folds": 3', '"folds": []'),
        ("folds.csv", "fold,dataset_fold", "fold,other"),
        ("folds.csv", "\n0,1,", "\n0,x,"),
        ("classes.csv", "recall_std", "other"),
        ("history.csv", "demo,0,0,0.", "demo,0,0,nan0."),
        ("predictions.csv", "demo,0,0,", f"demo,0,{'9' * 30},"),
        ("predictions.csv", "siren,siren", "siren,horn"),
    ],
)
def test_a_damaged_cell_is_reported_in_one_sentence(small: Path, name: str, old: str, new: str) -> None:
    text = (small / "metrics" / name).read_text()
    assert old in text
    (small / "metrics" / name).write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match="damaged or not of one run: restore them"):
        write_report(small)


def test_the_command_needs_no_torch_and_names_a_missing_extra(small: Path) -> None:
    code = (
        "import sys; from audiocnn.cli.main import main; code = main(['report']); assert 'torch' not in sys.modules; "
    )
    command = [sys.executable, "-c", code + "sys.exit(code)"]
    no_cache = environment(HOME="/dev/null", XDG_CONFIG_HOME="/dev/null", XDG_CACHE_HOME="/dev/null")
    ran = subprocess.run(command, cwd=small, env=no_cache, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert re.fullmatch(r"report/index.html: [\d,]+ kB, to be opened in a browser\n", ran.stdout)
    code = f"import sys; sys.modules['matplotlib'] = None; {code}sys.exit(code)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=small, capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stderr.startswith('error: the report needs jinja2 and matplotlib: install them with "pip install')
    assert ran.stderr.count("\n") == 1


def test_it_says_in_one_line_what_leaks(standard: Path, small: Path) -> None:
    assert "leaksnot looked for" in " ".join(Page(read(standard)).text.split())
    write_json(small / "data/prepared/leaks.json", {"groups": 2, "same": 1, "similar": 3})
    text = " ".join(Page(report(small)).text.split())
    assert "groups in two folds: 2; pairs of clips in two folds: 1 of the same sound, 3 of nearly the same" in text
