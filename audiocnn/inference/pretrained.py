"""Weights as a network that is ready to use. The file may come from anybody: nothing in it is believed unchecked."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from audiocnn.config.class_names import is_class_name
from audiocnn.config.model_params import MIN_FRAMES, MIN_MELS, ModelParams
from audiocnn.config.settings import validate
from audiocnn.errors import UserError
from audiocnn.inference.find_weights import find_weights, untrusted_header
from audiocnn.inference.memory import MOST_BYTES, clip_bytes, sound_bytes
from audiocnn.model.network import AudioCNN
from audiocnn.model.weights import WeightsHeader
from audiocnn.sound.recipe import Recipe

_MOST_CLASSES = 1 << 14  # each takes memory in every answer
_LARGEST_INPUT = 1 << 27  # elements; a clip of 10 minutes takes 3 million

_Tensors = dict[str, Tensor]


class PretrainedAudioCNN(AudioCNN):
    """AudioCNN with trained weights, in evaluation mode, and what the file says of them.

    header: all of that; None for weights without one. classes: names, by logit; `0`, `1`, ... without a header.
    recipe: how sound becomes the input, where known. frames: the input's, None where unknown (target_len is 0 then, and
    n_mels the smallest that fits).
    """

    header: WeightsHeader | None
    recipe: Recipe | None
    classes: list[str]
    frames: int | None

    def forward(self, spectrograms: Tensor) -> Tensor:
        """spectrograms: (batch, mels, frames), float, in dB. Returns logits: (batch, classes). Raises UserError."""
        if spectrograms.ndim != 3:
            raise UserError(f"spectrograms have shape {tuple(spectrograms.shape)}, expected (batch, mels, frames).")
        if why := why_unfit(self, spectrograms.shape[1:]):
            raise UserError(f"a spectrogram does not fit these weights: {why}.")
        return super().forward(spectrograms)


def why_unfit(model: PretrainedAudioCNN, shape: Sequence[int]) -> str | None:
    """Why the network takes no spectrogram of this shape, (mels, frames), or None if it does."""
    mels, frames = shape
    if model.frames is not None and (mels, frames) != (model.n_mels, model.frames):
        return f"its shape is {(mels, frames)}, expected {(model.n_mels, model.frames)}: mels, frames"
    if mels // MIN_MELS != model.n_mels // MIN_MELS or frames < MIN_FRAMES:
        return f"its shape is {(mels, frames)}, expected {model.n_mels} mels and at least {MIN_FRAMES} frames"
    return None


class _Sizes(NamedTuple):
    """What the tensors' shapes alone tell. bands: mels // MIN_MELS."""

    encoder_channels: tuple[int, int, int]
    conv1d_channels: int
    hidden_units: int
    bands: int
    classes: int


def load_pretrained(source: str | Path, fold: int = 0) -> PretrainedAudioCNN:
    """What AudioCNN.from_pretrained does; it describes the arguments. Raises UserError."""
    return load_weights(find_weights(source, fold)[0])


def load_weights(path: Path) -> PretrainedAudioCNN:
    """A weights file as a network on the CPU. Raises UserError where it is not one, or where its header lies."""
    header, tensors = _read(path)
    sizes = _sizes(tensors)
    if sizes is None:
        raise _other_tensors(path)
    recipe = None if header is None else _checked(header, sizes, path)
    model = _network(header, sizes)
    taken = clip_bytes(model, model.target_len) + sound_bytes(recipe)
    if taken > MOST_BYTES:
        raise UserError(
            f"{path} would take {taken / 1e9:.1f} GB for a clip, expected at most {MOST_BYTES / 1e9:.1f}: name other "
            "weights."
        )
    model.load_state_dict(tensors)
    model.normalise_input(None if header is None else header.normalisation)
    if header is not None:
        model.crops, model.temperature = header.crops, header.temperature or 1.0
    model.header, model.recipe = header, recipe
    model.classes = [str(index) for index in range(sizes.classes)] if header is None else header.classes
    model.frames = None if header is None else header.frames
    return model.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload, no-any-return]


def _other_tensors(path: Path) -> UserError:
    return UserError(f"{path} holds other tensors than AudioCNN's: name weights that audiocnn trained.")


def _read(path: Path) -> tuple[WeightsHeader | None, _Tensors]:
    header = untrusted_header(path)
    try:
        with safe_open(path, framework="pt") as weights:
            return header, {name: weights.get_tensor(name) for name in weights.keys()}  # noqa: SIM118  # no mapping
    except (SafetensorError, RuntimeError, ValueError, TypeError, AttributeError):  # of a type that torch has not
        raise _other_tensors(path) from None


def _sizes(tensors: _Tensors) -> _Sizes | None:
    """The sizes of the network that the tensors make, or None where they make none."""
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    try:
        channels = tuple(shapes[f"encoder{number}.conv.weight"][0] for number in (1, 2, 3))
        conv1d = shapes["conv1d.weight"][0]
        hidden, inputs = shapes["fc1.weight"]
        sizes = _Sizes(channels, conv1d, hidden, inputs // conv1d, shapes["fc2.weight"][0])  # type: ignore[arg-type]
    except (KeyError, IndexError, ValueError, ZeroDivisionError):
        return None
    is_bounded = min(*channels, *sizes[1:]) > 0 and sizes.classes <= _MOST_CLASSES
    fits = is_bounded and _weight_count(sizes) <= sum(tensor.numel() for tensor in tensors.values())
    return sizes if fits and _same_tensors(tensors, _network(None, sizes).state_dict()) else None


def _weight_count(sizes: _Sizes) -> int:
    """Elements of all weights without biases: checked before a network is made, so that it is no larger than its file.

    A file of a few MB can hold shapes that each are small, and whose products are not.
    """
    first, second, third = sizes.encoder_channels
    convolutions = 9 * first * (1 + second) + 9 * second * third + 3 * third * sizes.conv1d_channels
    return convolutions + sizes.hidden_units * (sizes.conv1d_channels * sizes.bands + sizes.classes)


def _same_tensors(tensors: _Tensors, expected: _Tensors) -> bool:
    """Whether names, shapes and types are the expected ones, and all values are finite."""
    kinds, expected_kinds = (
        {name: (tensor.shape, tensor.dtype) for name, tensor in some.items()} for some in (tensors, expected)
    )
    return kinds == expected_kinds and all(np.isfinite(tensor.numpy()).all() for tensor in tensors.values())


def _network(header: WeightsHeader | None, sizes: _Sizes) -> PretrainedAudioCNN:
    """The network with weights that are yet to be loaded. (Making it on torch's `meta` device imports for a second.)"""
    model = ModelParams() if header is None else header.model
    mels, frames = (sizes.bands * MIN_MELS, 0) if header is None else (header.mels, header.frames)
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they were
        return PretrainedAudioCNN(
            mels,
            sizes.classes,
            frames,
            encoder_channels=sizes.encoder_channels,
            conv1d_channels=sizes.conv1d_channels,
            hidden_units=sizes.hidden_units,
            encoder_dropout=model.encoder_dropout,
            head_dropout=model.head_dropout,
        )


def _checked(header: WeightsHeader, sizes: _Sizes, path: Path) -> Recipe | None:
    """The header's recipe. Raises UserError where the header is not the tensors' own."""
    try:
        recipe = None if header.recipe is None else validate(Recipe, header.recipe, str(path))
    except UserError:
        raise UserError(f"{path}: its recipe is not one of this version: get other weights.") from None
    lie = _lie(header, sizes, recipe)
    if lie:
        raise UserError(f"{path}: its header contradicts its tensors or itself ({lie}): get it again.")
    return recipe


def _lie(header: WeightsHeader, sizes: _Sizes, recipe: Recipe | None) -> str | None:
    model, names = header.model, header.classes
    claims = (
        (header.format == 1, f"its format is {header.format}, and this version knows 1"),
        (len(names) == sizes.classes, f"{len(names)} classes for {sizes.classes} logits"),
        (len(set(names)) == len(names), "two classes of one name"),
        (all(map(is_class_name, names)), "a class whose name may not be one"),
        (tuple(model.encoder_channels) == sizes.encoder_channels, "encoder_channels"),
        (model.conv1d_channels == sizes.conv1d_channels, "conv1d_channels"),
        (model.hidden_units == sizes.hidden_units, "hidden_units"),
        (header.mels // MIN_MELS == sizes.bands, f"{header.mels} mels for {sizes.bands} bands"),
        (header.frames >= MIN_FRAMES, f"{header.frames} frames, fewer than {MIN_FRAMES}"),
        (header.mels * header.frames <= _LARGEST_INPUT, f"{header.frames} frames"),
        (header.accuracy is None or 0 <= header.accuracy <= 1, f"accuracy {header.accuracy}"),
        (_normalises(header), "a normalisation of other bands"),
        (header.crops is None or header.crops.frames <= header.frames, "crops wider than its frames"),
        (recipe is None or recipe.shape == (header.mels, header.frames), "a recipe for another shape"),
    )
    return next((text for holds, text in claims if not holds), None)


def _normalises(header: WeightsHeader) -> bool:
    """Whether the header's normalisation, if any, is of its mels."""
    return header.normalisation is None or len(header.normalisation.mean) in (1, header.mels)
