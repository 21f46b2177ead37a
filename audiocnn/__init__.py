"""AudioCNN: a reproducible, data-versioned pipeline for classifying sounds by their mel spectrograms."""

__version__ = "0.1.0"
