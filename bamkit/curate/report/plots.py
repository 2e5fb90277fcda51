"""The figures of a report, each drawn from one table of numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bamkit.common.contract import short
from bamkit.common.pages import figures
from bamkit.common.pages.figures import COLOURS, EMOTION_COLOURS
from bamkit.common.pages.page import FAINT, GRID, INK

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

GROUP_COLOURS = {"content": "#4c9f62", "emotion": "#e08a2e", "media": "#3b78b5", "others": GRID}
"""Colours of the three groups of attributes."""


def colour(name: str, index: int = 0) -> str:
    """The colour of a domain: that of its emotion, if its name begins with one."""
    return next(
        (c for emotion, c in EMOTION_COLOURS.items() if name.startswith(emotion)), COLOURS[index % len(COLOURS)]
    )


def words(attribute: str) -> str:
    """`media_pen_ink` -> `pen ink`."""
    return short(attribute).replace("_", " ")


def pair_words(pair: str) -> str:
    """`media_pen_ink:positive` -> `pen ink:positive`."""
    return words(pair) if ":" in pair else pair


def panels(draw: Sequence[Callable[[Axes], None]], columns: int = 2, size: tuple[float, float] = (4.2, 2.5)) -> Figure:
    """One figure with a panel of `size` inches for each of `draw`."""
    rows = math.ceil(len(draw) / columns)
    figure = figures.new(size[0] * columns, size[1] * rows)
    with figures.style():
        _draw_each(draw, figure.subplots(rows, columns, squeeze=False).ravel())
    return figure


def small_multiples(
    draw: Sequence[Callable[[Axes], None]],
    columns: int,
    labels: tuple[str, str],
    size: tuple[float, float] = (1.5, 1.22),
) -> Figure:
    """Panels of `size` inches, each with a title and the same axes, numbered and named (x, y) at the rim only.

    Their places are given, since working out a layout for twenty of them takes as long as drawing them.
    """
    left, right, top, bottom, across, down = 0.55, 0.08, 0.3, 0.46, 0.18, 0.33
    rows = math.ceil(len(draw) / columns)
    width = left + columns * size[0] + (columns - 1) * across + right
    height = top + rows * size[1] + (rows - 1) * down + bottom
    figure = figures.new(width, height)
    figure.set_layout_engine(None)
    places = {
        "left": left / width, "right": 1 - right / width, "top": 1 - top / height, "bottom": bottom / height,
        "wspace": across / size[0], "hspace": down / size[1],
    }  # fmt: skip
    with figures.style():
        axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw=places).ravel()
        _draw_each(draw, axes)
        figure.supxlabel(labels[0], fontsize=9.5, y=0.01)
        figure.supylabel(labels[1], fontsize=9.5, x=0.005)
    for place, axis in enumerate(axes[: len(draw)]):
        axis.tick_params(labelleft=place % columns == 0, labelbottom=place + columns >= len(draw))
    return figure


def _draw_each(draw: Sequence[Callable[[Axes], None]], axes: Any) -> None:
    for draw_on, axis in zip(draw, axes, strict=False):
        draw_on(axis)
    for axis in axes[len(draw) :]:
        axis.set_axis_off()


def single(draw: Callable[[Axes], None], size: tuple[float, float]) -> Figure:
    """A figure with one panel."""
    return panels([draw], 1, size)


def histogram(
    axes: Axes,
    edges: NDArray[Any],
    counts: NDArray[Any],
    title: str,
    colour: str,
    marks: Sequence[tuple[float, str]] = (),
) -> None:
    """A filled histogram of counts with vertical `marks` (score, text), e.g. where a selection ends."""
    axes.stairs(counts, edges, fill=True, color=colour, alpha=0.85, linewidth=0)
    axes.set_title(title)
    axes.set_xlabel("score")
    axes.set_ylabel("images")
    axes.set_xlim(_range_of(counts, edges))
    axes.set_ylim(0, None)
    axes.yaxis.set_major_formatter(lambda value, _: thousands(value))
    axes.yaxis.set_major_locator(_locator(4))
    axes.grid(axis="y", linewidth=0.6)
    left, right = axes.get_xlim()
    for place, (score, text) in enumerate(marks):
        side = -1 if score > (left + right) / 2 else 1
        score, text = (score, text) if score >= left else (left, f"← {text}")
        axes.axvline(score, color=INK, linewidth=0.9, linestyle=(0, (3, 2)))
        axes.annotate(
            text, (score, 0.94 - 0.12 * place), xycoords=("data", "axes fraction"), xytext=(5 * side, 0),
            textcoords="offset points", ha="right" if side < 0 else "left", va="center", fontsize=8, color=INK,
        )  # fmt: skip


def _range_of(counts: NDArray[Any], edges: NDArray[Any]) -> tuple[float, float]:
    """The x range that holds all but half a percent of the counts on the left, and all on the right."""
    share = np.cumsum(counts) / max(1, counts.sum())
    last = int(np.max(np.flatnonzero(counts), initial=0))
    return float(edges[int(np.searchsorted(share, 0.005))]), float(edges[last + 1])


def _locator(n: int) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(n, integer=True)


def thousands(value: float) -> str:
    """`12000` -> `12k`, `1500000` -> `1.5M`."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def label_bars(axes: Axes, top: pd.DataFrame, title: str) -> None:
    """Horizontal bars of a balance.top_labels table, coloured by group, with interval whiskers."""
    rows = top[::-1]
    places = np.arange(len(rows))
    axes.barh(places, 100 * rows["share"], height=0.68, color=rows["pair"].map(group_colour), alpha=0.9)
    _whiskers(axes, places, 100 * rows["low"], 100 * rows["high"], INK, 1, capstyle="butt")
    axes.set_yticks(places, rows["pair"].map(pair_words))
    axes.set_ylim(len(rows) - 0.4 - max(len(rows), 8), len(rows) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_title(title)
    axes.set_xlabel("% of all positive and unsure labels")
    axes.set_xlim(0, None)
    axes.grid(axis="x", linewidth=0.6)
    _legend(axes, _groups("content", "emotion", "media"), loc="center right")


def _legend(
    axes: Axes, entries: Sequence[tuple[str, str]], more: Sequence[Any] = (), columns: int = 9, **where: Any
) -> None:
    """Patches with text, and `more` handles, by default in rows above the axes, where they cover nothing."""
    from matplotlib.patches import Patch

    handles = [*(Patch(color=colour, label=text) for colour, text in entries), *more]
    place = {"loc": "lower left", "bbox_to_anchor": (-0.01, 1.0), "columnspacing": 1.2}
    axes.legend(
        handles=handles, fontsize=8.5, handlelength=1, handleheight=1,
        **(where or {**place, "ncols": min(len(handles), columns)}),
    )  # fmt: skip


def group_colour(pair: str) -> str:
    """The colour of `content_cat`, `content_cat:positive` or `others`."""
    return GROUP_COLOURS[pair.split("_", 1)[0]]


def _whiskers(
    axes: Axes,
    places: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    tints: str | Sequence[str],
    width: float,
    **look: Any,
) -> None:
    """A horizontal line at each place, all of them one artist: matplotlib's time goes by the number of artists."""
    axes.hlines(places, low, high, colors=tints, linewidth=width, **{"zorder": 2, "capstyle": "projecting", **look})


def _dots(axes: Axes, values: ArrayLike, places: ArrayLike, tints: str | Sequence[str], **look: Any) -> None:
    axes.scatter(values, places, s=5.5**2, c=tints, linewidths=1, **{"zorder": 2, **look})


def _rows(axes: Axes, names: Iterable[str]) -> None:
    """One row of the chart for each attribute, the first at the bottom."""
    labels = [words(name) for name in names]
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.7, len(labels) - 0.3)


def _groups(*names: str) -> list[tuple[str, str]]:
    return [(GROUP_COLOURS[name], name) for name in names]


def shifts(axes: Axes, smd: pd.Series, names: tuple[str, str], before: pd.Series | None = None) -> None:
    """A Love plot: the standardised mean difference of each attribute's score (index: attribute).

    With `before`, `smd` is that after matching, and `before` is shown as hollow dots.
    """
    smd = smd.sort_values(key=lambda values: values.where(np.isfinite(values), 0), kind="stable")
    places, tints = np.arange(len(smd)), [group_colour(name) for name in smd.index]
    axes.axvspan(-0.1, 0.1, color=GRID, alpha=0.6, linewidth=0)
    axes.axvline(0, color=FAINT, linewidth=0.8)
    _whiskers(axes, places, np.zeros(len(smd)), smd, tints, 1.4, alpha=0.6)
    if before is not None:
        _dots(axes, before[smd.index], places, "none", edgecolors=FAINT)
    _dots(axes, smd, places, tints)
    _rows(axes, smd.index)
    axes.set_xlabel(f"standardised mean difference of scores\n← more {names[1]} · more {names[0]} →")
    axes.grid(axis="x", linewidth=0.6)
    _legend(axes, _groups("content", "media"), _dot_legend() if before is not None else ())


def _dot_legend() -> list[Any]:
    from matplotlib.lines import Line2D

    look: dict[str, Any] = {"marker": "o", "linestyle": "none", "markersize": 5.5}
    return [
        Line2D([], [], **look, color=INK, label="after matching"),
        Line2D([], [], **look, markerfacecolor="none", markeredgecolor=FAINT, label="before"),
    ]


def dumbbells(axes: Axes, rows: pd.DataFrame, names: tuple[str, str]) -> None:
    """Prevalence of a label on both sides with intervals; `rows` are those of Balance.labels."""
    tints = [colour(name, index) for index, name in enumerate(names)]
    if tints[0] == tints[1]:
        tints[1] = COLOURS[0]
    rows = rows[::-1]
    places = np.arange(len(rows))
    _whiskers(axes, places, 100 * rows["share_a"], 100 * rows["share_b"], GRID, 2.5, zorder=1)
    for side, tint, offset in (("a", tints[0], 0.13), ("b", tints[1], -0.13)):
        _whiskers(axes, places + offset, 100 * rows[f"low_{side}"], 100 * rows[f"high_{side}"], tint, 1.3)
        _dots(axes, 100 * rows[f"share_{side}"], places + offset, tint)
    _rows(axes, rows["attribute"])
    axes.set_xlim(-1, None)
    axes.set_xlabel("% of images labelled positive (95 % Wilson intervals)")
    axes.grid(axis="x", linewidth=0.6)
    _legend(axes, list(zip(tints, names, strict=True)))


def heat_map(
    axes: Axes, values: NDArray[Any], names: Sequence[str], texts: NDArray[Any], limit: float, label: str
) -> None:
    """The lower triangle of a symmetric matrix; the colour's strength is |value| / limit, so it suits any ground."""
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgba

    more, less = "#c4472f", "#2f6db3"
    rows, columns = np.nonzero(np.tril(~np.isnan(values)))
    strength = np.minimum(1.0, np.abs(values) / limit)
    corners = 0.94 * np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    tints = [to_rgba(more if values[at] > 0 else less, strength[at] * 0.9) for at in zip(rows, columns, strict=True)]
    cells: Any = np.stack([columns, rows], -1)[:, None] + corners
    axes.add_collection(PolyCollection(cells, facecolors=tints, linewidth=0))
    for i, j in zip(rows, columns, strict=True):
        tint = "#ffffff" if strength[i, j] > 0.75 else INK
        axes.text(j + 0.47, i + 0.5, texts[i, j], ha="center", va="center", fontsize=6, color=tint)
    axes.set_xlim(0, len(names))
    axes.set_ylim(len(names), 0)
    axes.set_aspect("equal")
    axes.set_xticks(np.arange(len(names)) + 0.47, names, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(np.arange(len(names)) + 0.47, names)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.text(len(names), 1, label, ha="right", va="top", fontsize=9, color=INK)


def intervals(axes: Axes, rows: pd.DataFrame, value: str, label: str, base: str) -> None:
    """Dots with intervals (columns VALUE, VALUE_low, VALUE_high), one row an attribute; a tick marks `base`."""
    rows = rows.sort_values(value, na_position="first", kind="stable")
    places, tints = np.arange(len(rows)), [group_colour(name) for name in rows["attribute"]]
    _whiskers(axes, places, rows[f"{value}_low"], rows[f"{value}_high"], tints, 1.6)
    _dots(axes, rows[value], places, tints)
    axes.plot(rows[base], places, "|", color=FAINT, markersize=9)
    _rows(axes, rows["attribute"])
    axes.set_xlim(0, 1.02)
    axes.set_xlabel(label)
    axes.grid(axis="x", linewidth=0.6)
    _legend(axes, _groups("content", "emotion", "media"))


def reliability(axes: Axes, rows: pd.DataFrame, title: str, tint: str) -> None:
    """Share of positives in each score bin (dots with intervals) against exp(score), what the scores claim (dashed)."""
    rows = rows[rows["n"] > 0]
    curve = np.linspace(-8, 0, 60)
    axes.plot(curve, np.exp(curve), color=FAINT, linewidth=0.9, linestyle=(0, (3, 2)))
    places = np.log(rows["expected"])
    axes.vlines(places, rows["low"], rows["high"], colors=tint, linewidth=1.3, capstyle="projecting", zorder=2)
    axes.plot(places, rows["observed"], "o-", color=tint, markersize=4, linewidth=1)
    axes.set_xlim(-8, 0.3)
    axes.set_ylim(-0.03, 1.03)
    axes.set_title(title)
    axes.set_xticks([-8, -4, 0])
    axes.set_yticks([0, 0.5, 1])
    axes.grid(linewidth=0.6)


def stacked(axes: Axes, shares: pd.DataFrame) -> None:
    """One horizontal bar of shares a row, its parts (the columns) in the same colours everywhere."""
    # Not in the page's own ink, so that the numbers on them can be read in light and dark.
    greys = {"none": "#c4c4ca", "others": "#77777d"}
    tints = {part: COLOURS[i % len(COLOURS)] for i, part in enumerate(shares.columns)} | greys
    places = np.arange(len(shares))[::-1]
    ends = 100 * shares.fillna(0).cumsum(axis=1)
    for part in shares.columns:
        width = 100 * shares[part].fillna(0)
        axes.barh(places, width, left=ends[part] - width, height=0.62, color=tints[part], edgecolor="none")
        for place, size, end in zip(places, width, ends[part], strict=True):
            if size > 7:
                ink = "#222222" if part == "none" else "#ffffff"
                axes.text(end - size / 2, place, f"{size:.0f}", ha="center", va="center", fontsize=8, color=ink)
    axes.set_yticks(places, shares.index)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of images")
    axes.set_ylim(-0.6, len(shares) - 0.4)
    _legend(axes, [(tints[part], part) for part in shares.columns], columns=3)
