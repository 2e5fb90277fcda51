"""Cards in Markdown with a YAML head, as Hugging Face reads them: of datasets and of models."""

from __future__ import annotations

from typing import Any

import jinja2

from bamkit.common.pages.rendering import TEMPLATES


def render(template: str, **values: Any) -> str:
    """The card that a template makes of these values; `| text` in it is `escaped`."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["text"] = escaped
    return environment.get_template(template).render(**values)


def escaped(text: str) -> str:
    """Text from the database inside Markdown: no tables broken, no markup started."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>#|" else letter for letter in " ".join(str(text).split()))
