"""`audiocnn predict` against a plain loop of librosa and torch in one process, start-up included, in alternating runs.

    python -m benchmarks.predict_throughput ../shared/audio/esc10/audio models --runs 5

prints the median seconds of both (400 clips of ESC-10 where the folder is that) and the ratio of medians. The loop
takes one clip at a time through every fold's network and cuts it to one window, as most scripts do; predict answers
longer clips window by window. The weights' header must hold a recipe.
"""

import argparse
import statistics
import sys
from pathlib import Path

from benchmarks.timing import seconds

PLAIN = """
import json, sys
from pathlib import Path
import librosa, numpy as np, torch
from safetensors import safe_open
from safetensors.torch import load_file
from tests.support.plain_network import PlainAudioCNN
paths = sorted(Path(sys.argv[2]).glob("model_fold_*_best.safetensors"))
with safe_open(paths[0], framework="pt") as file:
    header = json.loads(file.metadata()["audiocnn"])
recipe, models = header["recipe"], []
for path in paths:
    model = PlainAudioCNN(header["mels"], len(header["classes"])).eval()
    model.load_state_dict(load_file(path))
    models.append(model)
for path in sorted(Path(sys.argv[1]).iterdir()):
    sound, rate = librosa.load(path, sr=recipe["rate"], res_type="soxr_hq")
    sound = librosa.util.fix_length(sound, size=round(recipe["seconds"] * rate))
    mels = librosa.feature.melspectrogram(
        y=sound, sr=rate, n_fft=recipe["n_fft"], hop_length=recipe["hop_length"], n_mels=recipe["n_mels"]
    )
    clip = torch.from_numpy(librosa.power_to_db(mels, ref=np.max)[None, :, : header["frames"]])
    with torch.inference_mode():
        mean = torch.stack([model(clip).softmax(dim=1) for model in models]).mean(dim=0)[0]
    print(path, header["classes"][mean.argmax()], float(mean.max()))
"""


def main() -> None:
    """Prints a line for each of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("audio_dir", type=Path, help="a folder of sound files")
    parser.add_argument("models", type=Path, help="a folder of weights")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    plain = [sys.executable, "-c", PLAIN, str(options.audio_dir), str(options.models)]
    ours = [sys.executable, "-m", "audiocnn.cli", "predict", str(options.audio_dir), "--models", str(options.models)]
    times = [(seconds(plain), seconds(ours)) for _ in range(options.runs)]
    medians = [statistics.median(column) for column in zip(*times, strict=True)]
    for name, median in zip(("plain librosa and torch loop, 1 process", "audiocnn predict"), medians, strict=True):
        print(f"{name}: {median:.2f} s")
    print(f"ratio of medians: {medians[0] / medians[1]:.2f} (n = {options.runs})")


if __name__ == "__main__":
    main()
