"""The style of all figures, and figures as bytes: SVG, PDF and PNG that are identical for identical input."""

from __future__ import annotations

import io
import warnings
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from bamkit.common.pages.page import FAINT, GRID, INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EMOTION_COLOURS = {"happy": "#e8a33d", "scary": "#7a4fa3", "gloomy": "#6b7f8f", "peaceful": "#3d9d8f"}
COLOURS = ("#3b78b5", "#e07b39", "#4c9f62", "#b8518b", "#8a6fc9", "#a8903a", "#5aa7c7", "#c65353")

STYLE: Any = {
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
    "svg.fonttype": "none",
    "svg.hashsalt": "bamkit",
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}

UNSEEN = "Glyph .* missing from font|constrained_layout not applied"
"""Names in other scripts: a browser that shows the SVG has the letters. Very long names: a smaller plot."""


def new(width: float = 8.0, height: float = 3.2) -> Figure:
    """An empty figure of `width` x `height` inches in this style, bound to no window and no global state.

    Draw on it inside `with style():` so that axes made later take the style too.
    """
    from matplotlib.figure import Figure

    with style():
        return Figure(figsize=(width, height), layout="constrained")


def style() -> AbstractContextManager[None]:
    """The style as a context: `with style(): axes = figure.subplots()`."""
    import matplotlib

    return matplotlib.rc_context(STYLE)


def svg(figure: Figure) -> bytes:
    """The figure as SVG on a transparent ground. Text stays text: it can be searched, and takes a page's fonts.

    Ink in INK, FAINT and GRID, which pages recolour. The figure is laid out from here on.
    """
    _lay_out(figure)
    return _saved(figure, "svg", metadata={"Date": None, "Creator": "bamkit"})


def pdf(figure: Figure) -> bytes:
    """The figure as PDF on a transparent ground, fonts embedded."""
    return _saved(figure, "pdf", metadata={"CreationDate": None, "Creator": "bamkit", "Producer": None})


def png(figure: Figure, dpi: int = 200) -> bytes:
    """The figure as PNG on white, `dpi` dots an inch."""
    return _saved(figure, "png", dpi=dpi, facecolor="white", metadata={"Software": "bamkit"})


def _lay_out(figure: Figure) -> None:
    """Place the axes, by text as SVG measures it: savefig would draw the whole figure twice for that."""
    engine = figure.get_layout_engine()
    if engine is None:
        return
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    dpi = figure.dpi
    FigureCanvasSVG(figure)
    with style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", UNSEEN)
        engine.execute(figure)
    figure.dpi = dpi  # measuring for SVG has set it to 72
    figure.set_layout_engine(None)


def _saved(figure: Figure, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", UNSEEN)
        figure.savefig(buffer, format=kind, **options)
    return buffer.getvalue()
