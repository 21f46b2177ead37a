"""A small Hugging Face Hub on loopback: datasets to download, models and Spaces to upload to, and faults on request.

The real client library talks to it over HTTP, by `HF_ENDPOINT`. It keeps everything in memory.
"""

import hashlib
import json
import socket
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import unquote, urlsplit

import pytest

COMMIT = "c0ffee" + "0" * 34
GOOD_TOKEN = "hf_good_token_for_tests"


@dataclass
class Repository:
    """One repository: file contents by path; `listed` overrides the sha256 that the listing gives for a path."""

    files: dict[str, bytes] = field(default_factory=dict)
    listed: dict[str, str] = field(default_factory=dict)
    commits: list[list[str]] = field(default_factory=list)  # paths added by each commit
    private: bool = False
    sdk: str | None = None  # of a Space


@dataclass
class Fault:
    """What goes wrong with the next `times` requests whose method and path match.

    status answers with `status` and `headers`; hang never answers; delay answers after `seconds`; cut closes and reset
    resets the connection in mid-body; stall stops in mid-body; corrupt flips a byte; trickle reads an upload slowly;
    restart cuts, takes the server down for `seconds` and brings it back.
    """

    kind: Literal["status", "hang", "delay", "cut", "reset", "stall", "corrupt", "trickle", "restart"]
    path: str = ""
    method: str = ""
    times: float = float("inf")
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def takes(self, method: str, path: str) -> bool:
        if self.times <= 0 or self.path not in path or self.method not in ("", method):
            return False
        self.times -= 1
        return True


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class FakeHub:
    """The server and its state. `requests` lists (method, path) in the order of arrival."""

    def __init__(self) -> None:
        self.datasets: dict[str, Repository] = {}
        self.models: dict[str, Repository] = {}
        self.spaces: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self._serve(0)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def _serve(self, port: int) -> None:
        hub = self

        class Handler(_Handler):
            state = hub

        self.server = _Server(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def restart(self, seconds: float) -> None:
        """Breaks all connections off and refuses new ones for some seconds."""
        port = int(self.server.server_address[1])
        self.server.shutdown()
        self.server.server_close()
        for connection in list(self.server.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        time.sleep(seconds)
        self._serve(port)

    def reset(self) -> None:
        """Forgets repositories, faults and requests."""
        for state in (self.datasets, self.models, self.spaces, self.blobs, self.faults, self.requests):
            state.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()

    def fault_for(self, method: str, path: str) -> Fault | None:
        with self.lock:
            self.requests.append((method, path))
            return next((fault for fault in self.faults if fault.takes(method, path)), None)


def use_in_this_process(hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the client library, which reads its environment once, talk to this Hub; we wait for it briefly."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("audiocnn.hub.client.FIRST_WAIT", 0.01)
    monkeypatch.setattr("audiocnn.hub.client.PATIENCE", 0.2)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type["_Handler"]) -> None:
        super().__init__(address, handler)
        self.connections: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        self.close_request(request)  # no shutdown() before it, which would send FIN where a reset is wanted

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that went away


class _Handler(BaseHTTPRequestHandler):
    state: FakeHub
    protocol_version = "HTTP/1.1"
    fault: Fault | None = None

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._handle()

    def do_HEAD(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def _handle(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.fault = self.state.fault_for(self.command, path)
        body = self._read_body()
        if self.fault and self.fault.kind == "hang":
            self.state.stopped.wait(120)
            self.close_connection = True
        elif self.fault and self.fault.kind == "status":
            self._answer(self.fault.status, b"{}", self.fault.headers)
        else:
            if self.fault and self.fault.kind == "delay":
                time.sleep(self.fault.seconds)
            self._route(path, body)

    def _read_body(self) -> bytes:
        left = int(self.headers.get("Content-Length") or 0)
        if not (self.fault and self.fault.kind == "trickle"):
            return self.rfile.read(left)
        body = b""
        while len(body) < left and not self.state.stopped.is_set():
            time.sleep(self.fault.seconds)
            body += self.rfile.read(min(1024, left - len(body)))
        return body

    def _route(self, path: str, body: bytes) -> None:
        parts = path.strip("/").split("/")
        if path == "/api/repos/create":
            self._create(json.loads(body))
        elif parts[0] == "api" and parts[1] in ("datasets", "models", "spaces"):
            self._api(parts[1], "/".join(parts[2:4]), parts[4:], body)
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif path.endswith("/info/lfs/objects/batch"):
            self._batch(json.loads(body))
        elif parts[0] == "datasets":
            self._file(self.state.datasets.get("/".join(parts[1:3])), "/".join(parts[5:]))
        elif parts[0] == "lfs":
            self.state.blobs[parts[1]] = body
            self._answer(200 if sha256(body) == parts[1] else 400)
        elif parts[2:3] == ["resolve"]:
            self._file(self.state.models.get("/".join(parts[:2])), "/".join(parts[4:]))
        else:
            self._answer(404)

    def _api(self, kind: str, name: str, rest: list[str], body: bytes) -> None:
        repository = self._repositories(kind).get(name)
        if repository is None or (repository.private and not self._logged_in()):
            self._answer(404 if self._logged_in() else 401, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif rest and rest[0] == "preupload":
            self._json({"files": [self._mode(repository, file["path"]) for file in json.loads(body)["files"]]})
        elif rest and rest[0] == "commit":
            self._commit(_address(kind, name), repository, body)
        elif rest and rest[1] not in ("main", COMMIT):
            self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif rest and rest[0] == "tree":
            self._json([_entry(repository, path) for path in repository.files])
        else:
            self._json({"id": name, "sha": COMMIT})

    def _logged_in(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {GOOD_TOKEN}"

    def _repositories(self, kind: str) -> dict[str, Repository]:
        return {"datasets": self.state.datasets, "models": self.state.models, "spaces": self.state.spaces}[kind]

    def _create(self, wanted: dict[str, Any]) -> None:
        name, kind = f"{wanted['organization']}/{wanted['name']}", f"{wanted.get('type', 'model')}s"
        repositories = self._repositories(kind)
        status = 409 if name in repositories else 200
        repositories.setdefault(name, Repository(private=wanted.get("visibility") == "private", sdk=wanted.get("sdk")))
        self._json({"url": f"{self.state.url}/{_address(kind, name)}"}, status)

    def _mode(self, repository: Repository, path: str) -> dict[str, Any]:
        oid = sha256(repository.files[path]) if path in repository.files else None
        return {"path": path, "uploadMode": "lfs", "shouldIgnore": False, "oid": oid}

    def _batch(self, wanted: dict[str, Any]) -> None:
        objects = [dict(item) for item in wanted["objects"]]
        for item in objects:
            if item["oid"] not in self.state.blobs:
                item["actions"] = {"upload": {"href": f"{self.state.url}/lfs/{item['oid']}"}}
        self._json({"transfer": "basic", "objects": objects})

    def _commit(self, name: str, repository: Repository, body: bytes) -> None:
        operations = [json.loads(line) for line in body.splitlines()]
        added = {op["value"]["path"]: op["value"]["oid"] for op in operations if op["key"] == "lfsFile"}
        deleted = {op["value"]["path"] for op in operations if op["key"] == "deletedFile"}
        with self.state.lock:
            for path in deleted:
                del repository.files[path]
            repository.files |= {path: self.state.blobs[oid] for path, oid in added.items()}
            repository.commits.append(sorted(added))
        self._json({"commitUrl": f"{self.state.url}/{name}/commit/{COMMIT}", "commitOid": COMMIT})

    def _file(self, repository: Repository | None, path: str) -> None:
        if repository is None or path not in repository.files:
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        content = repository.files[path]
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{sha256(content)}"', "Accept-Ranges": "bytes"}
        if wanted := self.headers.get("Range"):
            first = int(wanted.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            self._answer(206, content[first:], headers)
        else:
            self._answer(200, content, headers)

    def _json(self, value: object, status: int = 200) -> None:
        self._answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _answer(self, status: int, body: bytes = b"{}", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self._send(body)

    def _send(self, body: bytes) -> None:
        kind = self.fault.kind if self.fault else ""
        if kind == "corrupt":
            body = body[:-1] + bytes([body[-1] ^ 1])
        if kind not in ("cut", "reset", "stall", "restart"):
            self.wfile.write(body)
            return
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        self.close_connection = True
        if kind == "stall":
            self.state.stopped.wait(120)
        elif kind == "reset":  # lingering for 0 seconds makes the coming close() send RST
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif kind == "restart":
            assert self.fault is not None
            threading.Thread(target=self.state.restart, args=(self.fault.seconds,), daemon=True).start()


def _address(kind: str, name: str) -> str:
    """A repository's path on the Hub: models have no kind in theirs."""
    return name if kind == "models" else f"{kind}/{name}"


def _entry(repository: Repository, path: str) -> dict[str, Any]:
    content = repository.files[path]
    listed = repository.listed.get(path, sha256(content))
    lfs = {"oid": listed, "size": len(content), "pointerSize": 130}
    return {"type": "file", "path": path, "size": len(content), "oid": listed[:40], "lfs": lfs}
