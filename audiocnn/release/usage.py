"""The model card's part on how to use it: code that works as it stands for somebody who has the card alone."""

from importlib.metadata import metadata

import audiocnn
from audiocnn.config.all_clips import ALL_CLIPS_WEIGHTS
from audiocnn.model.weights import WeightsHeader
from audiocnn.release.origin import CodeOrigin


def usage(
    header: WeightsHeader, repository: str, folds: int, code: CodeOrigin, address: str | None, has_all_clips: bool
) -> str:
    """How to get audiocnn, and how to ask the networks, in a shell and in Python.

    header: that of any fold's weights. repository: OWNER/NAME. folds: how many. address: of the code, where it is
    public. has_all_clips: whether the network on all clips is there.
    """
    parts = [_install(code, address)]
    if header.recipe is not None:
        ensemble = f"hf://{repository}"
        place = f"{ensemble}/{ALL_CLIPS_WEIGHTS}" if has_all_clips else ensemble
        mean = f"the mean probability of the networks of all {folds} folds"
        parts += [_sound_file("the one network on all clips" if has_all_clips else mean, place)]
        if has_all_clips:
            parts += [f"With `{ensemble}` instead, {mean} answers: {folds} times the work."]
    return "\n\n".join([*parts, _network(header, repository)])


def _install(code: CodeOrigin, address: str | None) -> str:
    needs = f"audiocnn {audiocnn.__version__} for Python `{metadata('audiocnn')['Requires-Python']}`"
    changed = ", but for changes that its author's copy had" if code.changed else ""
    if address is None:
        commit = f", commit `{code.commit}`{changed}" if code.commit else ""
        return f"It takes {needs}{commit}. Where that is public is not known here: ask the author."
    command = _block("sh", f'pip install "audiocnn @ git+{address}@{code.commit}"')
    return f"It takes {needs}, from [its repository]({address}){changed}; in a virtual environment:\n\n{command}"


def _sound_file(who: str, place: str) -> str:
    """A shell's and a Python program's example. who: whose answer it is. place: of the weights."""
    program = (
        "import audiocnn\n\n"
        f'classifier = audiocnn.load("{place}")\n'
        'answer = classifier.predict("clip.wav")\n'
        "print(answer.class_name, answer.probability)"
    )
    command = f"audiocnn predict clip.wav --models {place}"
    return (
        f"What a sound file of yours is, here `clip.wav`, by {who}:\n\n{_block('sh', command)}\n\n"
        f"The same in Python:\n\n{_block('python', program)}"
    )


def _network(header: WeightsHeader, repository: str) -> str:
    """A fold's network for torch."""
    program = (
        "import torch\n"
        "from audiocnn.model import AudioCNN\n"
        f'model = AudioCNN.from_pretrained("{repository}", fold={header.fold})\n'
        f"logits = model(torch.zeros(1, {header.mels}, {header.frames}))"
        "  # (batch, mels, frames) in dB; names: model.classes"
    )
    return f"A fold's network, for spectrograms:\n\n{_block('python', program)}"


def _block(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"
