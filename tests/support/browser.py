"""A real browser without a window: what a page does in it, and what it looks like on paper. No driver, no download."""

import html
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SECONDS = 120  # for one start; it takes two, but other work may share the machine

# Frames of the same origin: this page measures the other one from outside, whatever that one forbids its own scripts.
_HARNESS = """<!doctype html><link rel="icon" href="data:,"><pre id="found"></pre>
<script>
async function decoded(source) { const image = new Image(); image.src = source; await image.decode();
  return image.naturalWidth; }
async function measure(width) {
  const frame = document.createElement("iframe");
  frame.style = `border: 0; height: 900px; width: ${width}px`;
  frame.src = "/page";
  await new Promise(done => { frame.onload = done; document.body.append(frame); });
  const page = frame.contentDocument, root = page.documentElement;
  const sources = [...page.querySelectorAll("svg image")].map(image => image.href.baseVal);
  const figures = [...page.querySelectorAll("svg")].filter(figure => !figure.closest(".scroll"));
  page.querySelector(".sortable button")?.click();
  return { overflow: root.scrollWidth - root.clientWidth,
    images: await Promise.all(sources.map(decoded)),
    wide: figures.filter(figure => figure.getBoundingClientRect().right > width).length,
    captions: [...page.querySelectorAll("caption > span, figcaption")]
      .filter(caption => caption.getBoundingClientRect().right > width).length,
    flat: [...page.querySelectorAll("svg")].filter(figure => figure.getBoundingClientRect().height < 20).length,
    headings: [...page.querySelectorAll("h1, h2, h3")].map(heading => heading.textContent),
    accuracy: page.getElementById("accuracy").textContent,
    mean: page.getElementById("mean-accuracy").textContent,
    sorted: [...page.querySelectorAll(".sortable tbody tr")].map(row => row.cells[0].textContent),
    font: parseFloat(frame.contentWindow.getComputedStyle(page.querySelector("p.meaning")).fontSize),
    asked: frame.contentWindow.performance.getEntriesByType("resource").map(entry => entry.name) }; }
Promise.all([measure(360), measure(1280)])
  .then(found => { document.getElementById("found").textContent = JSON.stringify(found); });
</script>"""


def find_browser() -> str | None:
    """Chromium's or Chrome's path, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def look(browser: str, page: Path, scratch: Path) -> tuple[list[dict[str, Any]], str, list[str]]:
    """The page as a phone (360 px) and a desktop (1280 px) show it, the console's lines, the paths it asked for."""
    with _serving(page) as (address, asked):
        dom, log = run_browser(browser, scratch, "--virtual-time-budget=20000", "--dump-dom", address)
    found = re.search(r'<pre id="found">(.+?)</pre>', dom, flags=re.DOTALL)
    assert found, f"the page could not be measured:\n{log}"
    return json.loads(html.unescape(found[1])), log, asked


def print_pages(browser: str, page: Path, scratch: Path) -> int:
    """Prints a page to PDF; returns the number of sheets."""
    run_browser(browser, scratch, "--no-pdf-header-footer", f"--print-to-pdf={scratch / 'page.pdf'}", page.as_uri())
    return len(re.findall(rb"/Type\s*/Page\b", (scratch / "page.pdf").read_bytes()))


@contextmanager
def _serving(page: Path) -> Iterator[tuple[str, list[str]]]:
    """The harness at / and the page at /page on loopback: the address, and the paths asked for as they come."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            content = {"/": _HARNESS.encode(), "/page": page.read_bytes()}.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, format: str, *values: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", asked
        finally:
            server.shutdown()


def run_browser(browser: str, scratch: Path, *arguments: str) -> tuple[str, str]:
    """Starts the browser with its profile and its home in `scratch`, and ends all of its processes.

    Its temporary files have a folder with a short name: it makes a socket there, whose path may have 107 characters.
    """
    with tempfile.TemporaryDirectory() as short:
        return _run_browser(browser, scratch, short, *arguments)


def _run_browser(browser: str, scratch: Path, short: str, *arguments: str) -> tuple[str, str]:
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    profile = [f"--user-data-dir={scratch / 'profile'}", "--enable-logging=stderr", "--disable-dev-shm-usage"]
    offline = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    environment = {"PATH": os.environ["PATH"], "HOME": str(scratch), "TMPDIR": short, "LANG": "C.UTF-8"}
    with subprocess.Popen(
        ["nice", browser, *quiet, *profile, offline, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, log = process.communicate(timeout=_SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, log
    return out, log
