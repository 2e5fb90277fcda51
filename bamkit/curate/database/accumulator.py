"""Everything countable about a BAM database: what the counts are, and the running sums behind them.

The file is never held in memory: each image is packed into one integer of labels and dropped again, so 2.3 million rows
need about 100 MB.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bamkit.common.contract import ATTRIBUTES, LABELS
from bamkit.curate.database.connection import Database, truth
from bamkit.curate.database.engines import quote
from bamkit.curate.database.named_queries import query
from bamkit.curate.database.packed_labels import CODES, NEGATIVE_BELOW, POSITIVE_ABOVE, packed_labels, threshold_labels

CHUNK = 20_000
"""Rows read at a time."""
LARGE = 500_000
"""Packed labels counted at a time."""

HISTOGRAM_EDGES: NDArray[np.float64] = np.linspace(-24.0, 0.0, 97)
"""float64 (97,): edges of the 96 score bins, a quarter wide. Scores outside fall into the first or the last bin."""


@dataclass(frozen=True)
class ScoreSummary:
    """One attribute's column of `scores`."""

    attribute: str
    n: int
    """Rows with a number."""
    missing: int
    """Rows that hold NULL (SQLite stores NaN as NULL) or an infinity."""
    text: int
    """Rows that hold text or a blob instead of a number."""
    minimum: float | None
    maximum: float | None
    mean: float | None
    histogram: NDArray[np.int64]
    """int64 (96,): rows in each bin of HISTOGRAM_EDGES."""


@dataclass(frozen=True)
class Counts:
    """What there is to count in a database. All numbers are exact counts of rows, not estimates."""

    images: int
    """Rows of `modules`."""
    scored: int
    """Rows of `scores`."""
    without_scores: int
    """Images that have no row in `scores`."""
    without_src: int
    """Images whose src is NULL or empty."""
    duplicate_srcs: int
    """Images whose src another image has as well, not counting one of each."""
    projects: int
    """Distinct project_id."""
    mature: int
    """Images marked as mature content."""
    licenses: dict[str, int]
    """License text -> images, most frequent first; "" where there is none."""
    label_source: str
    """"automatic_labels", or the stated score thresholds where the database has no automatic labels."""
    labels: dict[str, dict[str, int]]
    """Attribute -> label -> images, for the 20 attributes and the three labels."""
    unlabelled: dict[str, int]
    """Attribute -> rows of the label source without one of the three labels."""
    labelled: int
    """Rows of the label source: the denominator for prevalence, lift and PMI."""
    cooccurrence: NDArray[np.int64]
    """int64 (20, 20), order of contract.ATTRIBUTES: images positive for both; the diagonal: positive for the one."""
    crowd: dict[str, dict[str, int]]
    """Attribute -> label -> images labelled by the crowd; {} if the database has no crowd labels."""
    scores: dict[str, ScoreSummary]
    """Attribute -> summary, for the attributes that have a column."""
    from_cache: bool = False
    """Whether the numbers were kept in the workspace instead of counted now."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `Counts.from_dict` gives the counts back."""
        values = {**asdict(self), "cooccurrence": self.cooccurrence.tolist()}
        for summary in values["scores"].values():
            summary["histogram"] = summary["histogram"].tolist()
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Counts:
        """The counts that `as_dict` wrote, marked as kept."""
        scores = {
            name: ScoreSummary(**{**summary, "histogram": np.array(summary["histogram"], np.int64)})
            for name, summary in values["scores"].items()
        }
        cooccurrence = np.array(values["cooccurrence"], np.int64)
        # Sorted JSON keys have lost the order by frequency.
        licenses = by_frequency(values["licenses"])
        return cls(
            **{**values, "licenses": licenses, "scores": scores, "cooccurrence": cooccurrence, "from_cache": True}
        )


class CountAccumulator:
    """The running sums over the tables of a database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.attributes = database.score_attributes
        self.licenses: Counter[str] = Counter()
        self.images = self.mature = self.without_src = self.scored = self.labelled = 0
        self.module_mids: list[NDArray[np.int64]] = []
        self.score_mids: list[NDArray[np.int64]] = []
        self.src_hashes: list[NDArray[np.int64]] = []
        self.projects: list[NDArray[np.int64]] = []
        self.labels = np.zeros((len(ATTRIBUTES), 4), np.int64)
        self.combinations = np.zeros(1 << len(ATTRIBUTES), np.int64)
        self.numeric = dict.fromkeys(self.attributes, 0)
        self.text = dict.fromkeys(self.attributes, 0)
        self.total = dict.fromkeys(self.attributes, 0.0)
        self.lowest = dict.fromkeys(self.attributes, np.inf)
        self.highest = dict.fromkeys(self.attributes, -np.inf)
        self.histograms = {name: np.zeros(len(HISTOGRAM_EDGES) - 1, np.int64) for name in self.attributes}

    def read(self) -> Iterator[int]:
        """Read `modules`, `scores` and the labels; yields the number of rows of the first two after each chunk."""
        for chunk in chunks(self.database.rows(modules_sql(self.database))):
            self.add_modules(chunk)
            yield len(chunk)
        for chunk in chunks(self.database.rows(scores_sql(self.database))):
            self.add_scores(chunk)
            yield len(chunk)
        for packed in packed_labels(self.database, LARGE):
            self.add_labels(packed)

    def add_modules(self, chunk: list[tuple[Any, ...]]) -> None:
        """Rows of (mid, project_id, src, mature_content, license)."""
        mids, projects, srcs, mature, licenses = zip(*chunk, strict=True)
        self.images += len(chunk)
        self.module_mids.append(whole(mids))
        self.projects.append(np.unique(whole([p for p in projects if p is not None])))
        here = [src for src in srcs if src]
        self.without_src += len(chunk) - len(here)
        # 64-bit hashes stand for the addresses: among 2.3 million, two differ yet collide once in 7 million runs.
        self.src_hashes.append(np.fromiter(map(hash, here), np.int64, len(here)))
        self.licenses.update("" if text is None else str(text) for text in licenses)
        self.mature += sum(map(bool, map(truth, mature)))

    def add_scores(self, chunk: list[tuple[Any, ...]]) -> None:
        """Rows of (mid, one score an attribute); without automatic labels, labels are taken from them."""
        mids, scores, text = numbers(chunk, len(self.attributes))
        self.scored += len(chunk)
        self.score_mids.append(mids)
        for i, name in enumerate(self.attributes):
            column = scores[:, i]
            column = column[np.isfinite(column)]
            self.text[name] += int(text[i])
            if len(column):
                self.numeric[name] += len(column)
                self.total[name] += float(column.sum())
                self.lowest[name] = min(self.lowest[name], float(column.min()))
                self.highest[name] = max(self.highest[name], float(column.max()))
                self.histograms[name] += histogram(column)
        if self.database.automatic == "absent":
            self.add_labels(threshold_labels(scores, self.attributes))

    def add_labels(self, packed: NDArray[np.int64]) -> None:
        """int64 (n,): two bits an attribute, see CODES."""
        self.labelled += len(packed)
        positives = np.zeros(len(packed), np.int64)
        for i in range(len(ATTRIBUTES)):
            codes = (packed >> (2 * i)) & 3
            self.labels[i] += np.bincount(codes, minlength=4)
            positives |= (codes == CODES["positive"]).astype(np.int64) << i
        self.combinations += np.bincount(positives, minlength=len(self.combinations))

    def _cooccurrence(self) -> NDArray[np.int64]:
        """int64 (20, 20) from how often each combination of positive labels occurs; there are some ten thousand."""
        occurring = np.flatnonzero(self.combinations)
        bits = ((occurring[:, None] >> np.arange(len(ATTRIBUTES))) & 1).astype(np.float64)
        return np.rint(bits.T @ (bits * self.combinations[occurring, None])).astype(np.int64)

    def result(self) -> Counts:
        """The finished counts."""
        modules, scored = joined(self.module_mids), joined(self.score_mids)
        return Counts(
            images=self.images,
            scored=self.scored,
            without_scores=len(modules) - present(modules, scored),
            without_src=self.without_src,
            duplicate_srcs=repeats(joined(self.src_hashes)),
            projects=len(np.unique(joined(self.projects))),
            mature=self.mature,
            licenses=by_frequency(self.licenses),
            label_source=label_source(self.database),
            labels={
                name: {label: int(self.labels[i, CODES[label]]) for label in LABELS}
                for i, name in enumerate(ATTRIBUTES)
            },
            unlabelled={name: int(self.labels[i, 0]) for i, name in enumerate(ATTRIBUTES)},
            labelled=self.labelled,
            cooccurrence=self._cooccurrence(),
            crowd=crowd_counts(self.database),
            scores={name: self._summary(name) for name in self.attributes},
        )

    def _summary(self, name: str) -> ScoreSummary:
        n = self.numeric[name]
        return ScoreSummary(
            attribute=name,
            n=n,
            missing=self.scored - n - self.text[name],
            text=self.text[name],
            minimum=self.lowest[name] if n else None,
            maximum=self.highest[name] if n else None,
            mean=self.total[name] / n if n else None,
            histogram=self.histograms[name],
        )


def label_source(database: Database) -> str:
    """Where the labels come from, in words."""
    if database.automatic != "absent":
        return "automatic_labels"
    return f"scores (positive above {POSITIVE_ABOVE:g}, negative below {NEGATIVE_BELOW:g})"


def modules_sql(database: Database) -> str:
    """The query for (mid, project_id, src, mature_content, license); NULL for a column this file does not have."""
    wanted = ("mid", "project_id", "src", "mature_content", "license")
    there = database.columns("modules")
    return query("all_modules").format(columns=", ".join(name if name in there else "NULL" for name in wanted))


def scores_sql(database: Database) -> str:
    """The query for (mid, one score an attribute), columns by name."""
    return query("all_scores").format(columns=", ".join(["mid", *map(quote, database.score_attributes)]))


def histogram(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """int64 (96,): finite scores in each bin of HISTOGRAM_EDGES, the outer bins taking what lies outside."""
    low, high, bins = HISTOGRAM_EDGES[0], HISTOGRAM_EDGES[-1], len(HISTOGRAM_EDGES) - 1
    # Even bins: a multiplication instead of the search that np.histogram makes.
    index = np.floor((np.clip(scores, low, high) - low) * (bins / (high - low))).astype(np.int64)
    return np.bincount(np.minimum(index, bins - 1), minlength=bins)


def numbers(
    rows: list[tuple[Any, ...]], width: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Rows of (mid, `width` scores) as mids int64 (n,), -1 for what is no integer; scores float64 (n, width), NaN for
    what is no number; and how many texts each column holds, int64 (width,)."""
    try:
        # Unlike numpy, array refuses text that reads like a number. A mid is far below 2**53, so a float holds it.
        both = np.frombuffer(array("d", chain.from_iterable(rows)), np.float64).reshape(len(rows), width + 1)
        if not np.isnan(both[:, 0]).any():
            return both[:, 0].astype(np.int64), both[:, 1:], np.zeros(width, np.int64)
    except (TypeError, ValueError, OverflowError):
        # Text or NULL among them: value by value, for this chunk only.
        pass
    own = [row[1:] for row in rows]
    text = np.array([[isinstance(value, str | bytes) for value in row] for row in own]).reshape(len(rows), width)
    plain = [[value if isinstance(value, int | float) else np.nan for value in row] for row in own]
    mids = whole([row[0] for row in rows])
    return mids, np.array(plain, np.float64).reshape(len(rows), width), text.sum(axis=0)


def joined(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The parts as one array; the list is emptied, so that both are not in memory for longer than it takes."""
    whole = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    parts.clear()
    return whole


def repeats(values: NDArray[np.int64]) -> int:
    """How many values have occurred before. Sorts `values` in place: np.unique would copy them twice."""
    values.sort()
    return int(np.count_nonzero(values[1:] == values[:-1]))


def present(values: NDArray[np.int64], among: NDArray[np.int64]) -> int:
    """How many of `values` are among the others. Sorts `among` in place."""
    among.sort()
    count = 0
    for start in range(0, len(values) if len(among) else 0, 100_000):
        part = values[start : start + 100_000]
        count += int(np.count_nonzero(among[np.minimum(np.searchsorted(among, part), len(among) - 1)] == part))
    return count


def whole(values: Any) -> NDArray[np.int64]:
    """int64 (n,); -1 for what is no integer (no mid is negative)."""
    try:
        return np.array(values, np.int64)
    except (TypeError, ValueError, OverflowError):
        return np.array([v if isinstance(v, int) and abs(v) < 2**63 else -1 for v in values], np.int64)


def by_frequency(counts: Mapping[str, int]) -> dict[str, int]:
    """Most frequent first, ties by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def crowd_counts(database: Database) -> dict[str, dict[str, int]]:
    """Attribute -> label -> images labelled by the crowd; {} if there are no crowd labels."""
    counts: dict[str, dict[str, int]] = {}
    if database.has_crowd:
        for attribute, label, n in database.rows(query("crowd_counts")):
            counts.setdefault(str(attribute), {})[str(label)] = n
    return counts


def chunks(rows: Iterator[tuple[Any, ...]], size: int = CHUNK) -> Iterator[list[tuple[Any, ...]]]:
    """Rows in lists of at most `size`."""
    while part := list(islice(rows, size)):
        yield part
