"""Self-contained HTML pages: one file, no network, light and dark, readable on a phone.

Used by the reports (curate), the run and evaluation pages (gan) and the demo. jinja2 is imported when a page is made.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bamkit.console import cell
from bamkit.errors import BamkitError
from bamkit.workspace import write_text

if TYPE_CHECKING:
    from PIL import Image

INK, FAINT, GRID = "#1b1b1d", "#6f6f76", "#d9d9de"
"""Colours of text, secondary text and grid lines in figures. Inline SVG gets the page's own (light or dark) instead."""

TEMPLATES = Path(__file__).parent / "templates"


@dataclass
class Picture:
    """One picture of a grid. `source` is an encoded file's bytes (JPEG, PNG, WebP) or a PIL image."""

    source: bytes | Image.Image
    alt: str
    caption: str = ""


@dataclass
class Page:
    """A page built block by block, in the order of the calls. All text is escaped."""

    title: str
    lead: str = ""
    blocks: list[dict[str, Any]] = field(default_factory=list)

    def section(self, title: str, text: str = "") -> None:
        """A heading (it also appears in the table of contents) with an optional paragraph."""
        anchor = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        self.blocks.append({"kind": "section", "title": title, "anchor": anchor, "text": text})

    def text(self, text: str) -> None:
        """A paragraph."""
        self.blocks.append({"kind": "text", "text": text})

    def note(self, text: str) -> None:
        """A paragraph that asks for attention: a warning, a caveat."""
        self.blocks.append({"kind": "note", "text": text})

    def figure(self, svg: str | bytes, alt: str, caption: str = "") -> None:
        """An inline SVG figure (see bamkit.figures.svg); its ink takes the page's colours."""
        text = svg.decode() if isinstance(svg, bytes) else svg
        text = text[text.index("<svg") :]
        for colour, name in ((INK, "ink"), (FAINT, "faint"), (GRID, "grid")):
            text = text.replace(colour, f"var(--{name})")
        self.blocks.append({"kind": "figure", "svg": text, "alt": alt, "caption": caption})

    def table(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None, caption: str = "") -> None:
        """A table of dicts; numbers are right-aligned and formatted as in the console."""
        names = list(columns or dict.fromkeys(key for row in rows for key in row))
        body = [[(cell(row.get(n)), isinstance(row.get(n), int | float)) for n in names] for row in rows]
        self.blocks.append({"kind": "table", "columns": names, "rows": body, "caption": caption})

    def pictures(self, pictures: Sequence[Picture], caption: str = "", width: int = 128, columns: int = 0) -> None:
        """A grid of pictures, each shown `width` CSS pixels wide; `columns` > 0 fixes the number of columns."""
        items = [{"uri": data_uri(p.source), "alt": p.alt, "caption": p.caption} for p in pictures]
        self.blocks.append(
            {"kind": "pictures", "pictures": items, "caption": caption, "width": width, "columns": columns}
        )

    def details(self, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """A long table, folded away under `title`."""
        self.table(rows)
        self.blocks[-1] = {**self.blocks[-1], "kind": "details", "title": title}

    def html(self, markup: str) -> None:
        """Trusted markup as it is (the caller has escaped it): scripts and widgets of our own."""
        self.blocks.append({"kind": "html", "markup": markup})

    def render(self) -> str:
        """The whole page as HTML. Raises BamkitError where jinja2 is not installed."""
        try:
            import jinja2
        except ImportError as error:
            raise BamkitError("pages need jinja2", "pip install jinja2") from error
        loader = jinja2.FileSystemLoader(TEMPLATES)
        environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
        return environment.get_template("page.html.j2").render(page=self)

    def write(self, path: Path) -> None:
        """Write the page atomically."""
        write_text(path, self.render())


def data_uri(source: bytes | Image.Image) -> str:
    """A picture as a `data:` URI; PIL images become WebP of quality 88."""
    if not isinstance(source, bytes):
        buffer = io.BytesIO()
        source.convert("RGB").save(buffer, "WEBP", quality=88)
        source = buffer.getvalue()
    kinds = {b"\x89PNG": "png", b"RIFF": "webp", b"\xff\xd8\xff\xe0": "jpeg", b"GIF8": "gif"}
    kind = kinds.get(source[:4], "jpeg")
    return f"data:image/{kind};base64,{base64.b64encode(source).decode()}"
