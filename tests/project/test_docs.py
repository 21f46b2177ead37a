"""What the README and docs/ name exists, their tables are the code's, and the demo's results are the committed ones."""

import argparse
import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel

from audiocnn.checkpoints.folder import BEST_MODEL, TRAINING_STATE
from audiocnn.cli import main as cli
from audiocnn.config.params import Params
from audiocnn.config.runtime import Runtime
from audiocnn.config.settings import Settings, read_yaml, validate
from audiocnn.evaluation.table import print_table
from tests.support.documents import DOCUMENTS, blocks
from tests.support.paths import ROOT

IN_GIT = ("audiocnn/", "stages/", "tests/", "benchmarks/", "docs/", ".github/", ".ci/", ".dvc/")
OUTS = ("data/", "models/", "results/", "metrics/")
# Places that no stage's outs name.
ALL_CLIPS = {f"models/model_all_clips.{suffix}" for suffix in ("safetensors", "json")}
EXAMPLES = {"data/staging", "data/esc10", "data/words", "data/tutorial", *ALL_CLIPS}
CHECKPOINTS = {TRAINING_STATE, BEST_MODEL, "epoch_E.pt", "epoch_E.safetensors"}
KEY = re.compile(r"(data|model|train|engine|checkpoints|wandb|hub)\.([a-z_0-9]+(?:\.[a-z_0-9]+)*)")
ABSOLUTE = re.compile(r"(?<![\w.}])/(home|root|work|tmp|mnt|Users|private)\b")

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def code_spans(text: str) -> list[str]:
    """What stands in `...` outside of fenced blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def commands(document: Path) -> list[str]:
    """The lines that a reader types."""
    return [command.text for block in blocks(document) for command in block.commands]


def subcommands() -> dict[str, argparse.ArgumentParser]:
    """The parsers of `audiocnn`'s subcommands."""
    actions = cli._parser()._actions
    return next(dict(action.choices) for action in actions if isinstance(action, argparse._SubParsersAction))


def leaves(kind: type[Settings], prefix: str = "") -> dict[str, Any]:
    """A group's settings as dotted names, with their fields."""
    found: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Settings):
            found |= leaves(inner, f"{prefix}{name}.")
        else:
            found[prefix + name] = field
    return found


@each_document
def test_the_files_that_it_names_exist(document: Path) -> None:
    text = document.read_text()
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    missing = [link for link in links if link and not (document.parent / link).exists()]
    named = [span for span in code_spans(text) if span.startswith(IN_GIT) and " " not in span]
    missing += [name for name in named if not (ROOT / name).exists()]
    modules = [span for span in code_spans(text) if span.endswith(".py") and not set(span) & set(" *")]
    folders = [ROOT / "audiocnn", ROOT, *(ROOT / "audiocnn").iterdir()]  # paths in a map are below audiocnn/
    missing += [name for name in modules if not any((folder / name).exists() for folder in folders)]
    assert not missing


@each_document
def test_links_within_it_lead_to_a_heading(document: Path) -> None:
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors


@each_document
def test_the_results_that_it_names_are_outs_of_a_stage(document: Path) -> None:
    outs = declared_outs()
    for span in code_spans(document.read_text()):
        place = re.sub(r"_[kK]\b|_[kK](?=[_.])", "_0", span.rstrip("/"))
        if span.startswith(OUTS) and not span.endswith(".py") and " " not in span and place not in EXAMPLES:
            assert any(out == place or out.startswith(f"{place}/") for out in outs), f"{span} is not an out in dvc.yaml"
        if span.startswith("checkpoints/") and span.count("/") > 1:
            assert Path(span).name in {*CHECKPOINTS, "fold_k-KEY"}, f"{span} is not a file of a checkpoint folder"


def declared_outs() -> set[str]:
    """The outs of dvc.yaml, fold 0's for each fold's."""
    outs: set[str] = set()
    for entry in read_yaml(ROOT / "dvc.yaml")["stages"].values():
        stage = entry.get("do", entry)
        for out in [*stage.get("outs", ()), *stage.get("metrics", ())]:
            outs.add((out if isinstance(out, str) else next(iter(out))).replace("${item}", "0"))
    return outs


@each_document
def test_the_audiocnn_commands_that_it_names_exist(document: Path) -> None:
    text, known = document.read_text(), subcommands()
    for command in commands(document):
        words = shlex.split(command, comments=True)
        if words[0] == "audiocnn":
            cli._parser().parse_args(words[1:])  # exits with 2 on what it does not know
    for span in code_spans(text):
        if span.startswith("audiocnn "):
            words = span.split()
            assert words[1] in known, span
            options = {word.split("=")[0] for word in words if word.startswith("--")}
            assert options <= set(known[words[1]]._option_string_actions), span


@each_document
def test_the_options_that_it_names_are_some_commands(document: Path) -> None:
    known = {option for parser in subcommands().values() for option in parser._option_string_actions}
    ours = {span for span in code_spans(document.read_text()) if re.fullmatch(r"--[a-z-]+", span)}
    assert ours - {"--force", "--pull", "--rounds", "--run-cache"} <= known


@each_document
def test_the_make_targets_and_modules_that_it_names_exist(document: Path) -> None:
    text = document.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    said = [*code_spans(text), *commands(document)]
    assert {line.split()[1] for line in said if re.match(r"make [a-z-]+", line)} <= targets
    for line in said:
        if match := re.match(r"python -m ((tests|benchmarks|stages|audiocnn)[.\w]*)", line):
            path = ROOT / match[1].replace(".", "/")
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), line


@each_document
def test_the_settings_that_it_names_exist(document: Path) -> None:
    known = {*leaves(Params), *leaves(Runtime)}
    for span in code_spans(document.read_text()):
        if (match := KEY.match(span)) and match[2] not in ("py", "yaml", "json", "onnx"):
            assert match[0] in known, f"{span} is no setting"


@each_document
def test_the_settings_on_its_command_lines_are_valid(document: Path) -> None:
    for command in commands(document):
        for setting in re.findall(r"-S '?([^\s']+)", command):
            name, value = setting.rsplit("=", 1)
            kind, defaults = (Runtime, {}) if name.startswith("runtime.yaml:") else (Params, {"folds": [0]})
            for one in [value] if value.startswith("[") else value.split(","):  # A,B,C: one experiment each
                validate(kind, with_value(defaults, name.split(":")[-1], one), command)


def with_value(settings: dict[str, Any], name: str, value: str) -> dict[str, Any]:
    """Settings with one more, by its dotted name, its value read as DVC and we read it."""
    group, _, key = name.rpartition(".")
    number = float(value) if re.fullmatch(r"[\d.]+e-?\d+", value) else yaml.safe_load(value)
    return settings | ({group: {key: number}} if group else {key: number})


@each_document
def test_it_names_no_absolute_path(document: Path) -> None:
    assert not ABSOLUTE.findall(document.read_text())


@each_document
def test_its_lines_are_at_most_120_characters_long(document: Path) -> None:
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert not [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|")]


def test_the_badges_say_what_pyproject_says() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    first, last = re.findall(r"3\.(\d+)", project["requires-python"])
    pictures = [path.read_text() for path in (ROOT / "docs/badges").iterdir()]
    said = {": ".join(re.findall(r"<text[^>]*>([^<]+)<", picture)) for picture in pictures}
    assert said == {f"Python: 3.{first} to 3.{int(last) - 1}", "platform: Linux", f"licence: {project['license']}"}
    assert said == {re.findall("<title>(.+)</title>", picture)[0] for picture in pictures}


@pytest.mark.parametrize(("file", "kind"), [("params.yaml", Params), ("runtime.yaml", Runtime)])
def test_the_tables_of_settings_hold_every_setting_with_its_default_and_choices(
    file: str, kind: type[Settings]
) -> None:
    rows, fields = settings_table(file), leaves(kind)
    assert list(rows) == list(fields)
    defaults = validate(kind, read_yaml(ROOT / file), file)
    for name, (default, allowed) in rows.items():
        assert yaml.safe_load(default) == plain(defaults, name), f"{name} is not {default} by default"
        for choice in choices(fields[name].annotation):
            assert f"`{choice}`" in allowed, f"{name} may be {choice}"


def settings_table(file: str) -> dict[str, tuple[str, str]]:
    """The table of a file's settings in docs/settings.md: default and allowed values by name."""
    section = (ROOT / "docs/settings.md").read_text().split(f"\n`{file}`")[1]
    table = section.split("|---|---|---|---|\n")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {name.strip("`"): (default.strip("`"), allowed) for name, default, _, allowed in rows}


def plain(settings: BaseModel, name: str) -> Any:
    """The value of a dotted name, as YAML would hold it."""
    value: Any = settings.model_dump(mode="json")
    for part in name.split("."):
        value = value[part]
    return value


def choices(annotation: Any) -> list[str]:
    """The words that a setting's type allows, where it is a choice of words."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [word for part in get_args(annotation) for word in choices(part)]


def test_the_picture_of_the_pipeline_has_its_stages() -> None:
    picture = (ROOT / "docs/pipeline.md").read_text().split("```mermaid")[1].split("```")[0]
    assert all(re.search(rf"\b{stage}\b", picture) for stage in read_yaml(ROOT / "dvc.yaml")["stages"])


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> str:
    """What `audiocnn results` prints of metrics/, above the table of classes."""
    summary = ROOT / "metrics/summary.json"
    if not summary.exists() or not json.loads(summary.read_text())["dataset"].startswith("demo"):
        pytest.skip("metrics/ does not hold results of the demo")
    print_table(ROOT / "metrics")
    return capsys.readouterr().out.strip().split("\n\nclass ")[0]


def test_the_table_shown_is_that_of_the_committed_results(printed: str) -> None:
    assert printed in (ROOT / "docs/pipeline.md").read_text(), f"put this into docs/pipeline.md:\n{printed}"


def test_the_readme_shows_lines_of_that_table(printed: str) -> None:
    block = next(block for block in blocks(ROOT / "README.md") if block.text.startswith("AudioCNN, 10 folds"))
    rest = iter(printed.splitlines())
    for line in block.text.splitlines()[:-2]:  # which are ... and the comparison with the commit
        assert line == "..." or line in rest, f"put lines of this into README.md:\n{printed}"
