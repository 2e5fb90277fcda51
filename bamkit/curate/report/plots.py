"""The figures of a report, each drawn from one table of numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bamkit.common import figures
from bamkit.common.contract import short
from bamkit.common.figures import COLOURS, EMOTION_COLOURS
from bamkit.common.pages import FAINT, GRID, INK

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

GROUP_COLOURS = {"content": "#4c9f62", "emotion": "#e08a2e", "media": "#3b78b5", "others": GRID}
"""Colours of the three groups of attributes."""
A, B = "#e08a2e", "#7a4fa3"
"""Colours of the two sides of a comparison where they are not emotions."""


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
    draw: Sequence[Callable[[Axes], None]], columns: int, size: tuple[float, float] = (1.53, 1.22)
) -> Figure:
    """Panels of `size` inches, each with a title and the same axes, numbered at the rim only.

    Their places are given, since working out a layout for twenty of them takes as long as drawing them.
    """
    left, right, top, bottom, across, down = 0.35, 0.05, 0.24, 0.27, 0.18, 0.33
    rows = math.ceil(len(draw) / columns)
    width = left + columns * size[0] + (columns - 1) * across + right
    height = top + rows * size[1] + (rows - 1) * down + bottom
    figure = figures.new(width, height)
    figure.set_layout_engine("none")
    places = {
        "left": left / width, "right": 1 - right / width, "top": 1 - top / height, "bottom": bottom / height,
        "wspace": across / size[0], "hspace": down / size[1],
    }  # fmt: skip
    with figures.style():
        axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw=places).ravel()
        _draw_each(draw, axes)
    for place, axis in enumerate(axes[: len(draw)]):
        axis.tick_params(labelleft=place % columns == 0, labelbottom=place + columns >= len(draw))
    return figure


def _draw_each(draw: Sequence[Callable[[Axes], None]], axes: Sequence[Axes]) -> None:
    for one, axis in zip(draw, axes, strict=False):
        one(axis)
    for axis in axes[len(draw) :]:
        axis.set_axis_off()


def single(draw: Callable[[Axes], None], size: tuple[float, float]) -> Figure:
    """A figure with one panel."""
    return panels([draw], 1, size)


def histogram(
    axes: Axes, edges: NDArray, counts: NDArray, title: str, colour: str, marks: Sequence[tuple[float, str]] = ()
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


def _range_of(counts: NDArray, edges: NDArray) -> tuple[float, float]:
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


def label_bars(axes: Axes, top: pa.Table, title: str) -> None:
    """Horizontal bars of a balance.top_labels table, coloured by group, with interval whiskers."""
    rows = top.to_pylist()[::-1]
    places = np.arange(len(rows))
    tints = [_group_colour(row["pair"]) for row in rows]
    axes.barh(places, [100 * row["share"] for row in rows], height=0.68, color=tints, alpha=0.9)
    _whiskers(axes, places, [(100 * row["low"], 100 * row["high"]) for row in rows], INK, 1, capstyle="butt")
    axes.set_yticks(range(len(rows)), [pair_words(row["pair"]) for row in rows])
    axes.set_ylim(len(rows) - 0.4 - max(len(rows), 8), len(rows) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_title(title)
    axes.set_xlabel("% of all positive and unsure labels")
    axes.set_xlim(0, None)
    axes.grid(axis="x", linewidth=0.6)
    _legend(axes, _groups("content", "emotion", "media"), loc="center right")


def _legend(axes: Axes, entries: Sequence[tuple[str, str]], **where: Any) -> None:
    """Patches with text, by default in a row above the axes, where they cover nothing."""
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, label=text) for colour, text in entries]
    place = {"loc": "lower left", "bbox_to_anchor": (-0.01, 1.0), "ncols": len(handles), "columnspacing": 1.2}
    axes.legend(handles=handles, fontsize=8.5, handlelength=1, handleheight=1, **(where or place))


def _group_colour(pair: str) -> str:
    """The colour of `content_cat`, `content_cat:positive` or `others`."""
    return GROUP_COLOURS[pair.split("_", 1)[0]]


def _whiskers(
    axes: Axes,
    places: NDArray,
    ends: Sequence[tuple[float, float]],
    tints: str | Sequence[str],
    width: float,
    **look: Any,
) -> None:
    """A horizontal line at each place, all of them one artist: matplotlib's time goes by the number of artists."""
    low, high = zip(*ends, strict=True) if ends else ((), ())
    axes.hlines(places, low, high, colors=tints, linewidth=width, **{"zorder": 2, "capstyle": "projecting", **look})


def _dots(axes: Axes, values: Sequence[float], places: NDArray, tints: str | Sequence[str], **look: Any) -> None:
    axes.scatter(values, places, s=5.5**2, c=tints, linewidths=1, **{"zorder": 2, **look})


def _groups(*names: str) -> list[tuple[str, str]]:
    return [(GROUP_COLOURS[name], name) for name in names]


def shifts(
    axes: Axes, smd: Mapping[str, float], names: tuple[str, str], after: Mapping[str, float] | None = None
) -> None:
    """A Love plot: the standardised mean difference of each attribute's score, `after` matching as hollow dots."""
    order = sorted(smd, key=lambda one: smd[one] if math.isfinite(smd[one]) else 0)
    axes.axvspan(-0.1, 0.1, color=GRID, alpha=0.6, linewidth=0)
    axes.axvline(0, color=FAINT, linewidth=0.8)
    places, tints = np.arange(len(order)), [_group_colour(one) for one in order]
    _whiskers(axes, places, [(0, smd[one]) for one in order], tints, 1.4, alpha=0.6)
    _dots(axes, [smd[one] for one in order], places, tints)
    if after:
        _dots(axes, [after[one] for one in order], places, "none", edgecolors=INK)
    axes.set_yticks(range(len(order)), [words(one) for one in order])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.7, len(order) - 0.3)
    axes.set_xlabel(f"standardised mean difference of scores   (← more {names[1]} · more {names[0]} →)")
    axes.grid(axis="x", linewidth=0.6)
    _legend(axes, _groups("content", "media"))


def dumbbells(axes: Axes, rows: Sequence[Mapping[str, Any]], names: tuple[str, str]) -> None:
    """Prevalence of a label on both sides with intervals; `rows` are those of Balance.labels."""
    tints = [colour(name, index) for index, name in enumerate(names)]
    if tints[0] == tints[1]:
        tints[1] = COLOURS[0]
    rows = list(rows)[::-1]
    places = np.arange(len(rows))
    _whiskers(axes, places, [(100 * row["share_a"], 100 * row["share_b"]) for row in rows], GRID, 2.5, zorder=1)
    for side, tint, offset in (("a", tints[0], 0.13), ("b", tints[1], -0.13)):
        ends = [(100 * row[f"low_{side}"], 100 * row[f"high_{side}"]) for row in rows]
        _whiskers(axes, places + offset, ends, tint, 1.3)
        _dots(axes, [100 * row[f"share_{side}"] for row in rows], places + offset, tint)
    axes.set_yticks(range(len(rows)), [words(row["attribute"]) for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlim(-1, None)
    axes.set_xlabel("% of images labelled positive (95 % Wilson intervals)")
    axes.grid(axis="x", linewidth=0.6)
    _legend(axes, list(zip(tints, names, strict=True)))


def heat_map(axes: Axes, values: NDArray, names: Sequence[str], texts: NDArray, limit: float, label: str) -> None:
    """The lower triangle of a symmetric matrix; the colour's strength is |value| / limit, so it suits any ground."""
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgba

    more, less = "#c4472f", "#2f6db3"
    rows, columns = np.nonzero(np.tril(~np.isnan(values)))
    strength = np.minimum(1.0, np.abs(values) / limit)
    corners = 0.94 * np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    tints = [to_rgba(more if values[at] > 0 else less, strength[at] * 0.9) for at in zip(rows, columns, strict=True)]
    axes.add_collection(PolyCollection(np.stack([columns, rows], -1)[:, None] + corners, facecolors=tints, linewidth=0))
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


def intervals(axes: Axes, rows: Sequence[Mapping[str, Any]], value: str, label: str, base: str = "") -> None:
    """Dots with intervals (`low`, `high`), one row an attribute; `base` names a column marked with a tick."""
    rows = sorted(rows, key=lambda row: (not math.isnan(row[value]), row[value]))
    places, tints = np.arange(len(rows)), [_group_colour(row["attribute"]) for row in rows]
    _whiskers(axes, places, [(row["low"], row["high"]) for row in rows], tints, 1.6)
    _dots(axes, [row[value] for row in rows], places, tints)
    if base:
        axes.plot([row[base] for row in rows], places, "|", color=FAINT, markersize=9)
    axes.set_yticks(range(len(rows)), [words(row["attribute"]) for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlim(0, 1.02)
    axes.set_xlabel(label)
    axes.grid(axis="x", linewidth=0.6)
    _legend(axes, _groups("content", "emotion", "media"))


def reliability(axes: Axes, rows: Sequence[Mapping[str, Any]], title: str, tint: str) -> None:
    """Share of positives in each score bin (dots with intervals) against exp(score), what the scores claim (dashed)."""
    rows = [row for row in rows if row["n"]]
    curve = np.linspace(-8, 0, 60)
    axes.plot(curve, np.exp(curve), color=FAINT, linewidth=0.9, linestyle=(0, (3, 2)))
    places = [math.log(row["expected"]) for row in rows]
    bounds = [row["low"] for row in rows], [row["high"] for row in rows]
    axes.vlines(places, *bounds, colors=tint, linewidth=1.3, capstyle="projecting", zorder=2)
    axes.plot(places, [row["observed"] for row in rows], "o-", color=tint, markersize=4, linewidth=1)
    axes.set_xlim(-8, 0.3)
    axes.set_ylim(-0.03, 1.03)
    axes.set_title(title)
    axes.set_xticks([-8, -4, 0])
    axes.set_yticks([0, 0.5, 1])
    axes.grid(linewidth=0.6)


def stacked(axes: Axes, rows: Sequence[tuple[str, Mapping[str, float]]]) -> None:
    """One horizontal bar of shares a row, the same parts in the same colours; `rows` are (name, part -> share)."""
    parts = list(dict.fromkeys(part for _, shares in rows for part in shares))
    tints = {part: COLOURS[i % len(COLOURS)] for i, part in enumerate(parts)} | {"none": GRID, "others": FAINT}
    for y, (_, shares) in enumerate(reversed(rows)):
        left = 0.0
        for part in parts:
            width = 100 * shares.get(part, 0.0)
            axes.barh(y, width, left=left, height=0.62, color=tints[part], edgecolor="none")
            if width > 7:
                axes.text(left + width / 2, y, f"{width:.0f}", ha="center", va="center", fontsize=8, color="#ffffff")
            left += width
    axes.set_yticks(range(len(rows)), [name for name, _ in reversed(rows)])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of images")
    axes.set_ylim(-0.6, len(rows) - 0.4)
    entries = [(tints[part], part) for part in parts]
    _legend(axes, entries, loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=min(4, len(parts)), columnspacing=1.2)
