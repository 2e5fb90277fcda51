"""Self-contained HTML pages: one file, no network, light and dark, readable on a phone.

Used by the reports (curate), the run and evaluation pages (gan) and the demo.
"""

from __future__ import annotations

import base64
import contextlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bamkit.common.pages.rendering import render
from bamkit.common.pages.workspace_index import refresh_index, related, workspace_of
from bamkit.common.terminal.console import text_columns
from bamkit.common.workspace import write_text

if TYPE_CHECKING:
    from PIL import Image

    from bamkit.common.terminal.console import Table

INK, FAINT, GRID = "#1b1b1d", "#6f6f76", "#d9d9de"
"""Colours of text, secondary text and grid lines in figures. Inline SVG gets the page's own (light or dark) instead."""


@dataclass
class Picture:
    """One picture of a grid. `source` is an encoded file's bytes (JPEG, PNG, WebP) or a PIL image."""

    source: bytes | Image.Image
    alt: str
    caption: str = ""


@dataclass
class Page:
    """A page built block by block, in the order of the calls. All text is escaped; `backticks` set code."""

    title: str
    lead: str = ""
    related: list[tuple[str, str]] = field(default_factory=list)
    """Other pages: (relative address, title). `write` adds those of the same workspace."""
    blocks: list[dict[str, Any]] = field(default_factory=list)
    drawings: int = 0
    """How many inline SVG figures there are: each has ids of its own."""

    def section(self, title: str, text: str = "") -> None:
        """A heading (it also appears in the table of contents) with an optional paragraph."""
        name = re.sub(r"\W+", "-", title.lower()).strip("-") or "section"
        taken = {"content", *(block.get("anchor") for block in self.blocks)}
        anchor = next(a for a in chain([name], (f"{name}-{n}" for n in count(2))) if a not in taken)
        self.blocks.append({"kind": "section", "title": title, "anchor": anchor, "text": text})

    def text(self, text: str) -> None:
        """A paragraph."""
        self.blocks.append({"kind": "text", "text": text})

    def note(self, *texts: str) -> None:
        """What asks for attention: warnings, caveats; several are set as a list. Nothing for no text."""
        if texts:
            self.blocks.append({"kind": "note", "texts": texts})

    def heading(self, title: str) -> None:
        """A smaller heading inside a section."""
        self.blocks.append({"kind": "heading", "title": title})

    def facts(self, facts: Sequence[tuple[str, str, str]]) -> None:
        """The few figures that matter most: (what, the figure, a remark or "") each."""
        self.blocks.append({"kind": "facts", "facts": list(facts)})

    def figure(self, svg: str | bytes, alt: str, caption: str = "", wide: bool = False) -> None:
        """An inline SVG figure (see bamkit.common.pages.figures.svg); its ink takes the page's colours.

        A `wide` figure keeps its size on a phone and scrolls sideways instead of shrinking past reading.
        """
        self.blocks.append({"kind": "figure", **self._drawing(svg, alt), "caption": caption, "wide": wide})

    def figures(self, figures: Sequence[tuple[str | bytes, str]], caption: str = "") -> None:
        """Several (svg, alt) side by side under one caption; on a phone one below the other."""
        items = [self._drawing(svg, alt) for svg, alt in figures]
        self.blocks.append({"kind": "figures", "panels": items, "caption": caption})

    def _drawing(self, svg: str | bytes, alt: str) -> dict[str, str]:
        self.drawings += 1
        return _drawing(svg, alt, self.drawings)

    def table(self, table: Table, columns: Sequence[str] | None = None, caption: str = "") -> None:
        """A DataFrame (or rows): numbers are right-aligned and formatted as in the console, missing values a dash."""
        parts = [
            part._replace(numeric=part.numeric or _all_numbers(part.cells)) for part in text_columns(table, columns)
        ]
        rows = list(zip(*([(text or "–", part.numeric) for text in part.cells] for part in parts), strict=True))
        self.blocks.append({"kind": "table", "columns": parts, "rows": rows, "caption": caption})

    def pictures(
        self, pictures: Sequence[Picture], caption: str = "", width: int = 128, columns: int = 0, together: int = 1
    ) -> None:
        """A grid of pictures, each shown `width` CSS pixels wide; `columns` > 0 fixes the number of columns.

        So many as `together` says stay side by side on every screen: 2 for pairs of before and after.
        """
        items = [_encoded(picture) for picture in pictures]
        layout = {"width": width, "columns": columns, "together": together}
        self.blocks.append({"kind": "pictures", "pictures": items, "caption": caption, **layout})

    def groups(self, groups: Sequence[tuple[str, Sequence[Picture]]], width: int = 96) -> None:
        """Small sets of pictures that belong together, each with its own caption, set side by side."""
        items = [{"caption": caption, "pictures": [_encoded(picture) for picture in set_]} for caption, set_ in groups]
        self.blocks.append({"kind": "groups", "groups": items, "width": width})

    def details(self, title: str, table: Table) -> None:
        """A long table, folded away under `title`."""
        self.table(table)
        self.blocks[-1] = {**self.blocks[-1], "kind": "details", "title": title}

    def html(self, markup: str) -> None:
        """Trusted markup as it is (the caller has escaped it): scripts and widgets of our own."""
        self.blocks.append({"kind": "html", "markup": markup})

    def render(self) -> str:
        """The whole page as HTML. Raises BamkitError where jinja2 is not installed."""
        return render("page.html.j2", page=self)

    @property
    def summary(self) -> str:
        """The lead and the facts as plain text: what the workspace's index and search engines say of the page."""
        facts = [fact for block in self.blocks if block["kind"] == "facts" for fact in block["facts"]]
        # A figure takes its interval along.
        figures = (f"{name}: {value}{f' {more}' if more.startswith('[') else ''}." for name, value, more in facts)
        return " ".join([self.lead.replace("`", ""), *figures]).strip()

    def write(self, path: Path) -> None:
        """Write the page atomically, with links to the other pages of the workspace, whose index then names it."""
        self.related = related(path)
        write_text(path, self.render())
        if root := workspace_of(path):
            refresh_index(root)


def _all_numbers(cells: Sequence[str]) -> bool:
    """Whether every text is one number, or stands for none."""
    return any(cells) and all(re.fullmatch(r"[-+−]?[\d,]*\.?\d+( %)?|–|", cell) for cell in cells)


def _encoded(picture: Picture) -> dict[str, Any]:
    """A picture as the template wants it; its size keeps the page from jumping where the browser decodes it late."""
    from PIL import Image

    source = picture.source
    with Image.open(io.BytesIO(source)) if isinstance(source, bytes) else contextlib.nullcontext(source) as opened:
        width, height = opened.size
    size = {"width": width, "height": height}
    return {"uri": data_uri(source), "alt": picture.alt, "caption": picture.caption, **size}


def _drawing(svg: str | bytes, alt: str, number: int) -> dict[str, str]:
    """An SVG as it goes inside the page: colours by name, ids unique in the page and none that nothing refers to."""
    text = svg.decode() if isinstance(svg, bytes) else svg
    text = text[text.index("<svg") :]
    for colour, name in ((INK, "ink"), (FAINT, "faint"), (GRID, "grid")):
        text = text.replace(colour, f"var(--{name})")
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda match: match[0] if match[1] in used else "", text)
    text = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>drawing-{number}-", text)
    return {"svg": text, "alt": alt}


def data_uri(source: bytes | Image.Image) -> str:
    """A picture as a `data:` URI; PIL images become WebP of quality 88."""
    if not isinstance(source, bytes):
        buffer = io.BytesIO()
        source.convert("RGB").save(buffer, "WEBP", quality=88)
        source = buffer.getvalue()
    return f"data:image/{kind_of(source)};base64,{base64.b64encode(source).decode()}"


def kind_of(picture: bytes) -> str:
    """`png`, `webp`, `gif` or else `jpeg`, by the first bytes of an encoded picture."""
    kinds = {b"\x89PNG": "png", b"RIFF": "webp", b"GIF8": "gif"}
    return kinds.get(picture[:4], "jpeg")
