"""What is configured for W&B, found as wandb itself finds it, but without its import or a request.

The import takes 1.3 s in each worker and in aggregate, for most users only to find that nothing is configured. The
price: this module knows where wandb 0.31 looks, and pyproject.toml holds wandb below 0.32.
"""

import configparser
import hashlib
import netrc
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from audiocnn.config.runtime import WandbSettings

_DEFAULT_URL = "https://api.forge.coreweave.com"  # of wandb 0.31
_KEY_ALSO_UNDER = {"api.forge.coreweave.com": "api.wandb.ai", "forge.coreweave.com": "api.wandb.ai"}

Mode = Literal["auto", "online", "offline", "disabled"]
_MODES: dict[str, Mode] = {
    "online": "online",
    "run": "online",
    "shared": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}


@dataclass(frozen=True)
class WandbConfig:
    """mode: what is asked for. server: its host. has_key: whether credentials are configured for that server.

    digest: changes with server, credentials, project and entity; it tells nothing about the credentials.
    """

    mode: Mode
    server: str
    has_key: bool
    project: str
    entity: str | None
    digest: str


def wandb_config(settings: WandbSettings) -> WandbConfig:
    """The effective configuration: WANDB_* of the environment, else runtime.yaml, else wandb's own settings files."""
    own = _own_settings()
    base_url = os.environ.get("WANDB_BASE_URL") or own.get("base_url") or _DEFAULT_URL
    project = os.environ.get("WANDB_PROJECT") or settings.project
    entity = os.environ.get("WANDB_ENTITY") or settings.entity
    credentials = _credentials(base_url, own)
    told_apart = "\n".join((base_url, project, entity or "", credentials or ""))
    return WandbConfig(
        mode=_mode(settings, own),
        server=urlsplit(base_url).hostname or base_url,
        has_key=credentials is not None,
        project=project,
        entity=entity,
        digest=hashlib.sha256(told_apart.encode()).hexdigest()[:16],
    )


def _mode(settings: WandbSettings, own: dict[str, str]) -> Mode:
    asked = os.environ.get("WANDB_MODE") or (settings.mode if settings.mode != "auto" else own.get("mode", "auto"))
    return _MODES.get(asked, "auto")


def _credentials(base_url: str, own: dict[str, str]) -> str | None:
    return (
        os.environ.get("WANDB_API_KEY")
        or os.environ.get("WANDB_IDENTITY_TOKEN_FILE")
        or _netrc_password(urlsplit(base_url).netloc)
        or own.get("api_key")
        or None
    )


def _netrc_password(server: str) -> str | None:
    """The password of the server's own entry: a `default` entry is meant for other services."""
    try:
        entries = netrc.netrc(_netrc_path()).hosts
    except (OSError, RuntimeError, netrc.NetrcParseError, UnicodeDecodeError):
        return None
    entry = entries.get(server) or entries.get(_KEY_ALSO_UNDER.get(server, ""))
    return entry[2] if entry else None


def _netrc_path() -> Path:
    if given := os.environ.get("NETRC"):
        return Path(given).expanduser()
    usual, windows = Path.home() / ".netrc", Path.home() / "_netrc"
    return windows if windows.exists() and not usual.exists() else usual


def _own_settings() -> dict[str, str]:
    """The `default` section of wandb's settings files: the user's, then the project's over it."""
    parser = configparser.ConfigParser(interpolation=None, default_section="no section")
    root = Path(os.environ.get("WANDB_DIR") or ".")
    try:
        user = Path(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb").expanduser()
        folder = root / (".wandb" if (root / ".wandb").exists() else "wandb")
        parser.read([user / "settings", folder / "settings"], encoding="utf-8")
    except (OSError, RuntimeError, configparser.Error, UnicodeDecodeError):
        return {}
    return dict(parser["default"]) if parser.has_section("default") else {}
