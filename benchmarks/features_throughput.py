"""`audiocnn features` against a plain librosa loop in one process, from start to written file, in alternating runs.

    python -m benchmarks.features_throughput ../shared/audio/esc10 --runs 5

prints the median seconds of both (400 clips of ESC-10 where the argument is that folder) and the ratio of medians.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.timing import seconds

PLAIN = """
import pickle, sys
from pathlib import Path
import librosa, numpy as np
features = []
for path in sorted(Path(sys.argv[1], "audio").iterdir()):
    sound, rate = librosa.load(path, sr=22050, res_type="soxr_hq")
    sound = librosa.util.fix_length(sound, size=5 * 22050)
    mels = librosa.feature.melspectrogram(y=sound, sr=22050, n_fft=2048, hop_length=512, n_mels=128)
    features.append(librosa.power_to_db(mels, ref=np.max)[:, :216])
with open(sys.argv[2], "wb") as file:
    pickle.dump(np.stack(features)[..., None], file, protocol=4)
"""


def main() -> None:
    """Prints a line for each of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("audio_dir", type=Path, help="a folder in ESC-50's layout")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plain = [sys.executable, "-c", PLAIN, str(options.audio_dir), f"{folder}/plain.pkl"]
        ours = [sys.executable, "-m", "audiocnn.cli", "features", str(options.audio_dir), f"{folder}/out"]
        times = [(seconds(plain), seconds(ours)) for _ in range(options.runs)]
    medians = [statistics.median(column) for column in zip(*times, strict=True)]
    for name, median in zip(("plain librosa loop, 1 process", "audiocnn features"), medians, strict=True):
        print(f"{name}: {median:.2f} s")
    print(f"ratio of medians: {medians[0] / medians[1]:.2f} (n = {options.runs})")


if __name__ == "__main__":
    main()
