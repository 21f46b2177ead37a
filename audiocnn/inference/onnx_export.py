"""Networks as one ONNX file that takes sound: spectrogram, normalisation, network and softmax in one graph.

Needs the extra `audiocnn[onnx]`.
"""

import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

import audiocnn
from audiocnn.errors import UserError
from audiocnn.inference.ensemble import class_probabilities
from audiocnn.inference.pretrained import PretrainedAudioCNN
from audiocnn.model.network import AudioCNN
from audiocnn.sound.log_mel import log_mel, mel_filters
from audiocnn.sound.recipe import Recipe

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18  # of ONNX's standard operators; STFT needs 17
INPUT, PROBABILITIES, SILENT = "sound", "probabilities", "silent"
TOLERANCE = 1e-4  # how far a probability may be from torch's

_LIBRARIES = ("onnx", "onnxruntime", "onnxscript")
_POWER_FLOOR = 1e-10  # log_mel's
_SMALLEST = 1e-30  # of a float32 power that is not zero, far from where its digits end
_TRIALS = 16  # windows that the file is checked on


class Export(NamedTuple):
    """An ONNX file's content, and the largest difference of a probability from torch's where it was checked."""

    content: bytes
    difference: float


def export_onnx(models: Sequence[PretrainedAudioCNN]) -> Export:
    """The networks' mean as ONNX, checked by onnxruntime against torch. The same bytes for the same weights.

    Input `sound`: (windows, samples) float32, full scale 1, `recipe.samples` each at `recipe.rate` Hz. Outputs:
    `probabilities` (windows, classes) float32, and `silent` (windows,) bool: no value of the spectrogram differs from
    another, so the window is of no class. Raises UserError where a library is missing, the weights know no recipe, or
    the file does not say what torch says.
    """
    _require_onnx()
    recipe = models[0].recipe
    if recipe is None:
        raise UserError(
            "these weights hold no recipe, so nothing tells how sound becomes their input: train on data that "
            "'audiocnn features' made."
        )
    with tqdm(total=2, desc="ONNX", unit="step", disable=None, leave=False) as steps:
        model = _exported(_SoundToClass(models, recipe).eval(), recipe)
        _tell(model, models, recipe)
        content = model.SerializeToString(deterministic=True)
        steps.set_description("ONNX, checked against torch")
        steps.update()
        difference = _difference(content, models, recipe)
    if not difference <= TOLERANCE:
        raise UserError(
            f"the ONNX file's probabilities differ by {difference:.2g} from torch's, more than {TOLERANCE:g}: nothing "
            "is written; install the versions of constraints.txt."
        )
    return Export(content, difference)


class _SoundToClass(nn.Module):
    """What the file computes: `audiocnn predict` for windows that are cut already."""

    def __init__(self, models: Sequence[PretrainedAudioCNN], recipe: Recipe) -> None:
        super().__init__()
        self.log_mel, self.models = _LogMel(recipe), nn.ModuleList(models)

    def forward(self, sound: Tensor) -> tuple[Tensor, Tensor]:
        """sound: (windows, samples) float32. Returns (windows, classes) float32 and (windows,) bool."""
        decibels = self.log_mel(sound)
        votes = [AudioCNN.forward(model, decibels).softmax(dim=1) for model in self.models]  # type: ignore[arg-type]
        silent = decibels.amax(dim=(1, 2)) == decibels.amin(dim=(1, 2))
        return (torch.stack(votes).mean(dim=0) if len(votes) > 1 else votes[0]), silent


class _LogMel(nn.Module):
    """sound/log_mel.py in operators that ONNX has."""

    filters: Tensor
    hann: Tensor

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        numbers = recipe.rate, recipe.n_fft, recipe.n_mels, recipe.fmin, recipe.fmax or recipe.rate / 2
        self.register_buffer("filters", torch.from_numpy(mel_filters(*numbers).astype(np.float32)))
        self.register_buffer("hann", torch.hann_window(recipe.n_fft, dtype=torch.float64).float())

    def forward(self, sound: Tensor) -> Tensor:
        """sound: (windows, samples) float32. Returns (windows, mels, frames) in dB."""
        recipe, is_relative = self.recipe, self.recipe.floor == "relative"
        if is_relative:
            sound = sound / sound.abs().amax(dim=1, keepdim=True).clamp(min=_SMALLEST)
        sound = functional.pad(sound, (recipe.n_fft // 2, recipe.n_fft // 2))
        spectrum = torch.view_as_real(
            torch.stft(
                sound, recipe.n_fft, recipe.hop_length, window=self.hann, center=False, return_complex=True
            )  # (windows, bins, frames)
        )
        mels = self.filters @ spectrum.square().sum(dim=3)
        top = mels.amax(dim=(1, 2), keepdim=True)
        floor = (_POWER_FLOOR * top).clamp(min=_SMALLEST) if is_relative else torch.tensor(_POWER_FLOOR)
        decibels = 10 * (torch.maximum(mels, floor).log10() - torch.maximum(top, floor).log10())
        decibels = decibels[:, :, : recipe.frames]
        return decibels if recipe.top_db is None else decibels.clamp(min=-recipe.top_db)


def _require_onnx() -> None:
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        command = 'pip install -c constraints.txt -e ".[onnx]"'
        raise UserError(f"ONNX files need {', '.join(missing)}: install them with '{command}'.")


def _exported(network: nn.Module, recipe: Recipe) -> "ModelProto":
    """The graph, without what the exporter says of this machine's files."""
    windows = torch.export.Dim("windows", min=1)
    with _quiet(), torch.inference_mode():
        program = torch.onnx.export(
            network,
            (torch.zeros(2, recipe.samples),),
            dynamo=True,
            input_names=[INPUT],
            output_names=[PROBABILITIES, SILENT],
            dynamic_shapes=({0: windows},),
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for thing in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer, *model.functions):
        del thing.metadata_props[:]
        thing.doc_string = ""
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's words to its own developers."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)


def _tell(model: "ModelProto", models: Sequence[PretrainedAudioCNN], recipe: Recipe) -> None:
    """Writes into the file what a program needs to know: sound in, classes out, and whose weights these are."""
    model.producer_name, model.producer_version = "audiocnn", audiocnn.__version__
    model.graph.name = "audiocnn"
    model.doc_string = (
        f"{INPUT}: (windows, {recipe.samples}) float32, mono, full scale 1, {recipe.rate} Hz; shorter sound is padded "
        f"with zeros. {PROBABILITIES}: (windows, classes). {SILENT}: (windows,), true where a window is of no class."
    )
    known: dict[str, Any] = {
        "classes": models[0].classes,
        "recipe": recipe.model_dump(mode="json"),
        "weights": [None if one.header is None else one.header.model_dump(mode="json") for one in models],
    }
    for name, value in known.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = name, json.dumps(value, sort_keys=True)


def _difference(content: bytes, models: Sequence[PretrainedAudioCNN], recipe: Recipe) -> float:
    """The largest difference of a probability, over windows of sound of many kinds; NaN where one is not a number."""
    sound = _trials(recipe)
    found, silent = run_onnx(content, sound)
    expected = class_probabilities(models, np.stack([log_mel(window, recipe) for window in sound]))
    assert not silent.any()
    return float(np.abs(found - expected).max())


def _trials(recipe: Recipe) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Noise under tones, from full scale to 80 dB below it, half of the windows ending early."""
    generator, time = np.random.default_rng(0), np.arange(recipe.samples) / recipe.rate
    levels = np.logspace(0, -4, _TRIALS)[:, np.newaxis]
    tones = np.sin(2 * np.pi * generator.uniform(50, recipe.rate / 2, (_TRIALS, 1)) * time)
    sound = levels * (0.5 * tones + generator.normal(size=tones.shape) * generator.uniform(0, 0.1, (_TRIALS, 1)))
    sound[::2, recipe.samples // 3 :] = 0
    return sound.astype(np.float32)


def run_onnx(content: bytes, sound: Any) -> tuple[Any, Any]:
    """What onnxruntime gives for windows (windows, samples): probabilities and whether each is silent."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    probabilities, silent = session.run([PROBABILITIES, SILENT], {INPUT: sound})
    return probabilities, silent
