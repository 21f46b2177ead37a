"""The memory that a fold takes while it trains on a CPU: enough to tell how many fit side by side."""

from audiocnn.config.model_params import POOLS
from audiocnn.folds.plan import Plan

_PROCESS = 400_000_000  # bytes: torch, the weights and Adam's moments at the published size
# Times the encoder's activations: forward, backward and scratch. Measured: 612 MB at (128, 173), 3.4 GB at (128, 1292).
_COPIES = 2.6


def fold_memory(plan: Plan) -> int:
    """Bytes that training one fold of a plan takes, roughly."""
    mels, frames = plan.meta.mels, plan.meta.frames
    values = 0
    for channels, (mel_pool, frame_pool) in zip(plan.model.encoder_channels, POOLS, strict=True):
        values += channels * mels * frames
        mels, frames = mels // mel_pool, frames // frame_pool
    return int(_PROCESS + _COPIES * 4 * plan.train.batch_size * values)
