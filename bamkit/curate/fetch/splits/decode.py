"""From the bytes of a file to an upright sRGB picture on white, or the reason why not."""

from __future__ import annotations

import io
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

from bamkit.curate.fetch.faults import Fault
from bamkit.curate.fetch.settings import Limits

ORIENTATION = 0x0112
BIG = 12_000_000
SCANS = 64
SCAN_PIXELS = 1_000_000_000
DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I")
SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_big = threading.Lock()
_transforms = threading.local()


@dataclass(frozen=True)
class Header:
    """What a file says of itself before anything is decoded."""

    format: str
    """JPEG, PNG, GIF, WEBP ..."""
    width: int
    """As stored, before any EXIF rotation."""
    height: int


@contextmanager
def quiet_decoders(limits: Limits) -> Iterator[None]:
    """Pillow's own pixel limit set to that of `limits`, and its warnings about hostile files not printed.

    Both are settings of the whole process: enter this in one place, around all decoding.
    """
    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        Image.MAX_IMAGE_PIXELS = limits.max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def open_picture(data: bytes, limits: Limits) -> tuple[Image.Image, Header]:
    """Open a file and judge its header. Raises Fault; nothing is decoded yet.

    Only the decoders of `limits` are tried, whatever the file is called.
    """
    try:
        picture = Image.open(io.BytesIO(data), formats=limits.decoders)
    except Image.DecompressionBombError as error:
        raise Fault("too-many-pixels", str(error)[:120]) from error
    except Image.UnidentifiedImageError as error:
        raise Fault("not-a-picture", f"begins with {data[:16]!r}") from error
    except Exception as error:
        # Decoders raise whatever a damaged header makes them stumble over.
        raise Fault("damaged", _said(error)) from error
    width, height = picture.size
    name = "JPEG" if picture.format == "MPO" else str(picture.format)
    if width * height > limits.max_pixels:
        raise Fault("too-many-pixels", f"{width:,} x {height:,} pixels")
    if min(width, height) < limits.min_side:
        raise Fault("too-small", f"{width} x {height} pixels")
    if name == "JPEG":
        # A progressive JPEG may refine the whole picture thousands of times from a few bytes each.
        scans = _scans(data)
        if scans > SCANS and scans * width * height > SCAN_PIXELS:
            raise Fault("too-many-pixels", f"{scans:,} scans of {width:,} x {height:,} pixels")
    return picture, Header(name, width, height)


def orientation(picture: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none or it cannot be read."""
    if "exif" not in picture.info and picture.format not in ("TIFF", "MPO"):
        return 1
    try:
        value = picture.getexif().get(ORIENTATION, 1)
    except Exception:
        # Viewers show a picture whose EXIF block is broken as it is stored.
        return 1
    return value if value in TRANSPOSE else 1


def upright(picture: Image.Image, how: int) -> Image.Image:
    return picture.transpose(TRANSPOSE[how]) if how in TRANSPOSE else picture


def load(picture: Image.Image) -> Image.Image:
    """Decode the first frame: mode L, RGB or CMYK, 8 bits, flattened on white. Raises Fault.

    The colours are still those of the file's own colour space; see `to_srgb`.
    """
    large = picture.width * picture.height > BIG
    if large:
        # One at a time, or as many as there are threads would fill the memory.
        _big.acquire()
    try:
        picture.load()
        return _flat(picture)
    except Fault:
        raise
    except Exception as error:
        text = _said(error)
        reason = "truncated" if "truncated" in text or "unexpected end" in text.lower() else "damaged"
        raise Fault(reason, text) from error
    finally:
        if large:
            _big.release()


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """An L, RGB or CMYK picture as RGB in sRGB. A profile that is broken or of another colour space is ignored."""
    if profile and (transform := _transform(profile, picture.mode)):
        return ImageCms.applyTransform(picture, transform)
    return picture.convert("RGB")


def icc(picture: Image.Image) -> bytes | None:
    """The embedded colour profile of an opened file."""
    profile = picture.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and len(profile) >= 128 else None


def _scans(data: bytes) -> int:
    """How often a start-of-scan marker (ff da) occurs. (On pairs of bytes: `bytes.count` is slow for 0xff.)"""
    pairs = (np.frombuffer(data, "<u2", (len(data) - start) // 2, start) for start in (0, 1))
    return sum(int(np.count_nonzero(each == 0xDAFF)) for each in pairs)


def _flat(picture: Image.Image) -> Image.Image:
    if picture.mode in DEEP:
        picture = _eight_bits(picture)
    elif picture.mode == "F":
        raise Fault("damaged", "floating-point pixels")
    if picture.mode == "CMYK":
        return picture
    if picture.has_transparency_data:
        return _on_white(picture.convert("RGBA"))
    if picture.mode in ("L", "RGB"):
        return picture
    return picture.convert("L" if picture.mode in ("1", "LA") else "RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """16-bit grey to 8 bits by v * 255 / 65535, rounded. (Pillow's own conversion clips at 255: all white.)"""
    deep = np.asarray(picture).astype(np.int64).clip(0, 65535)
    grey = Image.fromarray(((deep * 255 + 32767) // 65535).astype(np.uint8))
    clear = picture.info.get("transparency")
    if isinstance(clear, int):
        alpha = Image.fromarray(np.where(deep == clear, 0, 255).astype(np.uint8))
        return Image.merge("LA", (grey, alpha))
    return grey


def _on_white(picture: Image.Image) -> Image.Image:
    alpha = picture.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return picture.convert("RGB")
    white = Image.new("RGB", picture.size, "white")
    white.paste(picture, mask=alpha)
    return white


def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform of a profile to sRGB, or None where it is sRGB already, broken, or of another colour space.

    Kept for each thread: building one takes longer than using it, and they are not documented to be shared.
    """
    if not hasattr(_transforms, "known"):
        _transforms.known = OrderedDict()
    known: OrderedDict[tuple[bytes, str], ImageCms.ImageCmsTransform | None] = _transforms.known
    key = (profile, mode)
    if key not in known:
        known[key] = _build_transform(profile, mode)
        if len(known) > 32:
            known.popitem(last=False)
    known.move_to_end(key)
    return known[key]


def _build_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if opened.profile.xcolor_space.strip() != SPACES.get(mode):
            return None
        if mode == "RGB" and "srgb" in (opened.profile.profile_description or "").lower():
            return None
        return ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError, AttributeError):
        # As browsers do: a profile that makes no sense is no reason to lose the picture.
        return None


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:200]
