"""The network that is trained on all clips, to be shipped: what its file is called, and how its header says so."""

ALL_CLIPS_WEIGHTS = "model_all_clips.safetensors"
ALL_CLIPS = -1  # in the place of a fold's number: no fold is held out


def fold_words(fold: int) -> str:
    """What a line for people calls a training: `fold 3`, or `all clips`."""
    return "all clips" if fold == ALL_CLIPS else f"fold {fold}"
