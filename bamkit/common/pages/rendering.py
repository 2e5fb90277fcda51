"""Templates to HTML: what every page of bamkit is rendered with. jinja2 is imported when a page is made."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bamkit.common.errors import BamkitError

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """A template of `templates/` as HTML, all values escaped. Raises BamkitError where jinja2 is not installed."""
    try:
        import jinja2
    except ImportError as error:
        raise BamkitError("pages need jinja2", "pip install jinja2") from error
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"prose": prose, "signs": signs, "urlpath": quote}
    return environment.get_template(template).render(**values)


def prose(text: str) -> Any:
    """Text with `code` between backticks set as code, everything else escaped."""
    from markupsafe import Markup, escape

    parts = re.split(r"`([^`]+)`", text)
    parts = [
        f"<code>{escape(part)}</code>" if code % 2 else str(escape(signs(part))) for code, part in enumerate(parts)
    ]
    return Markup("".join(parts))


def signs(text: str) -> str:
    """Text in which the hyphen before a number is a minus sign."""
    return re.sub(r"(?<![\w.)-])-(?=[\d.]|inf)|(?<=\de)-(?=\d)", "−", text)
