"""Starting W&B runs and using them, with every wait bounded and every failure made one line.

Left alone, wandb asks at a terminal for a key, waits 101 s for a dead server, and its `finish` waits for ever.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiocnn.checkpoints.outage import outage_of, remember_outage
from audiocnn.tracking.config import WandbConfig

if TYPE_CHECKING:
    import wandb

_INIT_TIMEOUT = 8.0  # seconds; a server that answers needs less than 2
_FINISH_TIMEOUT = 10.0  # seconds for the last rows to arrive
_WANDB = "wandb"  # the service's name in outages

Say = Callable[[str], None]


class WandbService:
    """W&B as configured: starts runs, guards what is done with them, and remembers a server that failed.

    root: the checkpoint root, where outages are noted. say: takes the one line of a failure, or a run's address.
    """

    def __init__(self, config: WandbConfig, root: Path, say: Say) -> None:
        self._config, self._say = config, say
        self._root = root
        self._is_off = False

    def active_run(self) -> "wandb.Run | None":
        """The run that someone else, such as a sweep or a notebook, has started in this process, if any."""
        wandb = sys.modules.get("wandb")
        return getattr(wandb, "run", None) if self._config.mode != "disabled" else None

    def start(self, **identity: Any) -> "wandb.Run | None":
        """A new or resumed run of wandb.init's arguments, or None where W&B is not wanted or does not work."""
        config = self._config
        if config.mode == "disabled" or (config.mode == "auto" and not config.has_key):
            return None
        if config.mode != "offline" and (obstacle := self._obstacle()):
            self._turn_off(obstacle)
            return None
        started = time.monotonic()
        try:
            run = _init(config, identity)
        except Exception as error:  # noqa: BLE001  # the boundary to a service that no training depends on
            self._turn_off(self._why(error, time.monotonic() - started))
            _tear_down()
            return None
        if config.mode != "offline":
            self._say(f"W&B shows this run at {run.url}")
        return run

    def attempt(self, run: "wandb.Run", action: Callable[[], object]) -> None:
        """Does something with a run. A failure turns this object's W&B off: nothing after it is attempted."""
        if self._is_off:
            return
        try:
            action()
        except TimeoutError:
            self._remember(f"{self._config.server} fell silent during a run")
            command = f"wandb sync --no-skip-online {os.path.relpath(run.settings.sync_dir)}"
            self._turn_off(f"{self._config.server} fell silent; '{command}' sends this run later")
        except Exception as error:  # noqa: BLE001  # the boundary to a service that no training depends on
            self._turn_off(f"its client failed with {type(error).__name__}")

    def finish(self, run: "wandb.Run") -> None:
        """Ends a run that `start` began."""
        self.attempt(run, run.finish)
        if self._is_off:
            _tear_down()

    def _turn_off(self, reason: str) -> None:
        self._is_off = True
        self._say(f"W&B is off: {reason}.")

    def _why(self, error: Exception, seconds: float) -> str:
        text = " ".join(str(error).split())
        if type(error).__name__ == "AuthenticationError" or "error 401" in text:
            reason = f"{self._config.server} refuses the configured key"
        elif seconds > _INIT_TIMEOUT / 2:
            reason = f"{self._config.server} gave no usable answer in {_INIT_TIMEOUT:.0f} s"
        else:  # it answered, and soon: this run has a problem, the next may have none
            return f"{type(error).__name__}: {text[:200].rstrip('.')}"
        if self._config.mode != "offline":
            self._remember(reason)
        return reason

    def _obstacle(self) -> str | None:
        if not self._config.has_key:
            return "no key is configured, run 'wandb login' or set WANDB_API_KEY"
        if outage := outage_of(self._root, _WANDB, self._config.digest):
            return f"{outage.reason}, it is tried again in {outage.seconds / 60:.0f} min"
        return None

    def _remember(self, reason: str) -> None:
        remember_outage(self._root, _WANDB, reason, self._config.digest)


def _init(config: WandbConfig, identity: Mapping[str, Any]) -> "wandb.Run":
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read at import
    import wandb

    mode: Any = "offline" if config.mode == "offline" else "online"
    settings = wandb.Settings(
        mode=mode,
        silent=True,
        quiet=True,
        console="off",
        init_timeout=_INIT_TIMEOUT,
        finish_timeout=_FINISH_TIMEOUT,
        finish_timeout_raises=True,
    )
    wandb.setup(settings)
    if mode == "online" and not wandb.login(prompt=False, verify=False):  # init would ask at the terminal
        raise RuntimeError("wandb finds no key for this server, run 'wandb login'")
    run: wandb.Run = wandb.init(
        project=config.project,
        entity=config.entity,
        mode=mode,
        resume="allow",
        settings=settings,
        **identity,
    )
    return run


def _tear_down() -> None:
    """Lets wandb's own process go after a failure, else the next start or the end of this process stumbles over it."""
    with contextlib.suppress(Exception, SystemExit):  # SystemExit: with the exit code of that process
        import wandb

        wandb.run = None  # a failed run stays the active one
        wandb.teardown()
