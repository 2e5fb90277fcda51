"""The house style of figures, and figures as bytes: SVG and PNG that are identical for identical input."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from bamkit.page import FAINT, GRID, INK

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
    return _svg(figure, "path")


def inline(figure: Figure) -> bytes:
    """The figure as SVG for a page: text stays text, so that it takes the page's fonts and can be searched."""
    return _svg(figure, "none")


def _svg(figure: Figure, text: str) -> bytes:
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.BytesIO()
    # Figure.savefig draws everything twice, once for the layout alone; one drawing does both.
    with style(), matplotlib.rc_context({"svg.fonttype": text}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": "bamkit"})
    return buffer.getvalue()


def png(figure: Figure, dpi: int = 200) -> bytes:
    """The figure as PNG on white, `dpi` dots an inch."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    before = figure.dpi, figure.get_facecolor()
    with style():
        figure.set_dpi(dpi)
        figure.set_facecolor("white")
        FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": "bamkit"})
        figure.set_dpi(before[0])
        figure.set_facecolor(before[1])
    return buffer.getvalue()
