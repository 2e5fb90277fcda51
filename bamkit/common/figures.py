"""The house style of figures, and figures as bytes: SVG and PNG that are identical for identical input."""

from __future__ import annotations

import io
import re
import zlib
from typing import TYPE_CHECKING, Any

from bamkit.common.pages import FAINT, GRID, INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EMOTION_COLOURS = {"happy": "#e8a33d", "scary": "#7a4fa3", "gloomy": "#6b7f8f", "peaceful": "#3d9d8f"}
COLOURS = ("#3b78b5", "#e07b39", "#4c9f62", "#b8518b", "#8a6fc9", "#a8903a", "#5aa7c7", "#c65353")

STYLE = {
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "font.size": 9.5,
    "grid.color": GRID,
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "bamkit",
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}


def new(width: float = 8.0, height: float = 3.2) -> Figure:
    """An empty figure of `width` x `height` inches in the house style, bound to no window and no global state.

    Draw on it inside `with style():` so that axes made later take the style too.
    """
    from matplotlib.figure import Figure

    with style():
        return Figure(figsize=(width, height), layout="constrained")


def style():  # noqa: ANN201  (matplotlib's context manager)
    """The house style as a context: `with style(): axes = figure.subplots()`."""
    import matplotlib

    return matplotlib.rc_context(STYLE)


def svg(figure: Figure) -> bytes:
    """The figure as SVG with no date in it. Transparent ground; ink in INK, FAINT and GRID, which pages recolour."""
    return svg_and_inline(figure)[0]


def inline(figure: Figure) -> bytes:
    """The figure as SVG for a page: text stays text, so that it takes the page's fonts and can be searched."""
    return svg_and_inline(figure)[1]


def svg_and_inline(figure: Figure) -> tuple[bytes, bytes]:
    """What `svg` and `inline` give, from one drawing: they differ in their texts only, which are written twice."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG, RendererSVG

    # Comments close the tag before them, so that what lies between two of them can be cut out.
    marks = ("here as text", "here as outlines", "here no more")

    class Twice(RendererSVG):
        def draw_text(self, *args: Any, **options: Any) -> None:
            for mark, kind in zip(marks, ("none", "path"), strict=False):
                self.writer.comment(mark)
                matplotlib.rcParams["svg.fonttype"] = kind
                super().draw_text(*args, **options)
            self.writer.comment(marks[2])

    buffer = io.StringIO()
    dpi, (width, height) = figure.dpi, 72 * figure.get_size_inches()
    with style(), matplotlib.rc_context():
        FigureCanvasSVG(figure)  # the layout measures texts as this canvas would set them
        figure.set_dpi(72)
        renderer = Twice(width, height, buffer, image_dpi=dpi, metadata={"Date": None, "Creator": "bamkit"})
        # Figure.savefig draws everything twice, once for the layout alone; one drawing does both.
        figure.draw(renderer)
        renderer.finalize()
        figure.set_dpi(dpi)
    text, outlines, end = (rf" *<!-- {mark} -->\n" for mark in marks)
    kept = re.compile(f"{text}(?P<inline>.*?){outlines}(?P<svg>.*?){end}", re.DOTALL)
    return tuple(kept.sub(rf"\g<{name}>", buffer.getvalue()).encode() for name in ("svg", "inline"))


def png(figure: Figure, dpi: int = 200) -> bytes:
    """The figure as PNG on white, `dpi` dots an inch."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image, PngImagePlugin

    buffer = io.BytesIO()
    before = figure.dpi, figure.get_facecolor()
    with style():
        figure.set_dpi(dpi)
        figure.set_facecolor("white")
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        size = canvas.get_width_height()
        figure.set_dpi(before[0])
        figure.set_facecolor(before[1])
    about = PngImagePlugin.PngInfo()
    about.add_text("Software", "bamkit")
    # Drawings are runs of one colour: run lengths alone take half the time of the usual search, and hardly more room.
    picture = Image.frombuffer("RGBA", size, canvas.buffer_rgba()).convert("RGB")
    picture.save(buffer, "PNG", dpi=(dpi, dpi), pnginfo=about, compress_type=zlib.Z_RLE)
    return buffer.getvalue()
