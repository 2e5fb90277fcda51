"""From a canvas to pixels: flat colour with or without outlines, the outlines alone, and relief."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageDraw

from bamkit.sample.painter import textures
from bamkit.sample.painter.canvas import SUPERSAMPLE, Backdrop, Canvas, Color, Glow, Line, Shape, Veil


def flat(canvas: Canvas, ink: Color | None = None, width: float = 0.0) -> Image.Image:
    """All shapes in their colours (RGB, the picture's size); with `ink`, outlines of `width` pixels around them."""
    image = Image.new("RGB", (canvas.width * SUPERSAMPLE, canvas.height * SUPERSAMPLE), (255, 255, 255))
    draw = ImageDraw.Draw(image)
    for op in canvas.ops:
        match op:
            case Shape(points, color, line, _):
                draw.polygon(points, color)
                if ink and line:
                    _outline(draw, points, ink, width * line * SUPERSAMPLE)
            case Line(points, color, thick, line):
                if ink and line:
                    _round_line(draw, points, ink, thick + 2 * width * line * SUPERSAMPLE)
                _round_line(draw, points, color, thick)
            case Glow():
                _glow(image, op)
            case Veil():
                _veil(image, op)
            case Backdrop():
                _backdrop(image, op)
    image = image.reduce(SUPERSAMPLE)
    if canvas.vignette:
        mask = textures.vignette().point(_scaled(round(255 * canvas.vignette))).resize(image.size)
        image.paste((4, 3, 10), (0, 0), mask)
    return image


def outlines(canvas: Canvas, width: float, shade: int = 0) -> Image.Image:
    """The outlines alone (L, 255 where there is none): what lies behind a shape is hidden by it."""
    image = Image.new("L", (canvas.width * SUPERSAMPLE, canvas.height * SUPERSAMPLE), 255)
    draw = ImageDraw.Draw(image)
    for op in canvas.ops:
        if isinstance(op, Shape):
            draw.polygon(op.points, 255)
            if op.line:
                _outline(draw, op.points, shade, width * op.line * SUPERSAMPLE)
        elif isinstance(op, Line):
            if op.line:
                _round_line(draw, op.points, shade, op.width + 2 * width * op.line * SUPERSAMPLE)
                _round_line(draw, op.points, 255, op.width)
            else:
                _round_line(draw, op.points, shade, min(op.width, width * 1.2 * SUPERSAMPLE))
    return image.reduce(SUPERSAMPLE)


def relief(canvas: Canvas, groove: float) -> Image.Image:
    """How far each place stands out (L): grooves of `groove` pixels around every shape with a bump, 128 where flat."""
    image = Image.new("L", (canvas.width * SUPERSAMPLE, canvas.height * SUPERSAMPLE), 128)
    draw = ImageDraw.Draw(image)
    for op in canvas.ops:
        if isinstance(op, Shape):
            top = round(128 + 110 * min(op.bump, 1.0))
            draw.polygon(op.points, top)
            if op.bump:
                _outline(draw, op.points, 40, groove * SUPERSAMPLE * min(op.bump, 1.0))
        elif isinstance(op, Line) and op.line:
            _round_line(draw, op.points, 40, op.width + groove * SUPERSAMPLE)
            _round_line(draw, op.points, 220, op.width * 0.7)
    return image.reduce(SUPERSAMPLE)


def _outline(draw: ImageDraw.ImageDraw, points: list[float], ink: Color | int, width: float) -> None:
    thick = max(1, round(width))
    # Pillow leaves a notch at each corner of a wide line; "curve" fills it, but is slow and only seen at sharp ones.
    sharp = thick > 2 and len(points) <= 20
    draw.line(points + points[:4], ink, thick, joint="curve" if sharp else None)


def _round_line(draw: ImageDraw.ImageDraw, points: list[float], color: Color | int, width: float) -> None:
    thick = max(1, round(width))
    draw.line(points, color, thick, joint="curve" if thick > 3 and len(points) > 4 else None)
    if thick >= 4:
        r = width / 2
        for x, y in ((points[0], points[1]), (points[-2], points[-1])):
            draw.ellipse((x - r, y - r, x + r, y + r), color)


@lru_cache(maxsize=128)
def _scaled(strength: int) -> list[int]:
    return [value * strength // 255 for value in range(256)]


def _glow(image: Image.Image, op: Glow) -> None:
    width, height = max(1, round(2 * op.rx)), max(1, round(2 * op.ry))
    x, y = round(op.x - op.rx), round(op.y - op.ry)
    mask = textures.disc().point(_scaled(round(255 * op.strength)))
    # Only the part inside the picture is scaled up: a sun's glow can be larger than the picture.
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + width, image.width), min(y + height, image.height)
    if right <= left or bottom <= top:
        return

    def inside(edge: int, start: int, size: int) -> float:
        return min(max((edge - start) / size, 0.0), 1.0) * mask.width

    box = inside(left, x, width), inside(top, y, height), inside(right, x, width), inside(bottom, y, height)
    mask = mask.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box)
    image.paste(op.color, (left, top, right, bottom), mask)


def _veil(image: Image.Image, op: Veil) -> None:
    top, bottom = max(0, round(op.top)), min(image.height, round(op.bottom))
    if bottom <= top:
        return
    mask = textures.mist().point(_scaled(round(255 * op.strength)))
    mask = mask.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if op.seed > 0.5 else mask
    span = max(op.bottom - op.top, 1.0)
    first, last = ((edge - op.top) / span * mask.height for edge in (top, bottom))
    box = (0, max(first, 0.0), mask.width, min(last, mask.height))
    mask = mask.resize((image.width, bottom - top), Image.Resampling.BILINEAR, box)
    image.paste(op.color, (0, top, image.width, bottom), mask)


def _backdrop(image: Image.Image, op: Backdrop) -> None:
    top, bottom = round(op.top), round(op.bottom)
    strip = Image.new("RGB", (1, len(op.colors)))
    for i, color in enumerate(op.colors):
        strip.putpixel((0, i), color)
    # Bilinear scaling keeps the half-steps at both ends flat; the box cuts them off.
    column = strip.resize((1, max(bottom - top, 1)), Image.Resampling.BILINEAR, (0, 0.5, 1, len(op.colors) - 0.5))
    if bottom < image.height:
        image.paste(op.colors[-1], (0, max(bottom, 0), image.width, image.height))
    image.paste(column.resize((image.width, column.height), Image.Resampling.NEAREST), (0, top))
