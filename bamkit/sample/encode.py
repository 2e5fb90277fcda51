"""The sample's files as bytes: as at Behance, names lie about formats, some have alpha, most carry a colour profile."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageCms, ImageDraw

from bamkit.sample.addresses import path_of
from bamkit.sample.painter import paint

TYPES = {"jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "gif": "image/gif"}


def content_type(path: str) -> str:
    """The type that the host claims: it goes by the name, also where the name lies."""
    return TYPES[path.rpartition(".")[2].lower()]


@dataclass(frozen=True)
class Form:
    """How a picture is stored."""

    format: str
    """JPEG, PNG or GIF: what the bytes are, whatever the name says."""
    alpha: bool
    """Whether the file has an alpha channel (transparent rounded corners)."""
    profile: bool
    """Whether it carries an sRGB profile."""
    grey: bool
    """Whether it is stored in grey if it has no colour."""
    quality: int


def form_of(mid: int, seed: int) -> Form:
    """8 % of the .png names hold JPEG bytes and 4 % of the .jpg names PNG bytes; a fifth of the PNG files has an alpha
    channel; 60 % of the JPEG and PNG files carry a profile; a tenth of the grey JPEG files is stored in grey."""
    rng = random.Random(f"{seed}/file/{mid}")
    name, lie = content_type(path_of(mid, seed)), rng.random()
    kind = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF"}[name]
    if kind == "PNG" and lie < 0.08:
        kind = "JPEG"
    elif kind == "JPEG" and lie < 0.04:
        kind = "PNG"
    alpha, profile, grey = rng.random() < 0.2, rng.random() < 0.6, rng.random() < 0.1
    return Form(kind, kind == "PNG" and alpha, kind != "GIF" and profile, grey, rng.choice((80, 88, 92)))


def picture_bytes(mid: int, seed: int) -> bytes:
    """The file behind a mid, deterministic in (mid, seed) for one version of Pillow."""
    form, image, target = form_of(mid, seed), paint(mid, seed), io.BytesIO()
    profile = srgb_profile() if form.profile else None
    if form.format == "GIF":
        image.quantize(128, Image.Quantize.FASTOCTREE).save(target, "GIF")
    elif form.format == "PNG":
        (_rounded(image) if form.alpha else image).save(target, "PNG", compress_level=1, icc_profile=profile)
    else:
        if form.grey and _is_grey(image):
            image, profile = image.convert("L"), None
        image.save(target, "JPEG", quality=form.quality, icc_profile=profile)
    return target.getvalue()


def _rounded(image: Image.Image) -> Image.Image:
    """The picture with transparent rounded corners."""
    alpha = Image.new("L", image.size, 0)
    ImageDraw.Draw(alpha).rounded_rectangle((0, 0, image.width - 1, image.height - 1), 28, 255)
    image = image.copy()
    image.putalpha(alpha)
    return image


def _is_grey(image: Image.Image) -> bool:
    pixels = np.asarray(image.reduce(8)).astype(np.int16)
    return int(np.abs(np.diff(pixels, axis=2)).max()) < 12


@cache
def srgb_profile() -> bytes:
    """An sRGB profile with its date set to a fixed day, since the library writes the present one."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes((0x07, 0xE0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0))
    return bytes(profile)
