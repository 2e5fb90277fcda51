"""Translations as PNG files that say where they come from."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

import bamkit
from bamkit.common.provenance import canonical

KEY = "bamkit"
"""The PNG text chunk that holds a translation's origin as JSON."""


def png_bytes(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8] | None, about: Mapping[str, Any]) -> bytes:
    """A PNG with the alpha put back and `about` as JSON in the text chunk `bamkit`. Same input, same bytes."""
    image = Image.fromarray(rgb if alpha is None else np.dstack([rgb, alpha]))
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", f"bamkit {bamkit.__version__}")
    info.add_text(KEY, canonical(dict(about)))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def read_about(path: Path) -> dict[str, Any]:
    """The `bamkit` text chunk of a PNG file; {} if there is none or the file is no PNG. Only the header is read."""
    try:
        with Image.open(path) as image:
            about = json.loads(image.info.get(KEY, "{}"))
    except (OSError, ValueError, SyntaxError):
        return {}
    return about if isinstance(about, dict) else {}
