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

from bamkit.common.console import cell
from bamkit.common.errors import BamkitError
from bamkit.common.workspace import write_text

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
    """A page built block by block, in the order of the calls. All text is escaped; `backticks` set code."""

    title: str
    lead: str = ""
    blocks: list[dict[str, Any]] = field(default_factory=list)

    def section(self, title: str, text: str = "") -> None:
        """A heading (it also appears in the table of contents) with an optional paragraph."""
        anchor = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        same = sum(block.get("title") == title for block in self.blocks)
        anchor = f"{anchor}-{same + 1}" if same else anchor
        self.blocks.append({"kind": "section", "title": title, "anchor": anchor, "text": text})

    def text(self, text: str) -> None:
        """A paragraph."""
        self.blocks.append({"kind": "text", "text": text})

    def note(self, *texts: str) -> None:
        """What asks for attention: warnings, caveats; several are set as a list. Nothing for no text."""
        if texts:
            self.blocks.append({"kind": "note", "texts": texts})

    def links(self, links: Sequence[tuple[str, str]]) -> None:
        """A line of links to other pages: (relative address, what is there) each. Nothing for no link."""
        if links:
            self.blocks.append({"kind": "links", "links": list(links)})

    def heading(self, title: str) -> None:
        """A smaller heading inside a section."""
        self.blocks.append({"kind": "heading", "title": title})

    def facts(self, facts: Sequence[tuple[str, str, str]]) -> None:
        """The few figures that matter most: (what, the figure, a remark or "") each."""
        self.blocks.append({"kind": "facts", "facts": list(facts)})

    def figure(self, svg: str | bytes, alt: str, caption: str = "", wide: bool = False) -> None:
        """An inline SVG figure (see bamkit.common.figures.inline); its ink takes the page's colours.

        A `wide` figure keeps its size on a phone and scrolls sideways instead of shrinking past reading.
        """
        self.blocks.append({"kind": "figure", **_drawing(svg, alt), "caption": caption, "wide": wide})

    def figures(self, figures: Sequence[tuple[str | bytes, str]], caption: str = "") -> None:
        """Several (svg, alt) side by side under one caption; on a phone one below the other."""
        items = [_drawing(svg, alt) for svg, alt in figures]
        self.blocks.append({"kind": "figures", "panels": items, "caption": caption})

    def table(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None, caption: str = "") -> None:
        """A table of dicts; numbers are right-aligned and formatted as in the console."""
        names = list(columns or dict.fromkeys(key for row in rows for key in row))
        body = [[(_cell(row.get(n)), row.get(n) is not None and _number(row.get(n))) for n in names] for row in rows]
        numeric = [
            any(row.get(n) is not None for row in rows) and all(_number(row.get(n)) for row in rows) for n in names
        ]
        self.blocks.append({"kind": "table", "columns": names, "numeric": numeric, "rows": body, "caption": caption})

    def pictures(
        self, pictures: Sequence[Picture], caption: str = "", width: int = 128, columns: int = 0, together: int = 1
    ) -> None:
        """A grid of pictures, each shown `width` CSS pixels wide; `columns` > 0 fixes the number of columns.

        So many as `together` says stay side by side on every screen: 2 for pairs of before and after.
        """
        items = [{"uri": data_uri(p.source), "alt": p.alt, "caption": p.caption} for p in pictures]
        layout = {"width": width, "columns": columns, "together": together}
        self.blocks.append({"kind": "pictures", "pictures": items, "caption": caption, **layout})

    def groups(self, groups: Sequence[tuple[str, Sequence[Picture]]], width: int = 96) -> None:
        """Small sets of pictures that belong together, each with its own caption, set side by side."""
        items = [
            {
                "caption": caption,
                "pictures": [{"uri": data_uri(p.source), "alt": p.alt, "caption": p.caption} for p in set_],
            }
            for caption, set_ in groups
        ]
        self.blocks.append({"kind": "groups", "groups": items, "width": width})

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
        environment.filters["prose"] = _prose
        return environment.get_template("page.html.j2").render(page=self)

    def write(self, path: Path) -> None:
        """Write the page atomically."""
        write_text(path, self.render())


def _prose(text: str) -> Any:
    """Text with `code` between backticks set as code, everything else escaped."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _cell(value: Any) -> str:
    """A cell as in the console, with the minus sign that figures have."""
    return cell(value).replace("-", "\N{MINUS SIGN}") if _number(value) else cell(value)


def _number(value: Any) -> bool:
    """Whether a cell is set to the right: a number, or nothing."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _drawing(svg: str | bytes, alt: str) -> dict[str, str]:
    """An SVG as it goes inside the page: colours by name, and no id that nothing refers to (ids must be unique)."""
    text = svg.decode() if isinstance(svg, bytes) else svg
    text = text[text.index("<svg") :]
    for colour, name in ((INK, "ink"), (FAINT, "faint"), (GRID, "grid")):
        text = text.replace(colour, f"var(--{name})")
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", text)
    return {"svg": text, "alt": alt}


def data_uri(source: bytes | Image.Image) -> str:
    """A picture as a `data:` URI; PIL images become WebP of quality 88."""
    if not isinstance(source, bytes):
        buffer = io.BytesIO()
        source.convert("RGB").save(buffer, "WEBP", quality=88)
        source = buffer.getvalue()
    kinds = {b"\x89PNG": "png", b"RIFF": "webp", b"\xff\xd8\xff\xe0": "jpeg", b"GIF8": "gif"}
    kind = kinds.get(source[:4], "jpeg")
    return f"data:image/{kind};base64,{base64.b64encode(source).decode()}"
