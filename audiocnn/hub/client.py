"""The Hub's client library, made to fail soon and to say why.

Left alone, huggingface_hub waits for ever on a server that accepts and never answers, retries some requests and not
others, sleeps for as long as a `Retry-After` says, and after a 5xx or 403 can return an incomplete folder as if all
were well. Here every request has a timeout, every failure is one exception, and one loop retries.
"""

import logging
import os
import re
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import httpx2

from audiocnn.config.hub_names import is_commit
from audiocnn.errors import UserError
from audiocnn.text import displayed

if TYPE_CHECKING:
    from huggingface_hub import DatasetInfo, HfApi, ModelInfo

REQUEST_TIMEOUT = 10.0  # seconds for one connect, one read and one write; the library's own value for downloads
PATIENCE = 50.0  # seconds of failed requests and waiting, together, before giving up
FIRST_WAIT = 1.0  # seconds before the second try; doubled for each further one
_LONGEST_WAIT = 15.0  # seconds between two tries, unless the server asks for more
_TEMPORARY = (408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524)

Answer = TypeVar("Answer")


class HubError(Exception):
    """A request to the Hub that failed.

    reason: half a sentence without URL or header, so that it holds no token. status: the HTTP status, where there was
    an answer. code: the Hub's own `X-Error-Code`. lost: seconds that the request took. retry_after: seconds that the
    server asks to wait. temporary: whether another try may succeed.
    """

    def __init__(
        self,
        reason: str,
        *,
        temporary: bool,
        status: int | None = None,
        code: str = "",
        lost: float = 0.0,
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.temporary = temporary
        self.status = status
        self.code = code
        self.lost = lost
        self.retry_after = retry_after


class _BoundedClient(httpx2.Client):
    """A client whose requests end in time, and whose failures pass through the library's own handling unseen."""

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        from huggingface_hub.errors import OfflineModeIsEnabled

        if request.url.path == "/api/agent-harnesses":  # the library's daily survey, which no file depends on
            raise HubError("it is not needed", temporary=False)
        limits = request.extensions.get("timeout", {})
        request.extensions["timeout"] = {
            part: min(limits.get(part) or REQUEST_TIMEOUT, REQUEST_TIMEOUT)
            for part in ("connect", "read", "write", "pool")
        }
        started = time.monotonic()
        try:
            response = super().send(request, **options)
        except OfflineModeIsEnabled:
            raise HubError("offline mode is on (HF_HUB_OFFLINE)", temporary=False) from None
        except httpx2.LocalProtocolError:  # its text quotes the header: the token
            raise HubError("the token is not one that can be sent (HF_TOKEN)", temporary=False) from None
        except httpx2.TransportError as error:
            lost = time.monotonic() - started
            raise HubError(f"{request.url.host} {_describe(error)}", temporary=True, lost=lost) from None
        _raise_for_status(request, response, time.monotonic() - started)
        return response


def _describe(error: httpx2.TransportError) -> str:
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return "cannot be reached"
    if isinstance(error, httpx2.TimeoutException):
        return "does not answer"
    return "broke the connection off"


def _raise_for_status(request: httpx2.Request, response: httpx2.Response, lost: float) -> None:
    # A download's 401, 403 and 404 are raised here since the library hides some of them; an upload's it handles well
    # (create_repo takes a 409 or 403 to mean that the repository may exist).
    status = response.status_code
    temporary = status in _TEMPORARY
    if not temporary and not (request.method in ("GET", "HEAD") and status in (401, 403, 404)):
        return
    response.close()
    raise HubError(
        f"{request.url.host} answered HTTP {status}",
        temporary=temporary,
        status=status,
        code=response.headers.get("x-error-code", ""),
        lost=lost,
        retry_after=_retry_after(response.headers),
    )


def _retry_after(headers: httpx2.Headers) -> float:
    # The Hub's own answers to a 429 give the seconds as `RateLimit: "api";r=0;t=55`.
    match = re.fullmatch(r"(\d+)", headers.get("retry-after", "")) or re.search(
        r";\s*t=(\d+)", headers.get("ratelimit", "")
    )
    return float(match[1]) if match else 0.0


def hub_api(progress: bool = False) -> "HfApi":
    """The library's API object, with every request of the library in this process bounded.

    progress: whether the library draws its bars, on a terminal. Raises UserError where this machine's settings of the
    network are none.
    """
    _check_endpoint()
    from huggingface_hub import HfApi, constants, set_client_factory
    from huggingface_hub.utils.tqdm import disable_progress_bars

    # Xet's uploads and downloads go around the client that is bounded here. Its environment variable would be too late
    # where the library has been imported before.
    constants.HF_HUB_DISABLE_XET = constants.HF_HUB_DISABLE_TELEMETRY = True

    if not (progress and sys.stderr.isatty()):
        disable_progress_bars()
    hooks = _event_hooks()

    set_client_factory(lambda: _BoundedClient(event_hooks=hooks, follow_redirects=True))
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    return HfApi()


def _check_endpoint() -> None:
    """Raises UserError where HF_ENDPOINT is not an address."""
    endpoint = os.environ.get("HF_ENDPOINT", "")
    try:
        parts = urlsplit(endpoint)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:  # half an IPv6 address
        is_address = False
    if endpoint and not is_address:
        raise UserError("HF_ENDPOINT is not an address, expected one such as https://huggingface.co: mend or unset it.")


def _event_hooks() -> dict[str, Any]:
    """The library's own hooks: offline mode, request ids. Its client, made for that, reads the network's settings."""
    from huggingface_hub import get_session

    proxies = "ALL_PROXY, HTTPS_PROXY or HTTP_PROXY"
    try:
        return dict(get_session().event_hooks)
    except ImportError:
        raise UserError(f"{proxies} names a SOCKS proxy: run 'pip install socksio', or unset it.") from None
    except OSError as error:
        raise UserError(
            f"the certificates of SSL_CERT_FILE or SSL_CERT_DIR cannot be read ({error.strerror}): name what is there, "
            "or unset them."
        ) from None
    except ValueError:
        raise UserError(f"{proxies} is not a proxy, expected an address such as http://host:3128: mend it.") from None


def patiently(action: Callable[[], Answer], *, quiet: bool = False) -> Answer:
    """Runs an action, again after each temporary failure, until it succeeds or PATIENCE seconds are spent.

    What counts is the time that failed requests took and the waits between tries (doubling, or what the server
    asks), not the time in which bytes flowed: no retry library that we know has such a budget. Raises HubError: at once
    where another try is of no use.
    """
    spent, wait = 0.0, FIRST_WAIT
    while True:
        try:
            return action()
        except (HubError, httpx2.HTTPError, OSError, ValueError, LookupError, TypeError, RuntimeError) as error:
            trouble = _as_trouble(error)
        pause = max(wait, trouble.retry_after)
        spent += trouble.lost + pause
        if not trouble.temporary or spent > PATIENCE:
            raise trouble
        if wait == FIRST_WAIT and not quiet:
            print(displayed(f"{trouble.reason}: trying again for {PATIENCE:.0f} s at most"), file=sys.stderr)
        time.sleep(pause)
        wait = min(2 * wait, _LONGEST_WAIT)


def _as_trouble(error: Exception) -> HubError:
    cause = error.__cause__ if isinstance(error, RuntimeError) else error  # how the library reports a failed PUT
    if isinstance(cause, HubError):
        return cause
    if isinstance(cause, httpx2.TransportError):
        # The library resumes five times after a cut or a silence in mid-body; only a reset comes here at once.
        return HubError("the connection broke in mid-file", temporary=isinstance(cause, httpx2.NetworkError))
    if isinstance(cause, OSError) and cause.errno is not None:
        raise cause  # the disk, not the Hub
    if isinstance(cause, httpx2.HTTPError):
        response: httpx2.Response | None = getattr(cause, "response", None)
        status = response.status_code if response is not None else None
        return HubError(f"the server answered HTTP {status}", temporary=False, status=status)
    if isinstance(cause, UnicodeError):
        return HubError("the token is not one that can be sent (HF_TOKEN)", temporary=False)
    if isinstance(cause, OSError):  # "Consistency check failed": fewer bytes than announced
        return HubError("a file came incomplete", temporary=True)
    what = type(cause).__name__
    return HubError(f"the server's answer is not the Hub's ({what}; a login page? HF_ENDPOINT?)", temporary=False)


def explained(trouble: HubError, task: str) -> UserError:
    """The one sentence for a failure that stays; `task` says what was tried, such as `get dataset OWNER/NAME`."""
    if trouble.status == 401:
        hint = "it does not exist, or it is private: check the name, or log in with 'hf auth login' or HF_TOKEN"
    elif trouble.status == 403:
        hint = "access is its owner's to give: ask for it on the repository's page, and log in with 'hf auth login'"
    elif trouble.status == 404 and trouble.code == "RevisionNotFound":
        hint = "there is no such revision: check what follows the @"
    elif trouble.status == 404 and trouble.code == "EntryNotFound":
        hint = "a file of it is gone: try again, or take another revision"
    elif trouble.status == 404:
        hint = "there is no such repository, or it is private: check the name, or log in with 'hf auth login'"
    elif trouble.retry_after:
        hint = (
            f"it asks to be left alone for {trouble.retry_after:.0f} s: try again after that; what is complete is kept"
        )
    elif trouble.temporary:
        hint = "check the network, or try again later; what is complete is kept"
    else:
        hint = "fix that and run it again"
    return UserError(f"cannot {task}: {trouble.reason}; {hint}.")


def commit_of(info: "DatasetInfo | ModelInfo", task: str) -> str:
    """The commit, 40 hex digits, that the Hub resolved a revision to. Raises UserError, as explained does."""
    if not is_commit(info.sha or ""):
        raise UserError(f"cannot {task}: the server names no commit of 40 hex digits; check HF_ENDPOINT.")
    return str(info.sha)


def other_bytes(task: str, name: str) -> UserError:
    """The error where a file's checksum is wrong after a second download."""
    return UserError(
        f"cannot {task}: {name} came twice with other bytes than the repository lists; "
        "try again later, or tell its owner."
    )
