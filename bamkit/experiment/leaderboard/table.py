"""The leaderboard's tables: every row's figures, what choosing on test would have given, what each wins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from bamkit.common.statistics import Estimate
from bamkit.common.statistics.crossed import Repeated, difference_over, share_difference_over
from bamkit.experiment.leaderboard.measured import BASELINES, FIGURES, Board, Metric
from bamkit.experiment.leaderboard.probe import StepCost
from bamkit.experiment.settings import MATCHED
from bamkit.gan.evaluate.comparison.checkpoints import OUTPUT
from bamkit.gan.evaluate.estimates import METHOD_NAMES, NOT_MEASURED, REAL, records
from bamkit.gan.evaluate.measures import TRANSFER

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """Two rows of a board compared on the same pictures."""

    direction: str
    domains: tuple[str, str]
    metric: Metric
    first: str
    second: str
    estimate: Estimate
    """First less second, 95 %."""
    together: Estimate
    """The same at the confidence at which all comparisons of its family hold together."""
    family: int
    """How many comparisons that are."""

    @property
    def ahead(self) -> str:
        """The row that is better, where the interval shows one; else ""."""
        if self.together.low > 0:
            return self.first if self.metric.better > 0 else self.second
        if self.together.high < 0:
            return self.second if self.metric.better > 0 else self.first
        return ""


@dataclass
class Leaderboard:
    """Everything that the page, the CSV and the JSON show."""

    boards: list[Board]
    costs: dict[str, StepCost | str]
    """By method, what a step costs, or why it could not be measured."""
    trained: dict[str, list[float]]
    """By method, the seconds of training of its runs."""
    failed: dict[str, str]
    """By cell that failed, the reason."""
    seeds: int
    differences: list[Difference] = field(init=False)

    def __post_init__(self) -> None:
        self.differences = [*_between_methods(self.boards), *_to_transfer(self.boards), *_by_matching(self.boards)]

    def table(self, board: Board) -> pd.DataFrame:
        """One row a method, then the baselines and real pictures; beside a figure what choosing on test would give."""
        rows = []
        for name in [*board.methods, *BASELINES, REAL]:
            trained = name in board.methods
            row = {"": METHOD_NAMES.get(name, name), "seeds": str(len(board.frames[name])) if trained else NOT_MEASURED}
            for metric in board.measured:
                row[metric.short] = str(board.estimate(metric, name) or NOT_MEASURED)
                if metric.key in ("reached", "kid"):
                    row[f"{metric.short} on test"] = self.gap(board, metric, name) if trained else NOT_MEASURED
            rows.append(row)
        for cell, reason in self.failed.items():
            if cell.rpartition("-")[0].rpartition("-")[0] == "-".join(board.domains):
                rows.append({"": cell, "seeds": "failed", FIGURES[0].short: reason})
        return pd.DataFrame(rows).fillna(NOT_MEASURED)

    def gap(self, board: Board, metric: Metric, method: str) -> str:
        """`0.71 (+0.06)`: the figure chosen on test, and by how much it flatters."""
        chosen, estimate = board.on_test(metric, method), board.estimate(metric, method)
        if estimate is None:
            return NOT_MEASURED
        places = 2 if metric.share else 3
        return f"{chosen:.{places}f} ({chosen - estimate.value:+.{places}f})".replace("-", "\N{MINUS SIGN}")

    def cost(self) -> pd.DataFrame:
        """One row a method: what its training costs."""
        rows = []
        for method, cost in self.costs.items():
            row = {"method": method}
            if isinstance(cost, StepCost):
                row |= {
                    "a step, processor": f"{cost.processor:.3g} s",
                    "a step, by the clock": f"{cost.seconds:.3g} s",
                    "pictures in a step": str(cost.pictures),
                    "memory at most": f"{cost.memory / 1e6:,.0f} MB" if cost.memory == cost.memory else NOT_MEASURED,
                }
            times = self.trained.get(method)
            row["training, by the clock"] = f"{np.mean(times):,.0f} s" if times else NOT_MEASURED
            rows.append(row)
        return pd.DataFrame(rows).fillna(NOT_MEASURED)

    def verdicts(self, board: Board) -> pd.DataFrame:
        """One row a comparison of two methods, or of a method with the colour transfer: which is ahead, if it shows."""
        own = [each for each in self.differences if (each.direction, each.domains) == (board.direction, board.domains)]
        return pd.DataFrame([_shown(each) for each in own])

    def rows(self) -> pd.DataFrame:
        """Every figure, one row each: leaderboard.csv."""
        rows = [
            {
                "direction": board.direction, "domains": "-".join(board.domains), "row": name, "metric": metric.key,
                "value": each.value, "low": each.low, "high": each.high, "covers": each.method, "pictures": each.n,
                "projects": each.clusters, "seeds": len(board.frames[name]) if name in board.methods else None,
                "chosen_on_test": board.on_test(metric, name) if name in board.methods else None,
            }
            for board in self.boards
            for name in [*board.methods, *BASELINES, REAL]
            for metric in board.measured
            if (each := board.estimate(metric, name)) is not None
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def about(self) -> dict[str, Any]:
        """The content of leaderboard.json."""
        return {
            "kind": "leaderboard",
            "seeds": self.seeds,
            "rows": records(self.rows()),
            "by_seed": list(self._by_seed()),
            "differences": [_record(each) for each in self.differences],
            "costs": {
                m: vars(cost) if isinstance(cost, StepCost) else {"failed": cost} for m, cost in self.costs.items()
            },
            "seconds_of_training": self.trained,
            "doubts": {f"{board.direction}: {m}": texts for board in self.boards for m, texts in board.doubts.items()},
            "failed": self.failed,
        }

    def _by_seed(self) -> Iterator[dict[str, Any]]:
        """Every checkpoint's figure of every training: which one validation chose, and which test would have."""
        for board in self.boards:
            for method in board.methods:
                chosen = [int(frame["step"].iloc[0]) for frame in board.frames[method]]
                for metric in board.measured:
                    steps = zip(board.seeds[method], chosen, board.by_checkpoint(metric, method), strict=True)
                    for seed, step, by in steps:
                        yield {"direction": board.direction, "method": method, "metric": metric.key, "seed": seed,
                               "chosen": step, "by_step": by}  # fmt: skip


def _between_methods(boards: Sequence[Board]) -> Iterator[Difference]:
    for board in boards:
        pairs = list(combinations(board.methods, 2))
        for metric in board.measured:
            for first, second in pairs:
                yield from _compared(board, metric, first, second, len(pairs))


def _to_transfer(boards: Sequence[Board]) -> Iterator[Difference]:
    for board in boards:
        for metric in board.measured:
            for method in board.methods:
                yield from _compared(board, metric, method, TRANSFER, len(board.methods))


def _compared(board: Board, metric: Metric, first: str, second: str, family: int) -> Iterator[Difference]:
    a, b = board.values(metric, first), board.values(metric, second)
    if a is not None and b is not None:
        yield _difference(board, metric, (first, METHOD_NAMES.get(second, second)), (a, b), family)


def _difference(
    board: Board, metric: Metric, names: tuple[str, str], values: tuple[Repeated, Repeated], family: int
) -> Difference:
    difference = share_difference_over if metric.share else difference_over
    one, together = (difference(*values, level) for level in (CONFIDENCE, 1 - (1 - CONFIDENCE) / family))
    return Difference(board.direction, board.domains, metric, *names, one, together, family)


def _by_matching(boards: Sequence[Board]) -> Iterator[Difference]:
    """Each method with matched domains less the same without, where both translate the same sources."""
    plain = {board.direction: board for board in boards if not board.domains[1].endswith(MATCHED)}
    for board in boards:
        a, b = board.domains
        other = plain.get(f"{a}-to-{b.removesuffix(MATCHED)}")
        if other is None or board is other or board.direction != f"{a}-to-{b}" or board.sources != other.sources:
            continue
        methods = [method for method in board.methods if method in other.methods]
        for metric in (m for m in board.measured if m.side == OUTPUT and m.column not in ("kid", "near")):
            for method in methods:
                one, two = board.values(metric, method), other.values(metric, method)
                if one is None or two is None:
                    continue
                names = (f"{method}, matched", f"{method}, not matched")
                yield _difference(board, metric, names, (one, two), len(methods))


def _shown(each: Difference) -> dict[str, str]:
    return {
        "figure": each.metric.title,
        "compared": f"{each.first} less {each.second}",
        "difference": str(each.estimate),
        "ahead": each.ahead or "no difference shown",
    }


def _record(each: Difference) -> dict[str, Any]:
    return {
        "direction": each.direction, "metric": each.metric.key, "first": each.first, "second": each.second,
        "difference": each.estimate.as_dict(), "together": each.together.as_dict(), "comparisons": each.family,
        "ahead": each.ahead,
    }  # fmt: skip
