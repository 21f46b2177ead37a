"""What `tests.space.look` has a browser do with the page. It runs in the page's own environment, which has playwright.

It reads a job and writes what it found, both JSON. Of a job: `address` of the page; `browser`, its path; `widths`, in
pixels; `sounds`, the files to give to the page, by name, and under `microphone` a WAV that the browser takes for one;
`seconds` to record; `folder` and `prefix` of the screenshots.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

TIMEOUT = 60_000  # milliseconds for the page to answer; far more than it needs
ANSWER = "#windows :text('0.00 to'):visible, #sentence p:visible"
READ = """() => ({
  text: document.body.innerText,
  answer: document.querySelector('[data-testid="label-output-value"]')?.innerText ?? "",
  sentence: document.querySelector('#sentence p')?.innerText ?? "",
  windows: document.querySelector('#windows')?.innerText ?? "",
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  ran: window.ran ?? null })"""


def main() -> None:
    """Does the job."""
    job = json.load(sys.stdin)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=job["browser"], args=_arguments(job["sounds"]["microphone"])
        )
        found = [row for width in job["widths"] for row in _look(browser, job, width)]
        browser.close()
    json.dump(found, sys.stdout)


def _arguments(microphone: str) -> list[str]:
    return [
        "--no-sandbox",
        "--disable-gpu",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}",
    ]


def _look(browser: Browser, job: dict[str, Any], width: int) -> Iterator[dict[str, Any]]:
    """What the page shows at a width: empty, then of each sound, then of the microphone."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(TIMEOUT)
    hosts: set[str] = set()
    errors: list[str] = []
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname or "127.0.0.1"))  # none: data:, blob:
    page.on("pageerror", lambda error: errors.append(str(error)))
    for name in ("empty", *job["sounds"]):
        errors.clear()
        page.goto(job["address"])
        page.get_by_role("button", name="Record", exact=True).wait_for()
        if name == "microphone":
            _record(page, job["seconds"])
        elif name != "empty":
            _upload(page, job["sounds"][name])
        page.screenshot(path=f"{job['folder']}/{job['prefix']}_{name}_{width}.png", full_page=True)
        yield {"name": name, "width": width, "hosts": sorted(hosts), "errors": [*errors], **page.evaluate(READ)}
    page.close()


def _upload(page: Page, path: str) -> None:
    page.get_by_role("button", name="Upload file", exact=True).click()
    page.locator('input[type="file"]').set_input_files(path)
    page.locator(ANSWER).first.wait_for()


def _record(page: Page, seconds: int) -> None:
    page.get_by_role("button", name="Record", exact=True).click()
    page.get_by_text(f"0:{seconds:02d}", exact=True).wait_for()
    page.get_by_role("button", name="Stop", exact=True).first.click()
    page.locator(ANSWER).first.wait_for()


if __name__ == "__main__":
    main()
