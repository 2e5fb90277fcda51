"""The one shape of a figure with its interval, and how it is written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

DEVIATION = "deviation"
"""The method of an Estimate whose bounds are one standard deviation away."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval and the number of cases behind it. `low` and `high` are NaN where there is none."""

    value: float
    """The estimate itself."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""
    n: int
    """How many cases the estimate rests on."""
    method: str = ""
    """How the interval was made: `wilson`, `clustered bootstrap` ..."""
    confidence: float = 0.95
    """Coverage the interval aims at, in (0, 1)."""
    clusters: int | None = None
    """How many projects (or other clusters) the cases come from; None where that is not known."""

    def __str__(self) -> str:
        """`0.71 [0.61, 0.79]`, `17.630 ± 0.007` for a deviation, the bare value without an interval, "" for NaN."""
        if math.isnan(self.value):
            return ""
        error = (self.high - self.low) / 2
        value = number_text(self.value, error)
        if math.isnan(error):
            return value
        if self.method == DEVIATION:
            return f"{value} ± {number_text(error, error)}"
        return f"{value} [{number_text(self.low, error)}, {number_text(self.high, error)}]"

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Estimate:
        """The inverse of `as_dict`: None becomes NaN where a number stood."""
        fields: dict[str, Any] = {
            name: math.nan if value is None and name != "clusters" else value for name, value in plain.items()
        }
        return cls(**fields)

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values; NaN and infinities become None."""
        plain = asdict(self)
        return {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in plain.items()}


def number_text(value: float, error: float) -> str:
    """`value` with the digits that its error leaves: the error's first one, two where that is 1 or 2.

    Three significant digits, and all before the point, where the error is NaN or 0.
    """
    if error > 0:
        places = max(0, -math.floor(math.log10(error / 3)))
    elif value:
        places = max(0, 2 - math.floor(math.log10(abs(value))))
    else:
        places = 0
    text = f"{value:,.{places}f}"
    if not error > 0 and "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", "\N{MINUS SIGN}")


def normal_quantile(confidence: float) -> float:
    """z with P(|Z| <= z) = confidence: 1.96 for 0.95. Raises ValueError unless 0 < confidence < 1."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not in (0, 1)")
    return NormalDist().inv_cdf((1 + confidence) / 2)
