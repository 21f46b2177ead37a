"""The network, and the weights files that explain themselves."""

from audiocnn.model.network import AudioCNN, EncoderBlock

__all__ = ["AudioCNN", "EncoderBlock"]
