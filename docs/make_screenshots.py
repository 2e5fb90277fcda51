"""Take the README's pictures of the pages, docs/report.webp, evaluation.webp and review.webp, from a demo's folder.

    bamkit demo demo && python docs/make_screenshots.py demo

Needs Chromium. Nothing is written into the folder.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from bamkit.common.pictures.generated import xmp_packet
from bamkit.common.workspace import Workspace
from bamkit.curate.review.items import read_items
from bamkit.curate.review.page import static_page
from bamkit.curate.review.pictures import Pictures
from bamkit.experiment.settings import DemoConfig

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WINDOW, SHOWN = (1200, 1050), 720
"""CSS pixels of the window, and the width of the pictures."""


def screenshot(page: Path, section: str = "") -> Image.Image:
    """The window on the top of a page, or on its title and that section, SHOWN pixels wide."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        raise SystemExit(f"none of {', '.join(BROWSERS)} is installed")
    with tempfile.TemporaryDirectory() as folder:
        target, copy = Path(folder) / "page.png", Path(folder) / "page.html"
        text = page.read_text(encoding="utf-8")
        if section:
            start, mark = f'<h2 id="{section}"', '<main id="content">'
            text = text[: text.index(mark) + len(mark)] + text[text.index(start) :]
        copy.write_text(text, encoding="utf-8")
        size = [f"--window-size={WINDOW[0]},{WINDOW[1]}", "--hide-scrollbars", "--force-device-scale-factor=2"]
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", *size, f"--screenshot={target}"]
        subprocess.run([*command, copy.as_uri()], check=True, capture_output=True)
        shot = Image.open(io.BytesIO(target.read_bytes())).convert("RGB")
    return shot.resize((SHOWN, round(SHOWN * shot.height / shot.width)), Image.Resampling.LANCZOS)


def review_page(workspace: Workspace, folder: Path) -> Path:
    """The review of the first domain as one file in `folder`."""
    items = read_items(workspace, DemoConfig.domains[0])
    path = folder / "review.html"
    path.write_text(static_page(items, Pictures(workspace, items), "Ann"), encoding="utf-8")
    return path


def main(root: Path) -> None:
    """Write the three pictures."""
    workspace, here = Workspace.open(root), Path(__file__).parent
    about = json.loads((workspace.run(DemoConfig.run) / "run.json").read_text(encoding="utf-8"))
    generated = xmp_packet(DemoConfig.run, about["run_id"]).encode()
    with tempfile.TemporaryDirectory() as folder:
        pages = {
            "report": (workspace.reports / "index.html", "what-each-domain-holds"),
            "evaluation": (workspace.reports / f"evaluate-{DemoConfig.run}" / "index.html", "happy-to-scary"),
            "review": (review_page(workspace, Path(folder)), ""),
        }
        for name, (page, section) in pages.items():
            target = here / f"{name}.webp"
            # The evaluation shows translations: the picture says that they are generated, as each of them does.
            marked = {"xmp": generated} if name == "evaluation" else {}
            screenshot(page, section).save(target, quality=80, method=6, **marked)
            print(f"{target}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
