"""A page that says what a sound is: it records or takes a file, and names the class of each window.

    python app.py

A Gradio Space, and the same page on your own machine. It needs what requirements.txt lists and, beside it, model.onnx,
which 'audiocnn export --onnx model.onnx' writes; of audiocnn itself it needs nothing.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import onnxruntime
import soxr
from numpy.typing import NDArray

HERE = Path(__file__).parent
MODEL, README = HERE / "model.onnx", HERE / "README.md"
MOST_SAMPLES = 48_000 * 600  # of a recording that are heard: ten minutes at 48 kHz, 115 MB
MOST_UPLOAD = "100mb"
RATES = range(1000, 768_001)  # Hz; a header that claims billions would have us allocate for them
BATCH = 16  # windows that go through the network together
TOP = 5  # classes that are shown
# FFmpeg's demuxers of files that hold sound. Not among them: playlists and the like, which name other files to open.
FORMATS = "aac,aiff,amr,asf,au,caf,flac,matroska,mov,mp3,ogg,w64,wav"

UNREADABLE = "This file holds no sound that can be read here. Try another one: WAV, MP3, M4A, FLAC, Ogg or WebM."
TOO_SHORT = "This recording is too short to say anything about: record a second or more."
SILENT = "There is nothing to hear in this recording: all of it is digital silence. Is the microphone muted?"
DAMAGED = "This file is damaged: what follows {seconds:.1f} s could not be read."
TOO_LONG = "This recording is long: its first {seconds:.0f} s were heard."

# A browser takes a microphone to be for speech: what is steady counts as noise and is removed, if nobody forbids it.
AS_IT_IS = """<script>
  const media = navigator.mediaDevices, ask = media?.getUserMedia.bind(media);
  const plain = {noiseSuppression: false, echoCancellation: false, autoGainControl: false};
  if (ask) media.getUserMedia = wanted => ask({...wanted, audio: {...wanted.audio, ...plain}});
</script>"""

Floats = NDArray[np.float32]


class BadSoundError(Exception):
    """A recording that gives no answer. The text is for whoever made it."""


class Sound(NamedTuple):
    """Mono samples of full scale 1, (samples,), at `rate` Hz. note: what of the recording is not among them, if any."""

    samples: Floats
    rate: int
    note: str


class Answer(NamedTuple):
    """The probability of each class in a window, by its name; none of silence. start, end: in seconds."""

    start: float
    end: float
    probabilities: dict[str, float]


def decode(path: str) -> Sound:
    """What a file holds, from its start, as the mean over channels. Raises BadSoundError."""
    blocks: list[Floats] = []
    rate, count, note = 0, 0, ""
    try:
        # An open file and no name: nothing in its content can have FFmpeg open another.
        options = {"format_whitelist": FORMATS, "protocol_whitelist": ""}
        with Path(path).open("rb") as file, av.open(file, "r", metadata_errors="ignore", options=options) as container:
            as_floats = av.AudioResampler(format="fltp")
            for frame in container.decode(audio=0):
                rate = rate or frame.sample_rate
                blocks += [piece.to_ndarray().mean(axis=0) for piece in as_floats.resample(frame)]
                count += frame.samples
                if count > MOST_SAMPLES:
                    note = TOO_LONG
                    break
    except (av.FFmpegError, OSError, ValueError, IndexError):  # IndexError: no stream of sound
        note = DAMAGED
    samples = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    if rate not in RATES or not np.isfinite(samples).all():
        raise BadSoundError(UNREADABLE)
    return Sound(samples, rate, note.format(seconds=count / rate))


class Model:
    """model.onnx: from windows of sound to classes. classes: their names. rate: of its input, in Hz."""

    def __init__(self, path: Path) -> None:
        self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        told = self._session.get_modelmeta().custom_metadata_map
        recipe = json.loads(told["recipe"])
        self.classes: list[str] = json.loads(told["classes"])
        self.rate, self._hop = int(recipe["rate"]), int(recipe["hop_length"])
        self._samples = int(self._session.get_inputs()[0].shape[1])  # of a window

    def answers(self, sound: Sound) -> list[Answer]:
        """What each window of a sound is: windows side by side, the last one up to the end. Raises BadSoundError.

        The samples are those that audiocnn computes, by the same resampler, so the answers are those of
        'audiocnn predict'.
        """
        samples = soxr.resample(sound.samples, sound.rate, self.rate, quality="HQ")
        if len(samples) < self._hop:
            raise BadSoundError(TOO_SHORT)
        starts = self._starts(len(samples))
        windows = [samples[start : start + self._samples] for start in starts]
        rows = [row for first in range(0, len(windows), BATCH) for row in self._rows(windows[first : first + BATCH])]
        answers = []
        for start, window, row in zip(starts, windows, rows, strict=True):
            span = start / self.rate, (start + len(window)) / self.rate
            # As it came: resampling lets what is beside digital silence ring into it.
            is_sound = sound.samples[round(span[0] * sound.rate) : round(span[1] * sound.rate)].any()
            answers.append(Answer(*span, row if is_sound else {}))
        return answers

    def _starts(self, samples: int) -> list[int]:
        last = samples - self._samples
        starts = list(range(0, max(last, 0) + 1, self._samples))
        return [*starts, last] if last - starts[-1] >= self._hop else starts

    def _rows(self, windows: Sequence[Floats]) -> list[dict[str, float]]:
        batch = np.stack([np.pad(window, (0, self._samples - len(window))) for window in windows])
        probabilities, silent = self._session.run(["probabilities", "silent"], {"sound": batch})
        named = [dict(zip(self.classes, row.tolist(), strict=True)) for row in probabilities]
        return [{} if is_silent else row for row, is_silent in zip(named, silent, strict=True)]


def mean(answers: Sequence[Answer]) -> dict[str, float]:
    """Each class's mean probability over the windows that are not silent; none where all are."""
    rows = [answer.probabilities for answer in answers if answer.probabilities]
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]} if rows else {}


def table(answers: Sequence[Answer]) -> list[list[str]]:
    """A row a window: its seconds, its likeliest class and that one's probability."""
    return [[f"{answer.start:.2f} to {answer.end:.2f}", *_likeliest(answer.probabilities)] for answer in answers]


def _likeliest(probabilities: dict[str, float]) -> tuple[str, str]:
    if not probabilities:
        return "(silent)", ""
    name = max(probabilities, key=lambda name: probabilities[name])
    return name, f"{probabilities[name]:.2f}"


def about() -> str:
    """README.md below its title; nothing where there is none."""
    return README.read_text(encoding="utf-8").partition("\n# ")[2].partition("\n")[2] if README.exists() else ""


def as_text(name: str) -> str:
    """A name as Markdown that shows it as it is, whatever is in it."""
    return "".join(letter if letter.isalnum() or letter == " " else f"&#{ord(letter)};" for letter in name)


def page(model: Model) -> Any:
    """The page, as gradio's Blocks."""
    import gradio  # here: the functions above are of use without it

    def listen(path: str | None) -> tuple[str, Any, Any]:
        """What the page shows of a recording: a sentence, the class of the whole, the class of each window."""
        hidden = gradio.update(visible=False)
        if path is None:
            return "", hidden, hidden
        try:
            sound = decode(path)
            answers = model.answers(sound)
        except BadSoundError as error:
            return str(error), hidden, hidden
        if not (whole := mean(answers)):
            return SILENT, hidden, hidden
        return sound.note, gradio.update(value=whole, visible=True), gradio.update(value=table(answers), visible=True)

    with gradio.Blocks(title="What is this sound?", analytics_enabled=False, delete_cache=(600, 600)) as blocks:
        known = " · ".join(map(as_text, model.classes))
        gradio.Markdown(f"# What is this sound?\n\nRecord one, or drop a file. It is called one of: {known}")
        recording = gradio.Audio(sources=["microphone", "upload"], type="filepath", label="A sound", buttons=[])
        sentence = gradio.Markdown(elem_id="sentence")
        whole = gradio.Label(num_top_classes=TOP, label="The whole recording, mean over its windows", visible=False)
        windows = gradio.Dataframe(
            headers=["seconds", "class", "prob."],
            datatype="str",
            interactive=False,
            wrap=True,
            visible=False,
            elem_id="windows",
        )
        gradio.Markdown(about())
        recording.change(listen, recording, [sentence, whole, windows], api_name="listen")
    return blocks


def load(path: Path) -> Model:
    """The model in a file. Ends the program with a sentence where there is none."""
    cure = f"write it with 'audiocnn export --onnx {path}'."
    if not path.exists():
        sys.exit(f"error: {path} is not here: {cure}")
    try:
        return Model(path)
    except Exception as error:  # noqa: BLE001  # onnxruntime has many
        sys.exit(f"error: {path} is no model of audiocnn's, {type(error).__name__}: {cure}")


if __name__ == "__main__":
    page(load(MODEL)).launch(
        max_file_size=MOST_UPLOAD, run_history=False, footer_links=["api", "gradio"], head=AS_IT_IS
    )
