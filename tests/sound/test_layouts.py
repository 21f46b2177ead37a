"""Public datasets as they unpack, rebuilt small: one command recognises each, and says as what, before any decoding."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytest.importorskip("soundfile")

from audiocnn.errors import UserError
from tests.support.paths import SHARED
from tests.support.recordings import rows_of, run_features, write_sounds, write_table


@dataclass(frozen=True)
class Case:
    """A dataset: its sound files, its tables by path, the options of its command, and what the table says."""

    sounds: Sequence[str]
    expected: dict[str, str]
    tables: dict[str, Sequence[str]] = field(default_factory=dict)
    options: Sequence[str] = ()
    encoding: str = "utf-8"


US8K = [f"{source}-{label}-0-{take}.wav" for source in (100, 200, 300, 400) for label in (0, 1) for take in (0, 1)]
US8K_TABLE = [
    "slice_file_name,fsID,start,end,salience,fold,classID,class",
    *(
        f"{name},{name[:3]},0.0,0.5,1,{1 + int(name[0]) % 2},{name[4]},{('siren', 'dog_bark')[int(name[4])]}"
        for name in US8K
    ),
]
CREDITS = ["100.wav by somebody, in a park", "200.wav by somebody else; thanks, all"]
US8K_FOLDERS = [f"fold{1 + int(name[0]) % 2}/{name}" for name in US8K]
US8K_EXPECTED = {
    "layout": "UrbanSound8K",
    "clips": "16",
    "classes": "2: siren 8, dog_bark 8",
    "folds": "2, as given; clips in 1: 8, 2: 8",
    "groups": "4, by fsID",
    "seconds": "4 (",
}
ESC50 = [f"{fold}-{source}-A-{label}.wav" for fold in (1, 2) for source in (10 + fold, 20 + fold) for label in (0, 5)]
ESC50_TABLE = [
    "filename,fold,target,category,esc10,src_file,take",
    *(f"{n},{n[0]},{n.split('-')[3][0]},{'dog' if n[-5] == '0' else 'cat'},True,{n.split('-')[1]},A" for n in ESC50),
]
ESC50_EXPECTED = {
    "layout": "ESC-50",
    "clips": "8",
    "classes": "2: dog 4, cat 4",
    "folds": "2, as given; clips in 1: 4, 2: 4",
    "groups": "4, by src_file",
    "seconds": "5 (",
}
COMMANDS = [f"{word}/{speaker}_nohash_{take}.wav" for word in ("no", "yes") for speaker in "abcdef" for take in (0, 1)]
FSD50K = [f"{number}.wav" for number in range(12)]
CLIPS = [f"{number}.wav" for number in range(8)]

CASES = {
    "UrbanSound8K": Case(
        [f"audio/{name}" for name in US8K_FOLDERS],
        US8K_EXPECTED,
        {"metadata/UrbanSound8K.csv": US8K_TABLE, "README.txt": CREDITS},
    ),
    "UrbanSound8K, one folder up": Case(
        [f"UrbanSound8K/audio/{name}" for name in US8K_FOLDERS],
        US8K_EXPECTED,
        {"UrbanSound8K/metadata/UrbanSound8K.csv": US8K_TABLE, "UrbanSound8K/CREDITS.txt": CREDITS},
    ),
    "UrbanSound8K of Kaggle": Case(US8K_FOLDERS, US8K_EXPECTED, {"UrbanSound8K.csv": US8K_TABLE}),
    "ESC-50": Case(
        [f"ESC-50-master/audio/{name}" for name in ESC50], ESC50_EXPECTED, {"ESC-50-master/meta/esc50.csv": ESC50_TABLE}
    ),
    "ESC-50 of Kaggle": Case([f"audio/audio/{name}" for name in ESC50], ESC50_EXPECTED, {"esc50.csv": ESC50_TABLE}),
    "ESC-10, one folder per class": Case(
        [f"{folder}/{f}-{s}-A.ogg" for folder in ("001 - Dog bark", "002 - Rain") for f in (1, 2) for s in (7, 8)],
        {
            "layout": "ESC-50, one folder per class",
            "classes": "2: Dog bark 4, Rain 4",
            "folds": "2, as",
            "seconds": "5 (",
        },
    ),
    "GTZAN": Case(
        [f"Data/genres_original/{genre}/{genre}.0000{n}.wav" for genre in ("blues", "metal") for n in range(4)],
        {"layout": "a table", "clips": "8", "classes": "2: blues 4, metal 4", "folds": "2, made by Strat"},
        {
            "Data/features_30_sec.csv": [
                "filename,length,tempo,label",
                *(f"{genre}.0000{n}.wav,661794,123.0,{genre}" for genre in ("blues", "metal") for n in range(4)),
            ],
            "Data/features_3_sec.csv": [
                "filename,length,tempo,label",
                *(f"{genre}.0000{n}.0.wav,66149,123.0,{genre}" for genre in ("blues", "metal") for n in range(4)),
            ],
        },
        ("--folds", "2"),
    ),
    "GTZAN's folders": Case(
        [f"genres/{genre}/{genre}.0000{n}.au" for genre in ("blues", "metal") for n in range(4)],
        {"layout": "GTZAN", "classes": "2: blues 4, metal 4", "seconds": "30 (", "folds": "2, made"},
        {},
        ("--folds", "2"),
    ),
    "speech_commands": Case(
        [*COMMANDS, "_background_noise_/white_noise.wav"],
        {
            "layout": "speech_commands",
            "read from": "by its file names, splits by validation_list.txt, testing_list.txt",
            "clips": "24",
            "classes": "2: no 12, yes 12",
            "folds": "3, as given; clips in train: 16, validation: 4, test: 4",
            "groups": "6, by speakers",
            "seconds": "1 (",
        },
        {
            "validation_list.txt": [name for name in COMMANDS if "/a_" in name],
            "testing_list.txt": [name for name in COMMANDS if "/b_" in name],
            "README.md": ["words"],
        },
    ),
    "FSD50K": Case(
        [f"FSD50K.dev_audio/{name}" for name in FSD50K],
        {
            "layout": "FSD50K",
            "clips": "12",
            "classes": "2: Bark 6, Rain 6",
            "folds": "2, as given; clips in train: 8, val: 4",
        },
        {
            "FSD50K.ground_truth/dev.csv": [
                "fname,labels,mids,split",
                *(
                    f'{n[:-4]},"{("Bark,Dog,Animal", "Rain,Water")[k % 2]}","/m/1,/m/2",{"val" if k < 4 else "train"}'
                    for k, n in enumerate(FSD50K)
                ),
            ],
            "FSD50K.ground_truth/vocabulary.csv": ["0,Bark,/m/1", "1,Rain,/m/2"],
        },
    ),
    "TAU": Case(
        [f"audio/{scene}-lisbon-{place}-{n}-a.wav" for scene in ("bus", "park") for place in (1, 2, 3) for n in (0, 1)],
        {
            "layout": "TAU / DCASE scenes",
            "read from": "meta.csv: tabs, UTF-8",
            "classes": "2: bus 6, park 6",
            "folds": "3, made by StratifiedGroupKFold, seed 0, groups by identifier; clips in 1: 4, 2: 4, 3: 4",
            "groups": "6, by identifier",
            "seconds": "10 (",
        },
        {
            "meta.csv": [
                "filename\tscene_label\tidentifier\tsource_label",
                *(
                    f"audio/{scene}-lisbon-{place}-{n}-a.wav\t{scene}\tlisbon-{scene}-{place}\ta"
                    for scene in ("bus", "park")
                    for place in (1, 2, 3)
                    for n in (0, 1)
                ),
            ]
        },
        ("--folds", "3"),
    ),
    "AudioMNIST": Case(
        [
            f"data/{speaker}/{digit}_{speaker}_{n}.wav"
            for speaker in ("01", "02", "03")
            for digit in "012"
            for n in "01"
        ],
        {"layout": "AudioMNIST", "classes": "3: 0 6, 1 6, 2 6", "groups": "3, by speakers", "folds": "3, made"},
        {"data/audioMNIST_meta.txt": ['{"01": {"accent": "german", "age": "30"}}']},
        ("--folds", "3"),
    ),
    "RAVDESS": Case(
        [
            f"Actor_{a}/03-01-{e}-01-02-0{n}-{a}.wav"
            for a in ("01", "02", "03")
            for e in ("01", "04", "08")
            for n in "12"
        ],
        {"layout": "RAVDESS", "classes": "3: neutral 6, sad 6, surprised 6", "groups": "3, by actors"},
        {},
        ("--folds", "3"),
    ),
    "BirdCLEF": Case(
        [f"train_audio/{bird}/XC{n}.ogg" for bird in ("abethr1", "zitcis1") for n in (10, 11, 12, 13)],
        {"layout": "BirdCLEF", "classes": "2: abethr1 4, zitcis1 4", "folds": "2, made", "clips": "8"},
        {
            "train_metadata.csv": [
                "primary_label,secondary_labels,type,latitude,scientific_name,filename",
                *(f"{b},[],['song'],4.3,Turdus,{b}/XC{n}.ogg" for b in ("abethr1", "zitcis1") for n in range(10, 14)),
            ],
            "sample_submission.csv": ["row_id,abethr1,zitcis1", "soundscape_29201_5,0.5,0.5"],
        },
        ("--folds", "2"),
    ),
    "Kaggle's train.csv": Case(
        [f"audio_train/{name}" for name in CLIPS],
        {
            "layout": "a table",
            "classes": "2: Cello 4, Hi-hat 4",
            "columns": "file: fname, class: label",
            "folds": "2, ",
        },
        {
            "train.csv": [
                "fname,label,manually_verified",
                *(f"{name},{('Hi-hat', 'Cello')[k % 2]},1" for k, name in enumerate(CLIPS)),
            ],
            "sample_submission.csv": ["fname,label", "00063640.wav,Laughter Hi-hat"],
        },
        ("--folds", "2"),
    ),
    "LibriSpeech's speakers": Case(
        [f"LibriSpeech/dev/{s}/{c}{s}/{s}-{c}{s}-000{n}.flac" for s in ("19", "84") for c in (1, 2) for n in (0, 1)],
        {
            "layout": "LibriSpeech, its speakers",
            "classes": "2: 19 4, 84 4",
            "groups": "4, by chapters",
            "folds": "2, m",
        },
        {"LibriSpeech/SPEAKERS.TXT": [";ID |SEX", "19 | F"], "LibriSpeech/dev/19/119/19-119.trans.txt": ["A B"]},
        ("--folds", "2"),
    ),
    "one folder per class": Case(
        [f"{word}/{who}/{n}.wav" for word in ("ja", "nein") for who in ("anna", "ben") for n in (0, 1)],
        {"layout": "one folder per class", "classes": "2: ja 4, nein 4", "groups": "2, by folder", "folds": "2, made"},
        {},
        ("--folds", "2", "--group-by", "folder"),
    ),
    "one folder per split": Case(
        [f"{split}/{word}/{n}.wav" for split in ("train", "test") for word in ("ja", "nein") for n in (0, 1)],
        {"classes": "2: ja 4, nein 4", "folds": "2, as given; clips in train: 4, test: 4"},
    ),
    "a TSV": Case(
        CLIPS,
        {"read from": "clips.tsv: tabs, UTF-16", "classes": "2: Käuzchen 4, Möwe 4", "folds": "2, as given"},
        {
            "clips.tsv": [
                "Path\tCategory\tFOLD",
                *(f"{name}\t{('Möwe', 'Käuzchen')[k % 2]}\tfold{k // 4}" for k, name in enumerate(CLIPS)),
            ]
        },
        encoding="utf-16",
    ),
    "a semicolon CSV": Case(
        [f"sub/{name}" for name in CLIPS],
        {
            "read from": "a.csv: semicolons, Latin-1",
            "classes": "2: Käuzchen 4, Möwe 4",
            "folds": "2, as given; clips in ",
        },
        {
            "a.csv": [
                "file;class;fold",
                *(f"sub\\{name};{('Möwe', 'Käuzchen')[k % 2]};{k // 4}.0" for k, name in enumerate(CLIPS)),
            ]
        },
        encoding="latin-1",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_one_command_recognises_a_dataset_and_says_as_what(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    case = CASES[name]
    write_sounds(tmp_path / "audio", case.sounds)
    for path, lines in case.tables.items():
        write_table(tmp_path / "audio" / path, lines, case.encoding)
    run_features(tmp_path / "audio", tmp_path / "out", "--dry-run", *case.options)
    rows = rows_of(capsys.readouterr().out)
    for row, expected in case.expected.items():
        assert rows[row].startswith(expected), rows
    assert not (tmp_path / "out").exists()


SHARED_CASES = {
    "text_label.csv": {"columns": "file: filename, class: label, fold: fold", "classes": "2: cat 4, dog 4"},
    "semicolon.csv": {"read from": "semicolon.csv: semicolons", "folds": "2, as given"},
    "tab.csv": {"read from": "tab.csv: tabs", "folds": "2, as given"},
    "dcase_meta.txt": {"read from": "dcase_meta.txt: tabs", "columns": "without names; file: 1, class: 2"},
    "foldstr.csv": {"folds": "2, as given; clips in 1: 4, 2: 4"},
    "foldfloat.csv": {"folds": "2, as given; clips in 1: 4, 2: 4"},
    "latin1.csv": {"read from": "latin1.csv: commas, Latin-1", "classes": "2: Käuzchen 4, Möwe 4"},
    "no_folds.csv": {"folds": "none given"},
}
SHARED_REFUSALS = {
    "unquoted_comma.csv": "line 2: it has 4 cells and the table 3 columns (filename, fold, class): put quotes",
    "onefold.csv": "all clips are in fold 1: have them made with --folds 5",
    "classinonefold.csv": "2 of 2 classes would be missing where their fold is held out, the first is cat",
    "no_folds.csv": "no folds are given: have them made with --folds 5, and --group-by where",
}
needs_cases = pytest.mark.skipif(not (SHARED / "cases/csv").is_dir(), reason="the cases are not here")


def copied(folder: Path, name: str) -> Path:
    """A table of the cases, with a sound for each of its lines."""
    content = (SHARED / "cases/csv" / name).read_bytes()
    (folder / "audio").mkdir()
    (folder / name).write_bytes(content)
    words = content.decode("latin-1").replace(";", ",").replace("\t", ",").splitlines()
    write_sounds(folder, [line.split(",")[0] for line in words if ".wav" in line])
    return folder


@needs_cases
@pytest.mark.parametrize("name", SHARED_CASES)
def test_tables_in_the_wild_are_read_and_it_is_said_how(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_features(copied(tmp_path, name), "--dry-run")
    rows = rows_of(capsys.readouterr().out)
    assert {row: rows[row][: len(text)] for row, text in SHARED_CASES[name].items()} == SHARED_CASES[name]


@needs_cases
@pytest.mark.parametrize("name", SHARED_REFUSALS)
def test_what_prepare_would_refuse_is_refused_before_decoding(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError) as error:
        run_features(copied(tmp_path, name), tmp_path / "out")
    assert SHARED_REFUSALS[name] in str(error.value)
    assert not (tmp_path / "out").exists()


@needs_cases
def test_kaggles_urbansound8k_is_recognised_by_its_own_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = (SHARED / "cases/kaggle_us8k/UrbanSound8K.csv").read_text()
    (tmp_path / "UrbanSound8K.csv").write_text(table)
    cells = [line.split(",") for line in table.splitlines()[1:]]
    write_sounds(tmp_path, [f"fold{line[5]}/{line[0]}" for line in cells])
    run_features(tmp_path, "--dry-run", "--folds", "2")
    assert rows_of(capsys.readouterr().out)["layout"] == "UrbanSound8K"
