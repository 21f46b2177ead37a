"""A W&B server on loopback, as little as the real client needs, that can refuse, hang or die while a run goes on."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Fault = Literal["none", "refuse", "error", "hang"]


@dataclass
class FakeRun:
    """What the server knows of a run. fields: of the last UpsertBucket. history: one dict a row. files: by name."""

    fields: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    exit_code: int | None = None

    @property
    def config(self) -> dict[str, Any]:
        """The run's config without the client's own entry."""
        entries = json.loads(self.fields.get("config") or "{}")
        return {name: entry["value"] for name, entry in entries.items() if name != "_wandb"}


class FakeWandb(ThreadingHTTPServer):
    """The server. `fault` may change at any time; `die` closes the port. `requests` lists what was asked, in order."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.fault: Fault = "none"
        self.runs: dict[str, FakeRun] = {}
        self.requests: list[str] = []
        self.lock = threading.Lock()
        self.over = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def run(self, name: str) -> FakeRun:
        return self.runs.setdefault(name, FakeRun())

    def die(self) -> None:
        """Stops listening and lets go of every request that hangs."""
        self.over.set()
        self.shutdown()
        self.server_close()
        self._thread.join()


@contextmanager
def fake_wandb(fault: Fault = "none") -> Iterator[FakeWandb]:
    """A server for the length of a with block."""
    server = FakeWandb()
    server.fault = fault
    try:
        yield server
    finally:
        server.die()


class _Handler(BaseHTTPRequestHandler):
    server: FakeWandb  # HTTP/1.0: every answer closes its connection, so that `die` leaves none open

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not body:  # the client has gone
            return
        query = json.loads(body) if self.path == "/graphql" else {}
        self.server.requests.append(query.get("operationName") or self.path)
        if self.server.fault == "hang":
            self.server.over.wait()
        elif self.server.fault == "refuse":
            self._answer({"errors": [{"message": "invalid API key"}]}, status=401)
        elif self.server.fault == "error":
            self._answer({"errors": [{"message": "internal error"}]}, status=500)
        else:
            with self.server.lock:
                answer = self._graphql(query) if query else self._file_stream(json.loads(body))
            self._answer(answer)

    def do_PUT(self) -> None:
        _, _, run, name = self.path.split("/", 3)
        self.server.run(run).files[name] = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer({})

    def _answer(self, value: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _graphql(self, query: dict[str, Any]) -> dict[str, Any]:
        variables = query["variables"]
        match query["operationName"]:
            case "RunResumeStatus":
                return self._resume_status(variables["name"])
            case "UpsertBucket":
                return self._upsert(variables)
            case "CreateRunFiles":
                run = variables["run"]
                files = [
                    {"name": name, "uploadUrl": f"{self.server.url}/put/{run}/{name}"} for name in variables["files"]
                ]
                return {"data": {"createRunFiles": {"runID": "id", "uploadHeaders": [], "files": files}}}
        return {"data": {}}

    def _resume_status(self, name: str) -> dict[str, Any]:
        run = self.server.runs.get(name)
        if run is None:
            return {"data": {"model": None}}
        bucket: dict[str, Any] = {
            "id": "id",
            "name": name,
            "summaryMetrics": json.dumps(run.summary),
            "displayName": run.fields.get("displayName"),
            "logLineCount": 0,
            "historyLineCount": len(run.history),
            "eventsLineCount": 0,
            "historyTail": json.dumps([json.dumps(row) for row in run.history[-1:]]),
            "eventsTail": "[]",
            "config": run.fields.get("config") or "{}",
            "tags": [],
            "notes": None,
            "wandbConfig": json.dumps({"t": 1}),
        }
        return {"data": {"model": {"id": "m", "name": "p", "entity": {"id": "e", "name": "someone"}, "bucket": bucket}}}

    def _upsert(self, variables: dict[str, Any]) -> dict[str, Any]:
        name = variables["name"]
        inserted = name not in self.server.runs
        run = self.server.run(name)
        run.fields |= {key: value for key, value in variables.items() if value is not None}
        bucket = {
            "id": "id",
            "name": name,
            "displayName": run.fields.get("displayName"),
            "sweepName": "",
            "historyLineCount": len(run.history),
            "config": run.fields.get("config") or "{}",
            "project": {"id": "p", "name": variables["project"], "entity": {"id": "e", "name": "someone"}},
        }
        return {"data": {"upsertBucket": {"bucket": bucket, "inserted": inserted}}}

    def _file_stream(self, value: dict[str, Any]) -> dict[str, Any]:
        run = self.server.run(self.path.split("/")[-2])
        for name, part in (value.get("files") or {}).items():
            rows = [json.loads(line) for line in part["content"]] if name.endswith((".json", ".jsonl")) else []
            if name == "wandb-history.jsonl":
                run.history[part["offset"] :] = rows
            elif name == "wandb-summary.json" and rows:
                run.summary = rows[-1]
        run.exit_code = value.get("exitcode", run.exit_code)
        return {}

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr."""
