"""`python -m tests.screenshot`: report/index.html as docs/report.png, the picture in the README."""

import io
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from audiocnn.errors import UserError, run_command
from audiocnn.files import write_atomically
from audiocnn.report.page import write_report
from tests.support.browser import find_browser, run_browser

PICTURE = Path("docs/report.png")
WIDTH, HEIGHT = 1040, 1040  # pixels: down to the learning curves
COLOURS = 256  # a third of the bytes, and no difference that can be seen


def main() -> None:
    """Writes the report, and its upper part as a picture."""
    browser = find_browser()
    if browser is None:
        raise UserError("no browser is installed: install chromium, for example.")
    page = write_report().absolute().as_uri()
    with TemporaryDirectory() as scratch:
        shot = Path(scratch) / "shot.png"
        window = f"--window-size={WIDTH},{HEIGHT}"
        run_browser(browser, Path(scratch), "--hide-scrollbars", window, f"--screenshot={shot}", page)
        png = io.BytesIO()
        Image.open(shot).convert("RGB").quantize(COLOURS).save(png, format="png", optimize=True)
    write_atomically(PICTURE, png.getvalue())
    print(f"{PICTURE}: {len(png.getvalue()) / 1e3:.0f} kB")


if __name__ == "__main__":
    sys.exit(run_command(main))
