"""Addresses of the sample's pictures: the same shape as Behance's, with the mid inside, so that a server can paint."""

from __future__ import annotations

import hashlib
import random
import re

FOLDER = "/project_modules/disp/"
_PATH = re.compile(re.escape(FOLDER) + r"([0-9a-f]{6})(\d{1,18})\.([0-9a-f]{13})\.([A-Za-z]{3,4})")

_EXTENSIONS = {"jpg": 60, "png": 22, "gif": 4, "jpeg": 3, "JPG": 6, "PNG": 3, "GIF": 1, "Jpg": 1}


def path_of(mid: int, seed: int) -> str:
    """`/project_modules/disp/<6 hex><mid>.<13 hex>.<ext>`, one for each mid."""
    token = _token(mid, seed)
    rng = random.Random(f"{seed}/address/{mid}")
    extension = rng.choices(list(_EXTENSIONS), list(_EXTENSIONS.values()))[0]
    return f"{FOLDER}{token[:6]}{mid}.{token[6:19]}.{extension}"


def mid_of(path: str, seed: int) -> int | None:
    """The mid in a path that `path_of` made, or None for any other path."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    mid = int(match[2])
    return mid if path == path_of(mid, seed) else None


def _token(mid: int, seed: int) -> str:
    return hashlib.sha256(f"{seed}/token/{mid}".encode()).hexdigest()
