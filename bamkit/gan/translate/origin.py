"""Translations as files that say where they come from, and that a network made them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

import bamkit
from bamkit.common.pictures.folders import TO_EXPORT
from bamkit.common.pictures.generated import png_information, save_options
from bamkit.common.pictures.reader import PLUGINS
from bamkit.common.provenance import canonical

KEY = "bamkit"
"""The PNG text chunk that holds a translation's origin as JSON."""
FORMATS = {
    ".png": "PNG",
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **{".webp": "WEBP", ".avif": "AVIF", ".bmp": "BMP", ".ppm": "PPM", ".jp2": "JPEG2000"},
}
"""By suffix, the formats that hold a translation in all its colours."""


def png_bytes(
    rgb: NDArray[np.uint8], alpha: NDArray[np.uint8] | None, about: Mapping[str, Any], mark: str = ""
) -> bytes:
    """A PNG with the alpha put back, `about` as JSON in the text chunk `bamkit`, and the XMP packet `mark`, if any.

    Same input, same bytes.
    """
    image = Image.fromarray(rgb if alpha is None else np.dstack([rgb, alpha]))
    texts = {"Software": f"bamkit {bamkit.__version__}", KEY: canonical(dict(about))}
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=png_information(mark, **texts))
    return buffer.getvalue()


def read_about(path: Path) -> dict[str, Any]:
    """The `bamkit` text chunk of a PNG file; {} if there is none or the file is no PNG. Only the header is read."""
    try:
        with Image.open(path) as image:
            about = json.loads(image.info.get(KEY, "{}"))
    except (OSError, ValueError, SyntaxError):
        return {}
    return about if isinstance(about, dict) else {}


def names_a_picture(suffix: str) -> bool:
    """Whether a file with this suffix would be taken for a picture, writable or not."""
    known = (FORMATS, PLUGINS, TO_EXPORT, Image.registered_extensions())
    return any(suffix.lower() in suffixes for suffixes in known)


def writable_suffixes() -> list[str]:
    """The suffixes of files that translations can be written to, with Pillow as it is installed here."""
    Image.init()
    written = {kind for kind in FORMATS.values() if kind in Image.SAVE}
    if not features.check("jpg_2000"):
        written.discard("JPEG2000")
    return [suffix for suffix, kind in FORMATS.items() if kind in written]


def format_of(suffix: str) -> str:
    """Pillow's name of the format that a writable suffix such as `.jpg` stands for."""
    return FORMATS[suffix.lower()]


def in_format(png: bytes, suffix: str, mark: str = "") -> bytes:
    """A PNG file in the format of a writable suffix such as `.jpg`; PNG itself unchanged. JPEG at quality 95.

    Other formats get the XMP packet `mark` where they can hold one; of the PNG's text nothing else is carried over.
    """
    kind = format_of(suffix)
    if kind == "PNG":
        return png
    options: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": 95, "subsampling": 0},
        "WEBP": {"lossless": True},
        "AVIF": {"quality": 95},
    }
    marked = save_options(kind, mark) if mark else None
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        keeps_alpha = kind in ("WEBP", "TIFF", "AVIF")
        (image if keeps_alpha else image.convert("RGB")).save(buffer, kind, **options.get(kind, {}), **(marked or {}))
    return buffer.getvalue()
