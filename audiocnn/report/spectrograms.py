"""The spectrograms of the report's mistakes as figures, where data/prepared holds the clips that metrics/ is about.

Needs the extra `audiocnn[report]`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from audiocnn.config.outs import PREPARED
from audiocnn.config.settings import validate
from audiocnn.data.prepared import Meta, read_meta
from audiocnn.errors import UserError
from audiocnn.report.numbers import CrossValidation, Mistake
from audiocnn.report.render import svg
from audiocnn.sound.log_mel import hertz_to_mels
from audiocnn.sound.recipe import Recipe
from audiocnn.text import displayed

# Even steps of lightness, also in grey and for colour-blind readers. With all 256 colours instead of 64 a report on
# clips of (128, 216) takes 882 kB instead of 696 kB, and nobody sees the difference.
_COLOURS = colormaps["magma"].resampled(64)
_TICKS = np.array([125, 250, 500, 1000, 2000, 4000, 8000, 16000])  # Hz
_MOST_PIXELS = 256  # along a side: what the figure's few centimetres can show
_Spectrograms = npt.NDArray[np.float32]


def prepared_meta(crossval: CrossValidation, folder: Path) -> Meta:
    """meta.json of the dataset that was cross-validated.

    Raises UserError where `folder` is missing, damaged, or holds another dataset.
    """
    if not folder.exists():
        raise UserError(f"{PREPARED} is not here: 'dvc pull' gets it where a remote has it, 'dvc repro' makes it.")
    meta = read_meta(folder)
    labels = _array(folder, "labels", meta)
    rows = np.concatenate([fold.rows for fold in crossval.folds])
    actual = np.concatenate([fold.actual for fold in crossval.folds])
    if meta.classes != crossval.class_names or rows.max() >= len(labels) or (labels[rows] != actual).any():
        raise UserError("data/prepared holds another dataset than the results: 'dvc repro' brings them together.")
    return meta


def read_spectrograms(folder: Path, meta: Meta, mistakes: Sequence[Mistake]) -> _Spectrograms:
    """(mistakes, mels, frames) float32: the mistaken clips. Raises UserError where features.npy is damaged."""
    features = _array(folder, "features", meta)
    if features.shape != (meta.clips, meta.mels, meta.frames):
        raise UserError("data/prepared/features.npy is damaged: run 'dvc repro -f prepare'.")
    return np.array([features[mistake.row] for mistake in mistakes], dtype=np.float32)


def spectrogram(
    crossval: CrossValidation, mistake: Mistake, values: _Spectrograms, limits: tuple[float, float], meta: Meta
) -> str:
    """One clip as an <svg> element, with time in seconds and frequency in kHz where the recipe is known.

    values: (mels, frames) float32. limits: the values of the darkest and the lightest colour.
    """
    actual, predicted = (displayed(crossval.class_names[label]) for label in (mistake.actual, mistake.predicted))
    description = f"Mel spectrogram of clip {mistake.row}, {actual} taken for {predicted}"
    recipe = _recipe(meta)

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.185, 0.21, 0.785, 0.76))
        image: dict[str, Any] = {"origin": "lower", "interpolation": "none", "aspect": "auto", "cmap": _COLOURS}
        extent = (0, recipe.seconds if recipe else meta.frames, -0.5, meta.mels - 0.5)
        axes.imshow(_thinned(values), vmin=limits[0], vmax=limits[1], extent=extent, **image)
        axes.tick_params(labelsize=8, length=2.5)
        axes.spines[:].set_visible(False)
        axes.locator_params(axis="x", nbins=5)
        axes.set_xlabel("time, s" if recipe else "frame", fontsize=8, labelpad=2)
        _label_frequency(axes, recipe)

    return svg(f"clip-{mistake.row}", description, (2.5, 1.95), draw)


def level_bar(limits: tuple[float, float], meta: Meta) -> str:
    """What the spectrograms' colours mean, as an <svg> element. limits: as for spectrogram."""

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.04, 0.62, 0.92, 0.3))
        scale = np.linspace(0, 1, 128)[None]
        axes.imshow(scale, cmap=_COLOURS, aspect="auto", extent=(*limits, 0, 1))
        axes.set_yticks([])
        axes.tick_params(labelsize=8, length=2.5)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("level, dB; 0 is the clip's loudest" if _recipe(meta) else "value", fontsize=8, labelpad=2)

    description = f"Colours from {limits[0]:.0f} (dark) to {limits[1]:.0f} (light)"
    return svg("level", description, (2.9, 0.6), draw)


def limits_of(spectrograms: _Spectrograms) -> tuple[float, float]:
    """The lowest and the highest value, so that all spectrograms share one scale of colours.

    Where there is only one value they are set apart, because a scale needs some width.
    """
    low, high = float(spectrograms.min()), float(spectrograms.max())
    return (low, high) if high > low else (low - 1, low + 1)


def _label_frequency(axes: Axes, recipe: Recipe | None) -> None:
    if recipe is None:
        axes.set_ylabel("mel band", fontsize=8, labelpad=2)
        return
    lowest, highest = hertz_to_mels(recipe.fmin), hertz_to_mels(recipe.fmax or recipe.rate / 2)
    # log_mel.py divides lowest to highest into n_mels + 1 equal steps: the peak of band b is at the end of step b.
    shares = np.array([(hertz_to_mels(hertz) - lowest) / (highest - lowest) for hertz in _TICKS])
    bands = shares * (recipe.n_mels + 1) - 1
    inside = (bands > 0) & (bands < recipe.n_mels - 0.5)
    shown = np.flatnonzero(inside)[-4:]
    axes.set_yticks(bands[shown], labels=[f"{hertz / 1000:g}" for hertz in _TICKS[shown]])
    axes.set_ylabel("frequency, kHz", fontsize=8, labelpad=2)


def _recipe(meta: Meta) -> Recipe | None:
    return None if meta.recipe is None else validate(Recipe, meta.recipe, "data/prepared/meta.json, recipe")


def _thinned(values: _Spectrograms) -> _Spectrograms:
    """Every n-th band and frame, where a spectrogram has more of them than the figure can show."""
    steps = [-(-size // _MOST_PIXELS) for size in values.shape]
    return values[:: steps[0], :: steps[1]]


def _array(folder: Path, name: str, meta: Meta) -> npt.NDArray[Any]:
    """A prepared array, memory-mapped. Raises UserError where it is missing or damaged."""
    path = folder / f"{name}.npy"
    try:
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"data/prepared/{path.name} is not here: run 'dvc repro prepare' first.") from None
    except (ValueError, EOFError):
        raise UserError(f"data/prepared/{path.name} is damaged: run 'dvc repro -f prepare'.") from None
    if len(array) != meta.clips:
        raise UserError(f"data/prepared/{path.name} is damaged: run 'dvc repro -f prepare'.")
    return array
