"""The `train` group of params.yaml: the training procedure of one fold. The defaults are the published procedure."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from audiocnn.config.augment_params import AugmentParams
from audiocnn.config.model_params import ModelParams
from audiocnn.config.settings import Settings
from audiocnn.files import digest

Positive = Annotated[int, Field(ge=1, le=1_000_000)]
Natural = Annotated[int, Field(ge=0, le=2**63 - 1)]


# What was added to the published procedure. The defaults, which are off, stay what they are.
LEVERS = (
    "optimizer",
    "weight_decay",
    "schedule",
    "warmup_epochs",
    "label_smoothing",
    "normalise",
    "ema_decay",
    "test_crops",
    "calibrate",
    "augment",
)


class TrainParams(Settings):
    """The training procedure of one fold (Adam, cross-entropy, ReduceLROnPlateau, early stopping).

    optimizer, weight_decay: AdamW's decay of all weights that are not biases or of a normalisation. schedule,
    warmup_epochs: `cosine` rises to lr over the first epochs and falls to min_lr at the last step; lr_factor and
    lr_patience are `plateau`'s. label_smoothing: the share of a label that goes to all classes alike.
    normalise: the input by mean and standard deviation of the training clips, over all bands or of each. ema_decay: the
    weights that are measured and kept are an exponential moving average over the steps; 0: those of the last step.
    test_crops: a clip's answer is the mean over so many windows of augment.crop's share of it; 1: the whole clip's.
    calibrate: the logits are divided by a temperature that is fitted on the validation clips after training.
    precision: `tf32` lets a GPU multiply with 10 bits of mantissa; `bf16` runs convolutions and products in bfloat16.
    arithmetic: `portable` gives the same bytes on every x86-64 CPU with AVX2 and FMA; `native` takes the widest
    instructions of the CPU at hand. It says nothing about GPUs and other CPUs.
    """

    seed: Natural = 0
    epochs: Positive = 50
    batch_size: Positive = 32
    lr: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] = 1e-3
    lr_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.2
    lr_patience: Natural = 5
    min_lr: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 1e-5
    early_stopping_patience: Positive = 10
    validation: Literal["held_out", "previous_fold", "none"] = "held_out"
    threads: Positive = 1
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    arithmetic: Literal["portable", "native"] = "portable"
    optimizer: Literal["adam", "adamw"] = "adam"
    weight_decay: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0
    schedule: Literal["plateau", "cosine"] = "plateau"
    warmup_epochs: Natural = 0
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    normalise: Literal["none", "global", "mel"] = "none"
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    test_crops: Annotated[int, Field(ge=1, le=100)] = 1
    calibrate: bool = False
    augment: AugmentParams = AugmentParams()

    @model_validator(mode="after")
    def _levers_fit(self) -> Self:
        if self.weight_decay and self.optimizer != "adamw":
            raise ValueError("weight_decay is that of optimizer: adamw, so set that beside it")
        if self.warmup_epochs and self.schedule != "cosine":
            raise ValueError("warmup_epochs is the start of schedule: cosine, so set that beside it")
        if self.warmup_epochs >= self.epochs and self.warmup_epochs:
            raise ValueError(f"warmup_epochs is {self.warmup_epochs}, expected fewer than the {self.epochs} epochs")
        if self.test_crops > 1 and self.augment.crop == 1:
            raise ValueError("test_crops are windows of augment.crop's share of a clip, so set that below 1 beside it")
        if self.calibrate and self.validation != "previous_fold":
            raise ValueError(
                "calibrate takes clips that neither train nor are tested, so set validation: previous_fold beside it"
            )
        if self.schedule == "cosine" and self.min_lr > self.lr:
            raise ValueError(
                f"min_lr is {self.min_lr:g}, expected at most lr, {self.lr:g}, where schedule: cosine starts"
            )
        return self

    @model_validator(mode="after")
    def _same_bytes(self) -> Self:
        if self.precision == "bf16" and self.arithmetic == "portable":
            raise ValueError("precision: bf16 is not portable from CPU to CPU, so set arithmetic: native beside it")
        return self


def effective_params(model: ModelParams, train: TrainParams) -> dict[str, Any]:
    """All values that training goes by, defaults included, as JSON has them: {"model": {...}, "train": {...}}."""
    return {"model": model.model_dump(mode="json"), "train": train.model_dump(mode="json")}


def params_digest(model: ModelParams, train: TrainParams) -> str:
    """sha256 of the effective params, 64 hex digits, as the header of weights has it.

    Levers that are off are left out: a version that has more of them writes the same bytes without them.
    """
    values, off = effective_params(model, train), TrainParams().model_dump(mode="json")
    changed = {name: value for name, value in values["train"].items() if name not in LEVERS or value != off[name]}
    return digest({**values, "train": changed})
