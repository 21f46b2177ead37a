"""Datasets that are known: by the columns of their table, or by how their files are named and what that means."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class KnownTable:
    """A dataset that is recognised by columns of its table, in any case.

    seconds: the length of its clips, None where they differ. group: the column of what must stay together. first_label:
    whether a cell lists several labels, the most specific one first.
    """

    name: str
    columns: frozenset[str]
    seconds: float | None = None
    group: str | None = None
    first_label: bool = False


@dataclass(frozen=True)
class KnownNames:
    """A dataset that is recognised by the names of all its files, as paths below its folder.

    pattern: has the groups `label` and, where names tell them, `group` (what must stay together) and `fold`. groups:
    what `group` is. labels: class names by label, where names have numbers. lists: the files that list clips of a
    split, by split; the other clips are `train`.
    """

    name: str
    pattern: re.Pattern[str]
    groups: str = ""
    seconds: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, str] = field(default_factory=dict)


KNOWN_TABLES = (
    KnownTable("UrbanSound8K", frozenset({"slice_file_name", "fsid", "fold", "classid", "class"}), 4.0, "fsID"),
    KnownTable("ESC-50", frozenset({"filename", "fold", "target", "category"}), 5.0, "src_file"),
    KnownTable("TAU / DCASE scenes", frozenset({"filename", "scene_label", "identifier"}), 10.0, "identifier"),
    KnownTable("FSD50K", frozenset({"fname", "labels", "mids", "split"}), first_label=True),
    KnownTable("BirdCLEF", frozenset({"primary_label", "secondary_labels", "filename"})),
)

_EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")

KNOWN_NAMES = (
    KnownNames(
        "speech_commands",
        re.compile(r"(?:.*/)?(?P<label>[^/]+)/(?P<group>[0-9a-f]+)_nohash_\d+\.wav"),
        "speakers",
        1.0,
        lists={"validation": "validation_list.txt", "test": "testing_list.txt"},
    ),
    KnownNames("AudioMNIST", re.compile(r"(?:.*/)?(?P<group>\d\d)/(?P<label>\d)_(?P=group)_\d+\.wav"), "speakers", 1.0),
    KnownNames(
        "RAVDESS",
        re.compile(r"(?:.*/)?\d\d-\d\d-(?P<label>0[1-8])-\d\d-\d\d-\d\d-(?P<group>\d\d)\.wav"),
        "actors",
        labels={f"{number:02}": name for number, name in enumerate(_EMOTIONS, start=1)},
    ),
    KnownNames(
        "LibriSpeech, its speakers",
        re.compile(r"(?:.*/)?(?P<label>\d+)/(?P<group>\d+)/(?P=label)-(?P=group)-\d+\.flac"),
        "chapters",
    ),
    KnownNames("GTZAN", re.compile(r"(?:.*/)?(?P<label>[a-z]+)/(?P=label)\.\d{5}\.(?:au|wav)"), seconds=30.0),
    KnownNames(
        "ESC-50, one folder per class",
        re.compile(r"(?:.*/)?\d+ - (?P<label>[^/]+)/(?P<fold>\d)-(?P<group>\d+)-[A-Z]\.(?:ogg|wav)"),
        "source recordings",
        5.0,
    ),
)


def known_table(columns: list[str]) -> KnownTable | None:
    """The dataset whose table has these columns; None where it is no known one."""
    names = {column.lower() for column in columns}
    return next((known for known in KNOWN_TABLES if known.columns <= names), None)


def known_names(files: list[str]) -> KnownNames | None:
    """The dataset that all these files are named as; None where there is none."""
    return next((known for known in KNOWN_NAMES if all(map(known.pattern.fullmatch, files))), None) if files else None
