"""Sample grids: fixed test pictures in every direction, with cycle and identity, or at several strengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from bamkit.common.pictures.generated import png_information
from bamkit.common.workspace import atomic_path
from bamkit.gan.train.data.loader import unit
from bamkit.gan.train.monitor.validation import Translate

COLUMNS = ("real", "translated", "and back", "identity")
GAP, HEAD = 4, 18
SMALLEST = 64
"""Pictures with shorter sides are enlarged by a whole factor, so that they can be seen and titles do not overlap."""


@torch.no_grad()
def draw(
    there: Callable[..., Tensor],
    back: Translate,
    pictures: np.ndarray,
    device: torch.device,
    strengths: Sequence[float] = (),
) -> Image.Image:
    """A grid for uint8 [N, S, S, 3]: a row a picture; real, translated, translated back, identity.

    Identity is the picture given to the other direction's generator, which should leave it alone. Where `there` takes
    strengths, the picture and its translations at these.
    """
    columns = ("real", *(f"at {strength:g}" for strength in strengths)) if strengths else COLUMNS
    factor = -(-SMALLEST // pictures.shape[1])
    side = pictures.shape[1] * factor
    sheet = Image.new("RGB", (len(columns) * (side + GAP) - GAP, HEAD + len(pictures) * (side + GAP) - GAP), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for column, title in enumerate(columns):
        pen.text((column * (side + GAP) + 2, 2), title, fill="#444444", font=font)
    for row, picture in enumerate(pictures):
        real = unit(torch.from_numpy(picture[None]).to(device))
        if strengths:
            made = [there(real, torch.tensor([strength], device=device)) for strength in strengths]
        else:
            fake = there(real)
            made = [fake, back(fake), back(real)]
        cells = (picture, *map(as_picture, made))
        for column, cell in enumerate(cells):
            large = Image.fromarray(cell.repeat(factor, axis=0).repeat(factor, axis=1))
            sheet.paste(large, (column * (side + GAP), HEAD + row * (side + GAP)))
    return sheet


def as_picture(x: Tensor) -> np.ndarray:
    """[1, 3, H, W] in [-1, 1] -> uint8 [H, W, 3]."""
    scaled = (x[0].detach().float().clamp(-1, 1) + 1) * 127.5
    return scaled.round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def write(folder: Path, direction: str, step: int, sheet: Image.Image, mark: str = "") -> Path:
    """Save as `<direction>-<step, 8 digits>.png` with the XMP packet `mark`, if any."""
    path = folder / f"{direction}-{step:08}.png"
    with atomic_path(path) as temporary:
        sheet.save(temporary, "PNG", pnginfo=png_information(mark))
    return path


def centre(pictures: np.ndarray, multiple: int) -> np.ndarray:
    """The middle of uint8 [N, S, S, 3] with sides that are multiples of `multiple`."""
    side = pictures.shape[1]
    kept = side // multiple * multiple
    start = (side - kept) // 2
    return pictures[:, start : start + kept, start : start + kept]
