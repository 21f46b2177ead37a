"""The network that is trained on all clips: the number that stands for its fold, and the names of its two files."""

ALL_CLIPS = -1  # no fold is held out; no file of a fold's weights has such a number, so it votes in no ensemble
ALL_CLIPS_WEIGHTS = "model_all_clips.safetensors"
ALL_CLIPS_RECORD = "model_all_clips.json"


def fold_words(fold: int) -> str:
    """A fold by its index, or all clips, as lines about its training begin."""
    return "all clips" if fold == ALL_CLIPS else f"fold {fold}"
