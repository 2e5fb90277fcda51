"""What goes wrong with which address: drawn from the address alone, so that every run meets the same faults."""

from __future__ import annotations

import hashlib
import io
import random
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw


@dataclass(frozen=True)
class Fault:
    """One way to answer badly, and whether a second request meets it again."""

    name: str
    lasting: bool
    share: float
    """Share of the addresses at `faults=1.0`; the shares of the lasting faults add up to 1."""


FAULTS = (
    Fault("missing", True, 0.50),  # 404
    Fault("placeholder", True, 0.40),  # 200 and a fixed picture
    Fault("cut-file", True, 0.10),  # 200, right length, but the file itself is cut short
    Fault("cut-transfer", False, 0.15),  # the connection ends in the middle of the body, the first time
    Fault("server-error", False, 0.12),  # 500, the first time
    Fault("too-many-requests", False, 0.05),  # 429 with Retry-After: 1, the first time
    Fault("slow", False, 0.40),  # the answer waits, the first time
)


def fault_of(path: str, seed: int, faults: float) -> Fault | None:
    """The fault of an address; a share of `faults` of all addresses never gives its picture."""
    draw = random.Random(f"{seed}/fault/{path}").random()
    for fault in FAULTS:
        draw -= fault.share * faults
        if draw < 0:
            return fault
    return None


@cache
def placeholder() -> bytes:
    """The picture that stands in for a removed one: always the same PNG of 600 x 343 px, served with status 200.

    The real host's file cannot be given here (its md5 is 55baf220c19dcf464dbaf0a8bd07aa2b); `placeholder_sha256` and
    `placeholder_md5` name this one.
    """
    image = Image.new("RGB", (600, 343), (241, 241, 241))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 599, 342), outline=(224, 224, 224))
    draw.rounded_rectangle((252, 110, 348, 186), 8, outline=(198, 198, 198), width=4)
    draw.polygon([(262, 176), (286, 142), (302, 162), (314, 150), (338, 176)], (198, 198, 198))
    draw.ellipse((318, 122, 334, 138), (198, 198, 198))
    for left, right, top in ((208, 392, 212), (238, 362, 230)):
        draw.rounded_rectangle((left, top, right, top + 8), 4, (214, 214, 214))
    target = io.BytesIO()
    image.save(target, "PNG", compress_level=9)
    return target.getvalue()


def placeholder_sha256() -> str:
    return hashlib.sha256(placeholder()).hexdigest()


def placeholder_md5() -> str:
    return hashlib.md5(placeholder(), usedforsecurity=False).hexdigest()
