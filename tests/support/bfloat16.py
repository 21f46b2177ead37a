"""Trains a fold with train.precision bf16 in a process of native arithmetic, and prints what a test asks, as JSON.

    python -m tests.support.bfloat16 EMPTY_FOLDER

supported: whether this CPU computes in bfloat16. layouts: of the first two blocks' outputs, [dtype, whether oneDNN's].
gradient_errors: of each weight's gradient against float32's, relative. resumed_is_same: whether a fold that stopped in
between ends in the bytes of one that did not. answers_error: the largest difference of the held-out clips' logits in
the fold's result from those of its weights in float32.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from audiocnn.config.train_params import TrainParams
from audiocnn.data.dataset import split_rows
from audiocnn.inference.pretrained import load_weights
from audiocnn.model.network import AudioCNN
from audiocnn.model.quick_on_cpu import computes_in_bfloat16
from tests.support.prepared import write_prepared
from tests.support.training import TRAIN, make_job, result_bytes, train_until

BF16 = TrainParams(**{**TRAIN.model_dump(), "precision": "bf16", "arithmetic": "native"})


def layouts_and_gradient_errors() -> dict[str, Any]:
    """Of one step of a network without dropout on clips that vary by about 1, as normalised ones do."""
    torch.manual_seed(0)
    network = AudioCNN(40, 6, 50, encoder_dropout=0.0, head_dropout=0.0)
    clips, labels = torch.randn(12, 40, 50), torch.arange(12) % 6
    outputs: list[Tensor] = []

    def gradients() -> dict[str, Tensor]:
        network.zero_grad()
        cross_entropy(network(clips).float(), labels).backward()  # type: ignore[no-untyped-call]
        return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}

    exact = gradients()

    def keep(module: nn.Module, arguments: object, output: Tensor) -> None:
        outputs.append(output)

    network.encoder1.register_forward_hook(keep)
    network.encoder2.register_forward_hook(keep)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = gradients()
    return {
        "layouts": [[str(output.dtype), output.is_mkldnn] for output in outputs],
        "gradient_errors": {
            name: ((rounded[name] - gradient).norm() / gradient.norm()).item() for name, gradient in exact.items()
        },
    }


def whole_fold(root: Path) -> dict[str, Any]:
    """Of a fold that is trained twice, once with a stop after the third epoch."""
    write_prepared(root / "prepared")
    whole, stopped = (make_job(root / "prepared", root / name, BF16) for name in ("whole", "stopped"))
    train_until(whole)
    train_until(stopped, 2)
    train_until(stopped)
    held_out = split_rows(root / "prepared", whole.meta, 0, "held_out").held_out
    logits = json.loads(result_bytes(whole.folder)["fold_0.json"])["held_out"]["logits"]
    network = load_weights(whole.folder / "model_fold_0_best.safetensors")
    with torch.inference_mode():
        answers = network(torch.from_numpy(np.load(root / "prepared/features.npy")[held_out]))
    return {
        "resumed_is_same": result_bytes(whole.folder) == result_bytes(stopped.folder),
        "answers_error": (answers - torch.tensor(logits)).abs().max().item(),
    }


if __name__ == "__main__":
    print(
        json.dumps(
            {"supported": computes_in_bfloat16(), **layouts_and_gradient_errors(), **whole_fold(Path(sys.argv[1]))}
        )
    )
