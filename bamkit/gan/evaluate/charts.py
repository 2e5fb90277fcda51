"""Estimates as dots with bars, a small chart a metric: side by side on a page, one below the other on a phone."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from bamkit.common.pages.figures import COLOURS, new, style, svg
from bamkit.common.statistics import Estimate


@dataclass(frozen=True)
class Panel:
    """One chart: rows from top to bottom."""

    title: str
    rows: Mapping[str, Estimate]
    highlighted: Collection[str] = ()
    """The rows drawn in the second colour."""
    limits: tuple[float, float] | None = None
    """The range of the axis, where the metric has one."""
    singles: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """By row, single figures that its estimate is the mean of: small strokes."""
    rings: Mapping[str, float] = field(default_factory=dict)
    """By row, another figure beside its own: a ring."""


def panels(charts: Sequence[Panel]) -> list[tuple[bytes, str]]:
    """Each chart as (SVG, the same in words)."""
    return [(_draw(chart), _words(chart)) for chart in charts]


def _draw(chart: Panel) -> bytes:
    names = list(reversed(list(chart.rows)))
    figure = new(3.5, 0.75 + 0.3 * len(names))
    with style():
        axes = figure.subplots()
        for place, name in enumerate(names):
            estimate = chart.rows[name]
            colour = COLOURS[1] if name in chart.highlighted else COLOURS[0]
            if not math.isnan(estimate.low):
                axes.plot([estimate.low, estimate.high], [place] * 2, color=colour, linewidth=2, solid_capstyle="butt")
            axes.plot([estimate.value], [place], "o", color=colour, markersize=5)
            for single in chart.singles.get(name, ()):
                axes.plot([single], [place], "|", color=colour, markersize=9, markeredgewidth=1)
            if name in chart.rings:
                axes.plot([chart.rings[name]], [place], "o", color=colour, markersize=8, fillstyle="none")
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.set_title(chart.title)
        axes.grid(axis="x")
        axes.locator_params(axis="x", nbins=5)
        if chart.limits is not None:
            low, high = chart.limits
            axes.set_xlim(low - 0.03 * (high - low), high + 0.03 * (high - low))
    return svg(figure)


def _words(chart: Panel) -> str:
    return f"{chart.title}: " + ", ".join(f"{name} {estimate}" for name, estimate in chart.rows.items())
