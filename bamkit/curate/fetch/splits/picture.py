"""From an original to the picture in a split: decode, fit, encode, hash."""

from __future__ import annotations

import contextlib
import functools
import io
import math
import os
import threading
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bamkit.common.pictures.reader import BadPictureError, PictureFile, to_srgb, upright
from bamkit.common.tombstones import Tombstones
from bamkit.curate.fetch.faults import Fault
from bamkit.curate.fetch.originals import Picture
from bamkit.curate.fetch.settings import Limits, PictureSettings

LONGEST_SIDE = 16_383  # of a WebP file; JPEG allows 65,535
LARGE = 12_000_000  # pixels
_large = threading.Lock()


def build(data: bytes, how: PictureSettings, limits: Limits) -> tuple[Picture, PictureFile]:
    """Decode a file and make the picture of a split. The same bytes and settings always give the same result.

    Raises Fault with the reason if the file is no picture that can be used.
    """
    try:
        file = PictureFile(data, limits.decoders, limits.max_pixels, limits.min_side)
        stored = (file.width, file.height)
        turned = file.orientation >= 5
        scaled = scaled_size(stored[::-1] if turned else stored, how)
        if max(scaled) > LONGEST_SIDE and how.fit == "short-side":
            detail = f"{file.width:,} x {file.height:,} would become {scaled[0]:,} x {scaled[1]:,}"
            raise Fault("too-many-pixels", detail)
        target = scaled[::-1] if turned else scaled
        reduced = file.draft(target[0] * how.oversample, target[1] * how.oversample)
        # Large ones one at a time, or as many as there are threads would fill the memory.
        with _large if file.decoded_pixels > LARGE else contextlib.nullcontext():
            flat, _ = file.decode()
    except BadPictureError as error:
        raise Fault(error.reason, error.detail) from error
    fitted = fit(flat, how, file.orientation, scaled, reduced)
    picture = to_srgb(fitted, file.profile)
    if how.fit == "pad":
        picture = _padded(picture, how.size)
    return Picture(encode(picture, how), picture.width, picture.height, phash(picture)), file


def refuse_forgotten(picture: Picture, forgotten: Tombstones) -> None:
    """Raises Fault(`forgotten`) for a picture that was removed on request, or a near-duplicate of one."""
    if forgotten.near([picture.phash])[0]:
        raise Fault("forgotten", "by its perceptual hash")


def scaled_size(size: tuple[int, int], how: PictureSettings) -> tuple[int, int]:
    """What a picture of `size` (upright) is scaled to, before it is cropped or padded."""
    width, height = size
    if how.fit == "squash":
        return how.size, how.size
    factor = how.size / (max(size) if how.fit == "pad" else min(size))
    return max(1, round(width * factor)), max(1, round(height * factor))


def fit(
    flat: Image.Image, how: PictureSettings, orientation: int, scaled: tuple[int, int], reduced: bool
) -> Image.Image:
    """Scale (and crop) a decoded picture and turn it upright.

    Downscaling is antialiased: Lanczos from a fully decoded picture, bicubic where the JPEG decoder has already
    averaged blocks, which Lanczos would sharpen once more.
    """
    target = scaled[::-1] if orientation >= 5 else scaled
    box = None
    if how.fit == "crop":
        side_x, side_y = how.size * flat.width / target[0], how.size * flat.height / target[1]
        left, top = (flat.width - side_x) / 2, (flat.height - side_y) / 2
        box = (max(0.0, left), max(0.0, top), min(flat.width, left + side_x), min(flat.height, top + side_y))
        target = (how.size, how.size)
    kernel = Image.Resampling.BICUBIC if reduced else Image.Resampling.LANCZOS
    return upright(flat.resize(target, kernel, box=box), orientation)


def encode(picture: Image.Image, how: PictureSettings) -> bytes:
    """The file as bytes: JPEG without colour subsampling, or lossless PNG or WebP; no metadata."""
    with _file() as file:
        if how.format == "jpeg":
            picture.save(file, "JPEG", quality=how.quality, subsampling=0)
        elif how.format == "png":
            picture.save(file, "PNG", compress_level=6)
        else:
            picture.save(file, "WEBP", lossless=True, quality=50, method=2, exact=True)
        file.seek(0)
        return file.read()


def _file() -> BinaryIO:
    """A file in memory; where there is such a thing one of the system's.

    Into a file that has a number Pillow encodes without holding up the interpreter's other threads.
    """
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("bamkit"), "w+b", buffering=0)
    return io.BytesIO()


def phash(picture: Image.Image) -> str:
    """The 64-bit perceptual hash of a picture as 16 hex digits.

    Grey, 32 x 32, DCT-II; of the 8 x 8 lowest frequencies without the constant one, which are above their median
    (after Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010, section 3.2.1).
    """
    grey = picture.convert("L").resize((32, 32), Image.Resampling.BOX)
    basis = _dct()
    # Not by matrix product: its library keeps every core busy for a while, waiting for more of them.
    half = np.einsum("ik,kl->il", basis, np.asarray(grey, dtype=np.float64))
    low = np.einsum("il,jl->ij", half, basis)
    # Rounded, so that a flat picture's noise in the last binary digit does not decide a bit.
    flat = np.round(low.ravel(), 6)
    # The middle of 63 values is their median; `np.median` comes to the same in five times the time.
    bits = flat > np.sort(flat[1:])[31]
    bits[0] = False
    return np.packbits(bits).tobytes().hex()


@functools.cache
def _dct() -> NDArray[np.float64]:
    """The first 8 rows of the orthonormal 32-point DCT-II matrix, float64."""
    rows, columns = np.arange(8)[:, None], np.arange(32)[None, :]
    basis = np.cos(np.pi * (2 * columns + 1) * rows / 64) * math.sqrt(2 / 32)
    basis[0] /= math.sqrt(2)
    return basis


def _padded(picture: Image.Image, size: int) -> Image.Image:
    if picture.size == (size, size):
        return picture
    white = Image.new("RGB", (size, size), "white")
    white.paste(picture, ((size - picture.width) // 2, (size - picture.height) // 2))
    return white
