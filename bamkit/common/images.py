"""Pictures in and out: every mode Pillow reads becomes RGB and alpha, upright, in sRGB; results keep their origin."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageDraw, ImageFont, ImageOps, PngImagePlugin

import bamkit
from bamkit.common.provenance import canonical

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".jfif", ".avif", ".ppm"})
"""File names taken from a folder (any case). A file named one by one may be called anything."""

KEY = "bamkit"
"""The PNG text chunk that holds a translation's origin as JSON."""


class BadPictureError(ValueError):
    """A file that is no picture, or a broken one; the text says what is wrong."""


@dataclass(frozen=True)
class Opened:
    """A decoded picture."""

    rgb: np.ndarray
    """uint8 (height, width, 3), sRGB, upright; transparent parts are laid on white."""
    alpha: np.ndarray | None
    """uint8 (height, width), or None where the picture is opaque."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.rgb.shape[:2]


def open_picture(source: bytes | Path) -> Opened:
    """Decode a file or its bytes. The first frame of an animation; EXIF orientation applied; greyscale as RGB.

    Raises BadPictureError for whatever Pillow cannot decode, and for pictures of more than 178 million pixels (a guard
    against decompression bombs). Raises OSError where the file cannot be read at all.
    """
    data = source if isinstance(source, bytes) else source.read_bytes()
    if not data:
        raise BadPictureError("the file is empty")
    try:
        with warnings.catch_warnings():
            # Large pictures are translated in tiles (Pillow's hard limit, twice this warning's, still holds), and what
            # is wrong with a file's tags is nothing that a user can mend.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                image.load()
                return _opened(image)
    except Image.UnidentifiedImageError as error:
        raise BadPictureError("not a picture of a kind that Pillow reads") from error
    except Image.DecompressionBombError as error:
        raise BadPictureError("more than 178 million pixels") from error
    except Exception as error:  # decoders raise anything on hostile input: OSError, SyntaxError, struct.error, KeyError
        text = str(error).splitlines()
        raise BadPictureError(f"broken picture: {text[0] if text else type(error).__name__}") from error


def resized(opened: Opened, shorter: int) -> Opened:
    """The picture with a shorter side of `shorter` pixels, bicubic as in training; 0 leaves it alone."""
    height, width = opened.size
    scale = shorter / min(height, width) if shorter else 1.0
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size == (width, height):
        return opened
    rgb, alpha = (
        None if part is None else np.asarray(Image.fromarray(part).resize(size, Image.Resampling.BICUBIC))
        for part in (opened.rgb, opened.alpha)
    )
    return Opened(rgb, alpha)


def _opened(image: Image.Image) -> Opened:
    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    if image.mode in ("LA", "La", "PA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
    alpha = np.asarray(image.getchannel("A")) if image.mode == "RGBA" else None
    colour = _srgb(image.convert("RGB") if image.mode == "RGBA" else image, profile)
    rgb = np.asarray(colour.convert("RGB"))
    if alpha is None or alpha.min() == 255:
        return Opened(rgb, None)
    share = alpha[..., None].astype(np.float32) / 255
    return Opened(np.rint(rgb * share + 255 * (1 - share)).astype(np.uint8), alpha)


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """16-bit, 32-bit and real greyscale as uint8. Reals up to 1 and integers up to 65,535 are taken as full scale."""
    if values.dtype.kind == "f":
        values = np.nan_to_num(values, posinf=0, neginf=0)
        return np.rint(np.clip(values, 0, 255) if values.max() > 1 else np.clip(values, 0, 1) * 255).astype(np.uint8)
    values = np.clip(values.astype(np.int64), 0, 65535)
    return (values >> 8 if values.max() > 255 else values).astype(np.uint8)


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if not profile or image.mode not in ("RGB", "CMYK", "L"):
        return image
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(image, given, ImageCms.createProfile("sRGB"), outputMode="RGB") or image
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        # Broken profiles and profiles of another colour space are common in BAM; browsers ignore them too.
        return image


def png_bytes(rgb: np.ndarray, alpha: np.ndarray | None, about: Mapping[str, Any]) -> bytes:
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
            found = json.loads(image.info.get(KEY, "{}"))
    except (OSError, ValueError, SyntaxError):
        return {}
    return found if isinstance(found, dict) else {}


def evenly(count: int, wanted: int) -> list[int]:
    """At most `wanted` indices spread evenly over 0 .. count - 1, first and last included."""
    if count <= wanted:
        return list(range(count))
    return sorted({round(i * (count - 1) / (wanted - 1)) for i in range(wanted)}) if wanted > 1 else [0]


def before_after(
    pairs: Sequence[tuple[Image.Image, Image.Image]],
    titles: tuple[str, str] = ("before", "after"),
    cell: int = 176,
    columns: int = 4,
) -> Image.Image:
    """A sheet of (source, translation) pairs, each picture fitted into `cell` pixels, `columns` pairs a row."""
    columns = min(columns, max(len(pairs), 1))
    rows = -(-len(pairs) // columns)
    gap, between, head = 4, 14, 26
    width = columns * (2 * cell + gap) + (columns + 1) * between
    sheet = Image.new("RGB", (width, head + rows * (cell + between)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for index, pair in enumerate(pairs):
        row, column = divmod(index, columns)
        left, top = between + column * (2 * cell + gap + between), head + row * (cell + between)
        for side, picture in enumerate(pair):
            shown = ImageOps.contain(_on_white(picture), (cell, cell), Image.Resampling.LANCZOS)
            x = left + side * (cell + gap)
            sheet.paste(shown, (x + (cell - shown.width) // 2, top + (cell - shown.height) // 2))
            if row == 0:
                draw.text((x + 2, 6), titles[side], fill="#444444", font=font)
    return sheet


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    ground = Image.new("RGB", picture.size, "white")
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground
