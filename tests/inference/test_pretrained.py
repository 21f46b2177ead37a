"""AudioCNN.from_pretrained: weights load from a file, a folder and the Hub, and files that lie are refused."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from audiocnn.errors import UserError
from audiocnn.inference.find_weights import find_weights
from audiocnn.inference.memory import MOST_BYTES, clip_bytes, shares
from audiocnn.inference.pretrained import PretrainedAudioCNN
from audiocnn.model.crops import Crops
from audiocnn.model.network import AudioCNN
from audiocnn.model.normalisation import Normalisation
from audiocnn.model.weights import METADATA_ENTRY
from tests.support.hub_server import FakeHub, Fault, Repository, use_in_this_process
from tests.support.prepared import CLASSES
from tests.support.training import MODEL
from tests.support.weights import FRAMES, MELS, RECIPE, make_header, make_weights, without_header, write_weights

BEST = "model_fold_0_best.safetensors"
GIBI = 1 << 30


def write(folder: Path, content: bytes) -> Path:
    return write_weights(folder, content) / BEST


def assert_same_function(loaded: PretrainedAudioCNN, content: bytes) -> None:
    torch.manual_seed(0)
    plain = AudioCNN(MELS, len(CLASSES), FRAMES, **MODEL.model_dump())
    plain.load_state_dict(load(content))
    clips = torch.randn(5, MELS, FRAMES)
    torch.testing.assert_close(loaded(clips), plain.eval()(clips))


def test_a_file_needs_nothing_else(tmp_path: Path) -> None:
    content = make_weights(seed=1)
    model = AudioCNN.from_pretrained(str(write(tmp_path, content)))
    assert isinstance(model, AudioCNN)
    assert not model.training
    assert model.classes == CLASSES
    assert model.header == make_header()
    assert model.recipe == RECIPE
    assert (model.n_mels, model.frames, model.target_len) == (MELS, FRAMES, FRAMES)
    assert_same_function(model, content)


@pytest.mark.parametrize("bands", [1, MELS])
def test_a_file_with_a_normalisation_takes_the_input_in_db_all_the_same(tmp_path: Path, bands: int) -> None:
    mean, std = torch.arange(bands) - 40.0, torch.arange(bands) + 2.0
    header = make_header(normalisation=Normalisation(mean=tuple(mean.tolist()), std=tuple(std.tolist())))
    normalising = AudioCNN.from_pretrained(write(tmp_path / "a", make_weights(seed=1, header=header)))
    plain = AudioCNN.from_pretrained(write(tmp_path / "b", make_weights(seed=1)))
    clips = torch.randn(5, MELS, FRAMES) * 20 - 40
    torch.testing.assert_close(normalising(clips), plain((clips - mean[:, None]) / std[:, None]))


def test_loading_draws_none_of_the_callers_random_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, make_weights())
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    AudioCNN.from_pretrained(path)
    assert torch.equal(torch.rand(3), expected)


def test_a_folder_gives_the_fold_that_is_asked_for(tmp_path: Path) -> None:
    contents = [make_weights(seed) for seed in (1, 2)]
    folder = write_weights(tmp_path, *contents)
    assert_same_function(AudioCNN.from_pretrained(folder, fold=1), contents[1])
    with pytest.raises(UserError, match="has no fold 2: it has 0, 1"):
        AudioCNN.from_pretrained(folder, fold=2)


def test_weights_without_a_header_tell_their_sizes_by_their_shapes(tmp_path: Path) -> None:
    content = without_header(make_weights(seed=1))
    model = AudioCNN.from_pretrained(write(tmp_path, content))
    assert (model.header, model.recipe, model.frames) == (None, None, None)
    assert model.classes == ["0", "1", "2"]
    assert model.n_mels == MELS
    assert_same_function(model, content)


def test_weights_without_a_header_and_a_fold_0_are_read_by_the_datasets_fold_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contents = [without_header(make_weights(seed)) for seed in range(10)]
    folder = write_weights(tmp_path, *contents, first=1)
    assert_same_function(AudioCNN.from_pretrained(folder, fold=0), contents[0])
    assert "fold 0 is 1 there" in capsys.readouterr().err
    assert_same_function(AudioCNN.from_pretrained(folder, fold=9), contents[9])
    with pytest.raises(UserError, match="has no fold 10: it has 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"):
        AudioCNN.from_pretrained(folder, fold=10)


def test_weights_with_a_header_keep_their_numbers_where_fold_0_is_missing(tmp_path: Path) -> None:
    folder = write_weights(tmp_path, make_weights(1, make_header(fold=1, dataset_fold=2)), first=1)
    with pytest.raises(UserError, match="has no fold 0: it has 1"):
        AudioCNN.from_pretrained(folder)
    assert AudioCNN.from_pretrained(folder, fold=1).header == make_header(fold=1, dataset_fold=2)


LIES: list[tuple[dict[str, Any], str]] = [
    ({"classes": [*CLASSES, "one more"]}, "4 classes for 3 logits"),
    ({"classes": ["siren", "siren", "dog"]}, "two classes of one name"),
    ({"classes": ["a", "b", "\x1b[2J"]}, "a class whose name may not be one"),
    ({"classes": ["a", "b", "c" * 500_000]}, "a class whose name may not be one"),
    ({"mels": 64}, "64 mels for 1 bands"),
    ({"mels": 0}, "0 mels for 1 bands"),
    ({"mels": -8}, "-8 mels"),
    ({"frames": 15}, "15 frames"),
    ({"frames": 1 << 40, "recipe": None}, "1099511627776 frames"),
    ({"frames": 32}, "a recipe for another shape"),
    ({"recipe": {"rate": 0}}, "its recipe is not one of this version"),
    ({"recipe": {"rate": 8000, "command": "rm"}}, "its recipe is not one of this version"),
    ({"model": MODEL.model_copy(update={"hidden_units": 1 << 13})}, "hidden_units"),
    ({"model": MODEL.model_copy(update={"encoder_channels": (1, 2, 3)})}, "encoder_channels"),
    ({"accuracy": 17.0}, "accuracy 17"),
    ({"format": 2}, "format is 2"),
    ({"normalisation": Normalisation(mean=(0.0,) * 3, std=(1.0,) * 3)}, "a normalisation of other bands"),
    ({"crops": Crops(count=2, frames=FRAMES + 1)}, "crops wider than its frames"),
    ({"crops": Crops.model_construct(count=10**9, frames=FRAMES)}, "not a safetensors file with a header"),
    ({"temperature": 1e-9}, "not a safetensors file with a header"),
    ({"normalisation": Normalisation.model_construct(mean=(0.0,), std=(0.0,))}, "not a safetensors file with a header"),
]


@pytest.mark.parametrize(("lie", "sentence"), LIES, ids=[", ".join(lie) for lie, _ in LIES])
def test_a_header_that_lies_gets_a_sentence(tmp_path: Path, lie: dict[str, Any], sentence: str) -> None:
    path = write(tmp_path, make_weights(header=make_header(**lie)))
    with pytest.raises(UserError, match=sentence):
        AudioCNN.from_pretrained(path)


def test_a_recipe_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"rate": 768_000, "seconds": 600.0, "n_fft": 65_536, "hop_length": 16})
    header = make_header(recipe=recipe.model_dump(mode="json"), frames=recipe.frames)
    with pytest.raises(UserError, match=r"frames|GB for a clip"):
        AudioCNN.from_pretrained(write(tmp_path, make_weights(header=header)))


def test_memory_is_counted_over_all_layers_and_shared_by_threads_and_batch(tmp_path: Path) -> None:
    """Each array of these weights is small beside what a batch takes on its way through all layers."""
    wide = AudioCNN(MELS, len(CLASSES), 400_000, **MODEL.model_dump())
    threads, clips = shares([wide], None, 64, 32)
    assert 1 <= threads * clips < 64 * 32
    assert threads * clips * clip_bytes(wide, 400_000) <= MOST_BYTES
    assert shares([AudioCNN(MELS, len(CLASSES), FRAMES, **MODEL.model_dump())], RECIPE, 4, 32) == (4, 32)
    long = make_header(recipe=None, frames=1 << 24)
    with pytest.raises(UserError, match=r"would take \d+\.\d GB for a clip, expected at most 4\.3"):
        AudioCNN.from_pretrained(write(tmp_path, make_weights(header=long)))


def test_a_type_that_torch_has_not_is_refused(tmp_path: Path) -> None:
    header = json.dumps({"fc2.bias": {"dtype": "F6_E2M3", "shape": [8], "data_offsets": [0, 6]}}).encode()
    with pytest.raises(UserError, match="holds other tensors than AudioCNN's"):
        AudioCNN.from_pretrained(write(tmp_path, struct.pack("<Q", len(header)) + header + bytes(6)))


@pytest.mark.parametrize("name", ["model_fold_01_best.safetensors", "model_fold_\u0661_best.safetensors"])
def test_a_number_that_is_written_otherwise_names_no_fold(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(make_weights())
    with pytest.raises(UserError, match="holds no model_fold_0_best"):
        AudioCNN.from_pretrained(tmp_path)


def changed(name: str, value: torch.Tensor | None) -> bytes:
    """Weights in which one tensor is another, or missing."""
    tensors = load(make_weights())
    if value is None:
        del tensors[name]
    else:
        tensors[name] = value
    content: bytes = save(tensors)
    return content


OTHER_TENSORS = {
    "missing": ("conv1d.bias", None),
    "one more": ("extra", torch.zeros(1)),
    "another shape": ("encoder2.conv.weight", torch.zeros(4, 5, 3, 3)),
    "another rank": ("fc1.weight", torch.zeros(8)),
    "no elements": ("fc2.weight", torch.zeros(0, 8)),
    "another type": ("fc2.bias", torch.zeros(3, dtype=torch.float16)),
    "NaN": ("fc2.bias", torch.full((3,), torch.nan)),
    # Shapes that are small each, and ask for a network of 9 x 2000 x 10**6 weights together.
    "a product": ("encoder1.conv.weight", torch.zeros(1_000_000, 1, 1, 1)),
}


@pytest.mark.parametrize("case", OTHER_TENSORS)
def test_tensors_that_are_not_audiocnns_are_refused(tmp_path: Path, case: str) -> None:
    path = write(tmp_path, changed(*OTHER_TENSORS[case]))
    with pytest.raises(UserError, match="holds other tensors than AudioCNN's"):
        AudioCNN.from_pretrained(path)


def file_with_metadata(entry: str) -> bytes:
    """A safetensors file without tensors."""
    header = json.dumps({"__metadata__": {METADATA_ENTRY: entry}}).encode()
    return struct.pack("<Q", len(header)) + header


NO_WEIGHTS = {
    "empty": b"",
    "text": b"these are not weights, whatever the name says",
    "pickle": b"\x80\x04cos\nsystem\n(S'echo'\ntR.",
    "cut short": make_weights()[:-1],
    "header of 4 GiB": struct.pack("<Q", 4 * GIBI) + b"{}",
    "brackets in brackets": file_with_metadata("[" * 100_000),
    "no JSON": file_with_metadata("{"),
    "a number": file_with_metadata("1"),
    "no tensors": file_with_metadata(make_header().model_dump_json()),
}


@pytest.mark.parametrize("case", NO_WEIGHTS)
def test_a_file_that_is_no_weights_gets_a_sentence(tmp_path: Path, case: str) -> None:
    with pytest.raises(UserError, match=r"get it again|name another file|other tensors"):
        AudioCNN.from_pretrained(write(tmp_path, NO_WEIGHTS[case]))


@pytest.mark.parametrize("source", ["nothing.safetensors", "nothing", "no such/place/at all"])
def test_a_place_that_is_not_there_gets_a_sentence(tmp_path: Path, source: str) -> None:
    with pytest.raises(UserError, match="is not here: train with 'dvc repro'"):
        AudioCNN.from_pretrained(f"{tmp_path}/{source}" if "." in source else source)


@pytest.fixture
def hub(hub_server: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeHub:
    hub_server.reset()
    monkeypatch.setenv("HF_TOKEN", "")
    use_in_this_process(hub_server, tmp_path / "cache", monkeypatch)
    monkeypatch.chdir(tmp_path)
    return hub_server


@pytest.mark.parametrize("source", ["owner/net", "hf://owner/net", "hf://owner/net@main"])
def test_the_hubs_weights_load_by_their_repositorys_name(hub: FakeHub, source: str) -> None:
    contents = [make_weights(seed) for seed in (1, 2)]
    hub.models["owner/net"] = Repository({f"model_fold_{fold}_best.safetensors": c for fold, c in enumerate(contents)})
    assert_same_function(AudioCNN.from_pretrained(source), contents[0])
    assert_same_function(AudioCNN.from_pretrained(source, fold=1), contents[1])


@pytest.mark.parametrize("place", ["hf://owner/net", "hf://owner/net@main"])
def test_one_file_of_a_repository_loads_by_its_name_and_votes_in_no_ensemble(hub: FakeHub, place: str) -> None:
    own = make_weights(3, make_header(fold=-1, dataset_fold=-1, accuracy=None, validation="none"))
    hub.models["owner/net"] = Repository({BEST: make_weights(1), "model_all_clips.safetensors": own})
    assert_same_function(AudioCNN.from_pretrained(f"{place}/model_all_clips.safetensors"), own)
    assert [path.name for path in find_weights(place, None)] == [BEST]
    with pytest.raises(UserError, match=r"has no other.safetensors: it has model_all_clips.safetensors, model_fold_0"):
        AudioCNN.from_pretrained(f"{place}/other.safetensors")


def test_what_was_downloaded_once_is_not_downloaded_again(hub: FakeHub) -> None:
    hub.models["owner/net"] = Repository({BEST: make_weights()})
    AudioCNN.from_pretrained("owner/net")
    hub.requests.clear()
    AudioCNN.from_pretrained("owner/net")
    assert not [path for method, path in hub.requests if method == "GET" and path.endswith(BEST)]


def test_bytes_that_are_not_what_the_hub_lists_are_fetched_once_more_and_then_refused(hub: FakeHub) -> None:
    content = make_weights()
    hub.models["owner/net"] = Repository({BEST: content})
    hub.faults.append(Fault("corrupt", path=BEST, method="GET", times=1))
    assert_same_function(AudioCNN.from_pretrained("owner/net"), content)
    hub.models["owner/other"] = Repository({BEST: content}, listed={BEST: "0" * 64})
    with pytest.raises(UserError, match="came twice with other bytes"):
        AudioCNN.from_pretrained("owner/other")


def test_the_published_repository_without_headers_is_read_by_the_datasets_folds(
    hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    contents = [without_header(make_weights(seed)) for seed in range(10)]
    hub.models["owner/net"] = Repository(
        {f"model_fold_{fold}_best.safetensors": content for fold, content in enumerate(contents, start=1)}
    )
    assert_same_function(AudioCNN.from_pretrained("owner/net", fold=4), contents[4])
    assert "names its weights by the dataset's own folds: fold 4 is 5 there" in capsys.readouterr().err


def test_a_repository_that_cannot_be_had_gets_a_sentence(hub: FakeHub) -> None:
    with pytest.raises(UserError, match=r"cannot get model owner/nothing at main: .* check the name, or log in"):
        AudioCNN.from_pretrained("owner/nothing")
    hub.models["owner/net"] = Repository({"README.md": b"empty"})
    with pytest.raises(UserError, match=r"owner/net holds no model_fold_0_best.safetensors"):
        AudioCNN.from_pretrained("owner/net")
    with pytest.raises(UserError, match="there is no such revision"):
        AudioCNN.from_pretrained("owner/net@v9")
    hub.faults.append(Fault("status", status=503))
    with pytest.raises(UserError, match="answered HTTP 503"):
        AudioCNN.from_pretrained("owner/net")


def test_files_elsewhere_in_a_repository_are_left_alone(hub: FakeHub) -> None:
    hub.models["owner/net"] = Repository({f"../{BEST}": make_weights(), f"old/{BEST}": make_weights()})
    with pytest.raises(UserError, match="holds no model_fold_0_best"):
        AudioCNN.from_pretrained("owner/net")
