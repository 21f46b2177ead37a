"""What predictions take in memory. Whoever wrote the weights chose the sizes, so these are bounded and shared out."""

from collections.abc import Sequence

from audiocnn.config.model_params import MIN_FRAMES, MIN_MELS, POOLS
from audiocnn.model.network import AudioCNN
from audiocnn.sound.decode import RATES
from audiocnn.sound.recipe import Recipe

MOST_BYTES = 4 << 30
"""What all threads may take together, and so a single clip. Ten minutes by the default recipe take a third of it."""

_FLOAT = 4  # bytes
_COPIES = 2  # of a layer's output that are alive at one time
_BYTES_A_CLASS = 1200  # an answer's dict, and the answers that wait for those before them


def shares(models: Sequence[AudioCNN], recipe: Recipe | None, most_threads: int, most_clips: int) -> tuple[int, int]:
    """Threads, and clips that each may send through the networks together: at least one, at most what is asked for."""
    clip = max(clip_bytes(model, _frames(model)) for model in models)
    sound = sound_bytes(recipe)
    threads = max(1, min(most_threads, MOST_BYTES // (clip + sound)))
    return threads, max(1, min(most_clips, (MOST_BYTES // threads - sound) // clip))


def _frames(model: AudioCNN) -> int:
    return max(model.target_len, MIN_FRAMES)  # weights without a header tell no length


def clip_bytes(model: AudioCNN, frames: int) -> int:
    """Bytes for a spectrogram, the outputs of all layers, and the answer."""
    mels, values = model.n_mels, 0
    size = mels * frames
    values += size
    for encoder, pool in zip((model.encoder1, model.encoder2, model.encoder3), POOLS, strict=True):
        values += encoder.conv.out_channels * size
        size //= pool[0] * pool[1]
    values += model.conv1d.out_channels * (mels // MIN_MELS) + model.fc1.out_features
    return values * _COPIES * _FLOAT + model.fc2.out_features * _BYTES_A_CLASS


def sound_bytes(recipe: Recipe | None) -> int:
    """Bytes for the way from sound to one spectrogram: two windows as they come, and their transform."""
    if recipe is None:
        return 0
    bins = recipe.n_fft // 2 + 1
    as_it_came = round(recipe.seconds * RATES[-1])  # a byte a sample, whether there is sound
    transform = (recipe.frames + 1) * (bins + 4 * recipe.n_mels) + recipe.n_mels * bins * 8
    return 2 * (as_it_came + recipe.samples * _FLOAT) + transform * _FLOAT
