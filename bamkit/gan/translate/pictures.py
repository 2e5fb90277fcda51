"""Pictures in memory through a trained generator: a PIL image, an array or a tensor, and the same kind comes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from bamkit.common.pictures.reader import Opened, from_image, resized
from bamkit.gan.translate.generator import Translator

Picture = TypeVar("Picture", Image.Image, NDArray[Any], torch.Tensor)
"""PIL image; array (H, W, 3) or (N, H, W, 3); tensor (3, H, W) or (N, 3, H, W): uint8, or floats in [0, 1]."""

BATCH = 8
"""Pictures in one pass on a GPU."""


def translate_picture(picture: Picture, translator: Translator, shorter: int = 0, own: bool = True) -> Picture:
    """Translate a picture or a batch; kind, layout, dtype and device of the result are those of `picture`.

    The generator sees 8 bits a channel, so floats are rounded to 255ths. `shorter` > 0 is the shorter side that it
    sees, in pixels; the result is then resized back to the picture's size, unless `own` is false. An image's alpha is
    kept, its colours come out in sRGB and upright; other modes come back as RGB or RGBA. No gradient flows.
    Raises TypeError for another kind, ValueError for another shape and for values out of range.
    """
    if isinstance(picture, Image.Image):
        opened = from_image(picture)
        (rgb,) = _translated([opened], translator, shorter, own)
        if opened.alpha is None:
            return Image.fromarray(rgb)
        alpha = Image.fromarray(opened.alpha).resize(rgb.shape[1::-1], Image.Resampling.BICUBIC)
        return Image.fromarray(np.dstack([rgb, np.asarray(alpha)]))
    if isinstance(picture, torch.Tensor):
        values = _checked(picture.detach().cpu().movedim(-3, -1) if picture.ndim >= 3 else picture, "(3, H, W)")
        made = torch.from_numpy(_many(values, translator, shorter, own)).movedim(-1, -3)
        result = made if picture.dtype == torch.uint8 else made.to(picture.dtype) / 255
        return result.contiguous().to(picture.device)
    if isinstance(picture, np.ndarray):
        writable = np.require(picture, requirements=["C", "W"])
        made = _many(_checked(torch.from_numpy(writable), "(H, W, 3)"), translator, shorter, own)
        return made if picture.dtype == np.uint8 else (made / 255).astype(picture.dtype)
    raise TypeError(f"a picture is a PIL image, a numpy array or a tensor, not {type(picture).__name__}")


def _checked(values: torch.Tensor, layout: str) -> NDArray[np.uint8]:
    """uint8 (..., H, W, 3) of values with channels last. `layout` is what the caller's would be."""
    if values.ndim not in (3, 4) or values.shape[-1] != 3 or 0 in values.shape:
        raise ValueError(f"a picture has the shape {layout}, several (N, {layout[1:]}: channels are R, G, B")
    if values.dtype == torch.uint8:
        return values.numpy()
    if not values.is_floating_point():
        raise TypeError(f"values are uint8 in 0 .. 255 or floats in [0, 1], not {values.dtype}")
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):
        hint = "; (x + 1) / 2 brings [-1, 1] there" if low >= -1 and high <= 1 else ""
        raise ValueError(f"floats must lie in [0, 1], and these reach from {low:g} to {high:g}{hint}")
    return (values.double() * 255).round().to(torch.uint8).numpy()


def _many(values: NDArray[np.uint8], translator: Translator, shorter: int, own: bool) -> NDArray[np.uint8]:
    pictures = [Opened(picture, None) for picture in (values if values.ndim == 4 else values[None])]
    made = np.stack(_translated(pictures, translator, shorter, own))
    return made if values.ndim == 4 else made[0]


def _translated(pictures: Sequence[Opened], translator: Translator, shorter: int, own: bool) -> list[NDArray[np.uint8]]:
    """Pictures of one size. On a CPU batches gain nothing; alone, a result does not depend on what came with it."""
    together = 1 if translator.device.type == "cpu" else BATCH
    seen = [np.ascontiguousarray(resized(picture, shorter).rgb) for picture in pictures]
    made = [one for start in range(0, len(seen), together) for one in translator(seen[start : start + together])]
    height, width = pictures[0].size
    if not own or made[0].shape[:2] == (height, width):
        return made
    return [np.asarray(Image.fromarray(one).resize((width, height), Image.Resampling.BICUBIC)) for one in made]
