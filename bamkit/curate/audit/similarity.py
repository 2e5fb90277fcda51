"""Pictures of fetched splits, small: for contact sheets and for telling near-duplicates from look-alikes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from bamkit.common.errors import BamkitError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

SIDE = 16
"""Pixels of the small copy's side."""
ALIKE = 0.85
"""Correlation of small copies from which on two pictures are one. On 400 pieces of artwork, copies re-encoded or
brightened by a tenth correlate above 0.95 (99 %), copies cropped by 3 % a side above 0.83 (95 %), look-alikes whose
hashes are as close below 0.75."""
FLAT = 4.0
"""Standard deviation, in grey levels of 255, below which a small copy shows nothing to correlate."""


def thumbnail(data: bytes, side: int) -> Image.Image:
    """An encoded picture, decoded and made to fit into `side` x `side` pixels, as RGB."""
    from PIL import Image

    small = _decoded(data, side)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return small


def fingerprint(data: bytes) -> NDArray[np.uint8]:
    """uint8 (16, 16, 3): the whole picture squashed to a square, in colour."""
    from PIL import Image

    return np.asarray(_decoded(data, SIDE * 4).resize((SIDE, SIDE), Image.Resampling.BOX))


def _decoded(data: bytes, side: int) -> Image.Image:
    """The picture as RGB; a JPEG is decoded at a fraction of its size, yet at least `side` pixels wide and high."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.draft("RGB", (side, side))
            return picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BamkitError(
            f"a picture of a split cannot be decoded: {error}", "delete its folder, then: bamkit fetch"
        ) from error


def alike(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> bool:
    """Whether two fingerprints show the same picture: re-encoded, resized, brightened, recoloured in part.

    The perceptual hash sees 63 bits of grey structure only, and small figures on an empty ground share many of those;
    the correlation of what is drawn then tells them apart. Two flat pictures are one if their colours are.
    """
    left, right = a.astype(np.float64), b.astype(np.float64)
    means = left.mean(axis=(0, 1)), right.mean(axis=(0, 1))
    left, right = left - means[0], right - means[1]
    if left.std() < FLAT or right.std() < FLAT:
        return bool(left.std() < FLAT and right.std() < FLAT and np.abs(means[0] - means[1]).max() < 2 * FLAT)
    return float(np.mean(left * right) / (left.std() * right.std())) >= ALIKE
