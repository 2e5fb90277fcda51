"""The sample's files as bytes: as at Behance, names lie about formats, some have alpha, most carry a colour profile."""

from __future__ import annotations

import io
import random
from functools import cache

from PIL import Image, ImageChops, ImageCms, ImageDraw

from bamkit.curate.sample.addresses import path_of
from bamkit.curate.sample.painter import paint

TYPES = {"jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "gif": "image/gif"}


def content_type(path: str) -> str:
    """The type that the host claims: it goes by the name, also where the name lies."""
    return TYPES[path.rpartition(".")[2].lower()]


def picture_bytes(mid: int, seed: int) -> bytes:
    """The file behind a mid, deterministic in (mid, seed) for one version of Pillow.

    8 % of the .png names hold JPEG bytes and 4 % of the .jpg names PNG bytes; a fifth of the PNG files has an alpha
    channel (rounded corners); 60 % of the JPEG and PNG files carry an sRGB profile; a few pencil drawings are stored
    in grey.
    """
    rng = random.Random(f"{seed}/file/{mid}")
    kind = TYPES[path_of(mid, seed).rpartition(".")[2].lower()]
    if kind == "image/png" and rng.random() < 0.08:
        kind = "image/jpeg"
    elif kind == "image/jpeg" and rng.random() < 0.04:
        kind = "image/png"
    image = paint(mid, seed)
    profile = srgb_profile() if rng.random() < 0.6 else None
    target = io.BytesIO()
    if kind == "image/gif":
        image.quantize(128, Image.Quantize.FASTOCTREE).save(target, "GIF")
    elif kind == "image/png":
        if rng.random() < 0.2:
            image = _rounded(image)
        image.save(target, "PNG", compress_level=1, icc_profile=profile)
    else:
        if rng.random() < 0.1 and _is_grey(image):
            image, profile = image.convert("L"), None
        image.save(target, "JPEG", quality=rng.choice((80, 88, 92)), icc_profile=profile)
    return target.getvalue()


def _rounded(image: Image.Image) -> Image.Image:
    """The picture with transparent rounded corners."""
    alpha = Image.new("L", image.size, 0)
    ImageDraw.Draw(alpha).rounded_rectangle((0, 0, image.width - 1, image.height - 1), 28, 255)
    image = image.copy()
    image.putalpha(alpha)
    return image


def _is_grey(image: Image.Image) -> bool:
    red, green, blue = image.reduce(8).split()
    return max(ImageChops.difference(a, b).getextrema()[1] for a, b in ((red, green), (green, blue))) < 12


@cache
def srgb_profile() -> bytes:
    """An sRGB profile with its date set to a fixed day, since the library writes the present one."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes((0x07, 0xE0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0))
    return bytes(profile)
