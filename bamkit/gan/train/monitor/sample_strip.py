"""Sample sheets as a strip one can scrub: a slider, a play button, one picture a direction; no network needed."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from bamkit.common.pages.page import data_uri

SAMPLE_WIDTH = 880
"""Sheets are embedded at most this wide, so that the page of a long run stays a few megabytes."""
SAMPLE_NAME = re.compile(r"(?P<direction>.+)-(?P<step>\d{8,})\.png")


def frames(folder: Path) -> dict[int, dict[str, Path]]:
    """Step -> direction -> sample sheet, both in order."""
    by_step: dict[int, dict[str, Path]] = {}
    for path in sorted(folder.glob("*.png")):
        match = SAMPLE_NAME.fullmatch(path.name)
        if match:
            by_step.setdefault(int(match["step"]), {})[match["direction"]] = path
    return dict(sorted(by_step.items()))


def _shrunk(path: Path) -> tuple[str, tuple[int, int]]:
    """A sample sheet as WebP in a data URI, at most SAMPLE_WIDTH pixels wide, and its size; "" if it is damaged."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            sheet = image.convert("RGB")
    except (OSError, SyntaxError, ValueError):
        return "", (0, 0)
    if sheet.width > SAMPLE_WIDTH:
        sheet = sheet.resize((SAMPLE_WIDTH, round(sheet.height * SAMPLE_WIDTH / sheet.width)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    sheet.save(buffer, "WEBP", quality=80, method=4)
    return data_uri(buffer.getvalue()), sheet.size


def strip(frames: dict[int, dict[str, Path]], label: Callable[[int], str]) -> str:
    """The slider and the two pictures it turns; the last frame shows where scripts are switched off."""
    directions = list(dict.fromkeys(direction for frame in frames.values() for direction in frame))
    items: list[dict[str, Any]] = []
    for step, frame in frames.items():
        sheets = [_shrunk(frame[direction]) if direction in frame else ("", (0, 0)) for direction in directions]
        items.append({"label": label(step), "pictures": [uri for uri, _ in sheets]})
    last = escape(items[-1]["label"])
    figures = "".join(
        f'<figure><figcaption>{name}</figcaption><img src="{uri}" width="{width}" height="{height}" '
        f'alt="Samples {name}, {last}" data-direction="{name}"></figure>'
        for name, (uri, (width, height)) in zip(map(escape, directions), sheets, strict=True)
    )
    payload = json.dumps(items).replace("</", "<\\/")
    return f"""<style>{CSS}</style>
<div class="strip" id="strip">
<div class="controls"><button type="button" aria-label="Play">&#9654;</button>
<input type="range" min="0" max="{len(items) - 1}" value="{len(items) - 1}" step="1"
 aria-label="Moment of the training" aria-valuetext="{last}">
<output aria-live="off">{last}</output></div>
<div class="sheets">{figures}</div>
<script type="application/json">{payload}</script>
</div>
<script>{JS}</script>"""


CSS = """
.strip .controls { display: flex; gap: .8rem; align-items: center; font: .9rem/1.4 var(--sans);
  position: sticky; top: 0; background: var(--paper); padding: .5rem 0; z-index: 1; }
.strip input { flex: 1; min-width: 6rem; accent-color: var(--accent); }
.strip button { font: inherit; width: 2.4rem; height: 2.4rem; border: 1px solid var(--line); border-radius: .3rem;
  background: var(--card); color: var(--ink); cursor: pointer; }
.strip output { min-width: 15rem; font-variant-numeric: tabular-nums; color: var(--faint); }
.strip .sheets { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 1.2rem; }
.strip figure { margin: 0; } .strip img { width: 100%; height: auto; display: block; background: #fff; }
@media (max-width: 40rem) { .strip .controls { flex-wrap: wrap; } .strip output { min-width: 100%; } }
"""

JS = """
(() => {
  const strip = document.getElementById("strip"), slider = strip.querySelector("input");
  const label = strip.querySelector("output"), button = strip.querySelector("button");
  const images = [...strip.querySelectorAll("img")];
  const frames = JSON.parse(strip.querySelector("script[type='application/json']").textContent);
  let timer = 0;
  const show = () => {
    const frame = frames[slider.value];
    label.textContent = frame.label;
    slider.setAttribute("aria-valuetext", frame.label);
    images.forEach((image, i) => {
      if (frame.pictures[i]) image.src = frame.pictures[i];
      image.alt = `Samples ${image.dataset.direction}, ${frame.label}`;
    });
  };
  const stop = () => { clearInterval(timer); timer = 0; button.innerHTML = "&#9654;"; button.ariaLabel = "Play"; };
  slider.addEventListener("input", () => { stop(); show(); });
  button.addEventListener("click", () => {
    if (timer) return stop();
    if (+slider.value === frames.length - 1) slider.value = 0;
    button.innerHTML = "&#10073;&#10073;"; button.ariaLabel = "Pause";
    show();
    timer = setInterval(() => {
      slider.value = +slider.value + 1; show();
      if (+slider.value === frames.length - 1) stop();
    }, 450);
  });
})();
"""
