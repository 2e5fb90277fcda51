"""Small copies of the pictures of fetched splits, for contact sheets and for confirming near-duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bamkit.common.errors import BamkitError
from bamkit.common.pictures.altered_copies import SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image


def thumbnail(data: bytes, side: int) -> Image.Image:
    """An encoded picture, decoded and made to fit into `side` x `side` pixels, as RGB."""
    from PIL import Image

    small = _decoded(data, side)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return small


def small_copy(data: bytes) -> NDArray[np.uint8]:
    """uint8 (64, 64, 3): the whole picture squashed to a square, in colour."""
    from PIL import Image

    return np.asarray(_decoded(data, 2 * SIDE).resize((SIDE, SIDE), Image.Resampling.BOX))


def _decoded(data: bytes, side: int) -> Image.Image:
    """The picture as RGB; a JPEG is decoded at a fraction of its size, yet at least `side` pixels wide and high."""
    from bamkit.common.pictures.reader import BadPictureError, PictureFile

    try:
        file = PictureFile(data)
        file.draft(side, side)
        return file.decode()[0].convert("RGB")
    except BadPictureError as error:
        raise BamkitError(
            f"a picture of a split cannot be decoded: {error}", "delete its folder, then: bamkit fetch"
        ) from error
