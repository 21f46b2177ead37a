"""runtime.yaml: how to run, never what comes out. No DVC stage lists it, so it re-trains nothing."""

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from audiocnn.config.hub_names import REPOSITORY_PATTERN
from audiocnn.config.settings import Settings, read_settings
from audiocnn.errors import UserError
from audiocnn.processes import usable_cores, usable_memory

_RUNTIME_FILE = Path("runtime.yaml")
_DEV = Path("/dev")
_ADDRESS = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):([0-9]{1,5})")  # HOST:PORT
MANY = 1 << 20  # more folds than there are slots anywhere


class CheckpointSettings(Settings):
    """keep: `last` keeps the last two epochs and the best, `all` every epoch."""

    keep: Literal["last", "all"] = "last"


class WandbSettings(Settings):
    """Weights & Biases. mode: `auto` is online where a key is configured. watch: what to draw histograms of."""

    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    project: Annotated[str, Field(min_length=1)] = "audiocnn"
    entity: str | None = None
    watch: Literal["none", "gradients", "parameters", "all"] = "none"


class HubSettings(Settings):
    """model_repo: OWNER/NAME of the Hub's model repository that weights go to; none by default.

    private: whether the repository is made private where it does not exist yet. upload: every epoch's weights and the
    best models (`epochs`), the best models alone (`best`), or nothing.
    """

    model_repo: Annotated[str, Field(pattern=REPOSITORY_PATTERN)] | None = None
    private: bool = True
    upload: Literal["epochs", "best", "none"] = "epochs"


class EngineSettings(Settings):
    """Where folds train: `local`, on this machine, or `ray`, on the machines of a Ray cluster.

    address: HOST:PORT of the cluster's head; null takes RAY_ADDRESS. ship_every: seconds between two times that a
    fold's checkpoint comes here. lost_after: seconds of silence after which a fold is lost and goes on elsewhere.
    mix_kinds: whether a fold may go on on a machine whose arithmetic differs from that of the machine it began on.
    """

    kind: Literal["local", "ray"] = "local"
    address: str | None = None
    ship_every: Annotated[float, Field(strict=False, gt=0, le=3600)] = 10.0
    lost_after: Annotated[float, Field(strict=False, ge=5, le=3600)] = 60.0
    mix_kinds: bool = False

    @field_validator("address")
    @classmethod
    def _names_host_and_port(cls, address: str | None) -> str | None:
        if address is not None and not is_address(address):
            raise ValueError("HOST:PORT of the cluster's head, such as 192.168.1.10:6379")
        return address


class Runtime(Settings):
    """runtime.yaml as a whole.

    jobs: folds that train side by side; `auto` is one a core at one thread each, as far as memory
    goes, or jobs_per_gpu on every GPU. With an engine of more machines: all slots that it has.
    """

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    jobs: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    jobs_per_gpu: Annotated[int, Field(ge=1)] = 1
    engine: EngineSettings = EngineSettings()
    checkpoints: CheckpointSettings = CheckpointSettings()
    wandb: WandbSettings = WandbSettings()
    hub: HubSettings = HubSettings()


def is_address(text: str) -> bool:
    """Whether a text is HOST:PORT."""
    match = _ADDRESS.fullmatch(text)
    return match is not None and 0 < int(match[2]) < 1 << 16


def read_runtime(path: Path = _RUNTIME_FILE) -> Runtime:
    """runtime.yaml, validated; the defaults where there is none. Raises UserError."""
    return read_settings(path, Runtime) if path.exists() else Runtime()


def checkpoint_root() -> Path:
    """Where checkpoints live: `AUDIOCNN_CHECKPOINTS`, or checkpoints/ here.

    `dvc exp run --temp` and queued runs work in a copy of the project that lacks ignored folders; the variable,
    as an absolute path, gives them the checkpoints of the project itself. `~` is the user's home. Raises UserError
    where it names no place for files.
    """
    named = os.environ.get("AUDIOCNN_CHECKPOINTS") or "checkpoints"
    root = Path(named).expanduser() if re.match(r"~(/|$)", named) else Path(named)
    is_of_the_system = root.resolve().is_relative_to("/proc") or root.resolve().is_relative_to("/sys")
    if is_of_the_system or (root.exists() and not root.is_dir()):
        raise UserError(
            f"checkpoints go to {root}, which is no folder for files: name one in AUDIOCNN_CHECKPOINTS, or unset it."
        )
    return root


def device_type(runtime: Runtime) -> str:
    """`cpu`, `cuda` or `mps`. `auto` asks torch only where a GPU may be, since importing torch takes seconds."""
    if runtime.device != "auto":
        return runtime.device
    if sys.platform == "linux" and not _gpu_files():
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _gpu_files() -> list[Path]:
    """What Linux shows of GPUs: one of NVIDIA each, or WSL's one for all."""
    return [*_DEV.glob("nvidia[0-9]*"), *_DEV.glob("dxg")]


def unused_gpu(runtime: Runtime, device: str) -> str | None:
    """A sentence where device: auto came to the CPU although a GPU is here."""
    if runtime.device != "auto" or device != "cpu" or sys.platform != "linux" or not _gpu_files():
        return None
    return f"a GPU is here, but torch cannot use it ({_why_no_cuda()}): folds train on the CPU"


def _why_no_cuda() -> str:
    import torch

    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built for the CPU alone; 'make clean', then 'make repro' chooses again"
    return f"torch {torch.__version__} is built for CUDA {torch.version.cuda}, which the driver may be too old for"


def check_device(device: str) -> None:
    """Raises UserError where torch has no such device here. Asks torch for cuda and mps alone: importing it is slow."""
    if device == "cpu":
        return
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        why = _why_no_cuda() if _gpu_files() else "no NVIDIA GPU is here"
    elif device == "mps" and not torch.backends.mps.is_available():
        why = "that takes a Mac with Apple's own processor"
    else:
        return
    raise UserError(f"runtime.yaml: device is {device}, and torch finds none ({why}): set device: auto or cpu.")


def job_count(runtime: Runtime, device: str, threads: int, fold_memory: int) -> int:
    """How many folds train side by side: runtime.yaml's `jobs`, or as many as the machine's cores and memory allow.

    fold_memory: bytes that a fold takes on a CPU.
    """
    if runtime.jobs != "auto":
        return runtime.jobs
    if runtime.engine.kind != "local":
        return MANY
    if device != "cpu":
        return max(1, len(visible_gpus(device))) * runtime.jobs_per_gpu
    return max(1, min(usable_cores() // threads, usable_memory() // fold_memory))


def visible_gpus(device: str) -> list[str]:
    """The CUDA devices that this process may use, as CUDA_VISIBLE_DEVICES names them; none for other device types."""
    if device != "cuda":
        return []
    if (chosen := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in chosen.split(",") if name.strip()]
    import torch

    return [str(index) for index in range(torch.cuda.device_count())]
