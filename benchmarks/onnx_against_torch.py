"""An ONNX file against torch, from sound to class, over all sounds of a folder.

    python -m benchmarks.onnx_against_torch ../shared/audio/esc10/audio model.onnx --models models

Both get the same windows of samples; torch's side is what `audiocnn predict` does with them. One thread each, in turn.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from audiocnn.inference.ensemble import class_probabilities, load_models
from audiocnn.inference.find_weights import find_weights
from audiocnn.sound.decode import open_recording
from audiocnn.sound.log_mel import log_mel
from audiocnn.sound.suffixes import SUFFIXES
from audiocnn.sound.windows import Window, WindowCutter


def main() -> None:
    """Prints the largest difference of a probability, how many classes differ, the file's size, seconds a window."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--models", default="models")
    parser.add_argument("--fold", type=int)
    options = parser.parse_args()
    torch.set_num_threads(1)
    models = load_models(find_weights(options.models, options.fold))
    recipe = models[0].recipe
    assert recipe is not None
    threads = onnxruntime.SessionOptions()
    threads.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(options.file, threads)
    found, expected, seconds = [], [], np.zeros(2)
    for path in sorted(path for path in options.folder.iterdir() if path.suffix.lower() in SUFFIXES):
        with open_recording(path) as recording:
            cutter = WindowCutter(recording.rate, recipe, recipe.seconds)
            windows: list[Window] = [window for block in recording.blocks() for window in cutter.feed(block)]
            windows += cutter.finish()
        for window in windows:
            start = time.perf_counter()
            spectrogram = log_mel(window.sound, recipe)
            if spectrogram.min() == spectrogram.max():
                continue
            expected.append(class_probabilities(models, spectrogram[np.newaxis])[0])
            middle = time.perf_counter()
            found.append(session.run(["probabilities"], {"sound": window.sound[np.newaxis]})[0][0])
            seconds += [middle - start, time.perf_counter() - middle]
    difference = np.abs(np.array(found) - np.array(expected))
    others = int((np.argmax(found, axis=1) != np.argmax(expected, axis=1)).sum())
    print(f"{len(found)} windows of {len(models)} networks; {options.file.stat().st_size:,} bytes")
    print(f"largest difference of a probability {difference.max():.2g}; another class: {others}")
    each = 1000 * seconds / len(found)
    print(f"a window: torch {each[0]:.1f} ms, onnxruntime {each[1]:.1f} ms")


if __name__ == "__main__":
    main()
