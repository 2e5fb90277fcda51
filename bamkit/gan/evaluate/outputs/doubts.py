"""What makes a share of pictures reached mean little: in a word for beside it, in a sentence for a warning."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bamkit.common.statistics import Estimate
from bamkit.common.terminal.console import percent
from bamkit.gan.evaluate.estimates import REAL, find
from bamkit.gan.evaluate.measures import IDENTITY, TRANSLATION


@dataclass(frozen=True)
class Doubt:
    """A failure mode of the outputs that stands out from its floor."""

    short: str
    """`98 % far from both domains`."""
    sentence: str


@dataclass(frozen=True)
class _Kind:
    metric: str
    floor: str
    """The method that has as much of it as is usual."""
    margin: float
    """It stands out if the share is at least so much above the floor's, and its interval above the floor's share."""
    short: str
    sentence: str
    reverse: bool = False
    """Whether it is the rest to 1 that is doubted."""


KINDS = (
    _Kind("far from both domains", REAL, 0.1, "far from both domains",
          "of the outputs lie far from the pictures of both domains ({floor} of real ones do): what a judge says of "
          "such pictures means nothing."),
    _Kind("copies", IDENTITY, 0.03, "copies of training pictures",
          "of the outputs are copies of training pictures ({floor} of the sources are): they say nothing of their "
          "sources."),
    _Kind("inverted", IDENTITY, 0.1, "inverted", "of the outputs have light and dark exchanged."),
    _Kind("alike", REAL, 0.1, "alike",
          "of the outputs are nearly the same picture as another one ({floor} of real ones are)."),
    _Kind("recognised", IDENTITY, 0.1, "without their source",
          "of the outputs do not show their source: it cannot be told from nine others ({floor} of the sources "
          "themselves cannot).", reverse=True),
    _Kind("re-lit", "", 0.5, "only re-lit",
          "of the outputs are only re-lit: a colour transfer paints as much, so compare with that."),
)  # fmt: skip


def doubts_of(figures: pd.DataFrame, direction: str) -> list[Doubt]:
    """The failure modes that stand out in a table of estimates."""
    found = []
    for kind in KINDS:
        share = find(figures, kind.metric, direction, TRANSLATION)
        floor = find(figures, kind.metric, direction, kind.floor)
        if share is None:
            continue
        value, low = (1 - share.value, 1 - share.high) if kind.reverse else (share.value, share.low)
        usual = _usual(floor, kind.reverse)
        if value >= usual + kind.margin and low > usual:
            share_text = percent(value, 0)
            sentence = kind.sentence.format(floor=percent(usual, 0))
            found.append(Doubt(f"{share_text} {kind.short}", f"{share_text} {sentence}"))
    return found


def _usual(floor: Estimate | None, reverse: bool) -> float:
    if floor is None:
        return 0.0
    return 1 - floor.value if reverse else floor.value
