"""The figures of a training run's page: losses, accuracies and the validation measure along the steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from bamkit.common.pages import figures
from bamkit.common.pages.page import Page
from bamkit.gan.train.methods.terms import Method

POINTS = 600
"""A curve is drawn with at most so many points."""
SMOOTH = 0.03
"""The strong line is the mean over this share of the run."""


class Panel(NamedTuple):
    """One small figure: its columns with their labels, and the level that means something, such as guessing."""

    title: str
    lines: Sequence[tuple[str, str]]
    level: float | None = None
    smooth: bool = True
    bottom: float | None = None
    """Where the axis begins, else by the values."""


def add_curves(
    page: Page, method: Method, metrics: pd.DataFrame, validation: pd.DataFrame, names: tuple[str, str]
) -> None:
    """Add the section with the curves of metrics.csv and validation.csv. Without matplotlib it says so."""
    held = " and ".join(term.title.removesuffix(" loss") for term in method.terms).capitalize()
    page.section(
        "Curves",
        "Faint lines are the rows of metrics.csv, strong ones their mean over 3 % of the run. Adversarial losses do "
        f"not fall as other losses do: the two networks improve against each other. {held} should fall.",
    )
    if len(metrics) < 2:
        page.text("There are not enough rows in metrics.csv yet.")
        return
    try:
        import matplotlib  # noqa: F401  (whether it is there)
    except ImportError:
        page.note("The curves need matplotlib (pip install matplotlib); metrics.csv holds the figures.")
        return
    a, b = names
    there, back = f"{a} to {b}", f"{b} to {a}"
    panels = [
        Panel("Adversarial loss of the generators", [("G_A", f"G_A, {there}"), ("G_B", f"G_B, {back}")]),
        Panel("Loss of the discriminators", [("D_A", f"D_A, of {b}"), ("D_B", f"D_B, of {a}")]),
        *(
            Panel(
                term.title,
                [(column, label.format(a=a, b=b)) for column, label in zip(term.columns, term.labels, strict=True)],
            )
            for term in method.terms
        ),
        Panel("Discriminators right", [("D_A_accuracy", "D_A"), ("D_B_accuracy", "D_B")], 0.5),
        Panel("Learning rate", [("lr", "")], bottom=0),
    ]
    drawn = [_draw(panel, metrics) for panel in panels if _any(metrics, panel)]
    page.figures(drawn, "Losses as they enter the objective, weights included; horizontally the step.")
    if len(validation) > 1:
        panels = [
            Panel("Validation score (lower is better)", [("score", "score")], smooth=False),
            Panel("Distance to the target's style", [("style_A", there), ("style_B", back)], 1.0, smooth=False),
            Panel("Variety of the translations", [("variety_A", there), ("variety_B", back)], 1.0, smooth=False),
        ]
        page.figures(
            [_draw(panel, validation) for panel in panels],
            "On the validation split; the lowest score is the best checkpoint. Style 1 is as far from the target as "
            "the untouched pictures; variety 1 is as varied as real pictures.",
        )


def _any(table: pd.DataFrame, panel: Panel) -> bool:
    return any(np.isfinite(table[name]).any() for name, _ in panel.lines if name in table)


def _draw(panel: Panel, table: pd.DataFrame) -> tuple[bytes, str]:
    """The figure and its alt text."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    every = -(-len(table) // POINTS)
    window = max(1, round(len(table) * SMOOTH)) if panel.smooth else 1
    marker = "" if panel.smooth else "o"
    with figures.style():
        figure = figures.new(4.6, 2.5)
        axes = figure.subplots()
        ends = []
        for (name, label), colour in zip(panel.lines, figures.COLOURS, strict=False):
            values = table[name].replace([np.inf, -np.inf], np.nan)
            mean = values.rolling(window, center=True, min_periods=1).mean()
            if window > 2:
                axes.plot(table["step"][::every], values[::every], color=colour, linewidth=0.5, alpha=0.3)
            axes.plot(
                table["step"][::every], mean[::every], color=colour, linewidth=1.5, label=label or None, marker=marker,
                markersize=2.5,
            )  # fmt: skip
            known = values.dropna()
            ends.append(f"{label or name} ends at {known.tail(max(1, len(known) // 20)).mean():.3g}")
        if panel.level is not None:
            axes.axhline(panel.level, color="#8a8a8a", linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set_title(panel.title)
        axes.grid(axis="y", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.margins(x=0.01)
        axes.set_ylim(bottom=panel.bottom)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        if any(label for _, label in panel.lines):
            axes.legend(fontsize=8, loc="best", handlelength=1.2)
        return figures.svg(figure), f"{panel.title} along the steps: {', '.join(ends)}"
