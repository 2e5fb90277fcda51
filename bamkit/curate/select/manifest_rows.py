"""The manifest's rows of chosen images: everything the database knows about them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bamkit.common.contract import selection_schema
from bamkit.curate.database.connection import Database, truth
from bamkit.curate.database.engines import quote
from bamkit.curate.database.named_queries import query as named
from bamkit.curate.select.labels import labels_of
from bamkit.curate.select.query import Query
from bamkit.curate.select.ranking import Candidate, row_key

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK = 20_000
"""Images whose values are held as Python objects at a time."""


def build_table(
    database: Database, query: Query, assigned: Sequence[tuple[Candidate, str]], source: str, before: int = 0
) -> pa.Table:
    """The manifest's table (contract.selection_schema) of candidates in their order, ranked from `before` + 1."""
    import pyarrow as pa

    parts = [
        _part(database, query, assigned[start : start + CHUNK], before + start, source)
        for start in range(0, len(assigned), CHUNK)
    ]
    return parts[0] if len(parts) == 1 else pa.concat_tables(parts).combine_chunks()


def _part(
    database: Database, query: Query, assigned: Sequence[tuple[Candidate, str]], before: int, source: str
) -> pa.Table:
    """The rows of some assigned candidates, the first of which has the rank `before` + 1."""
    import pyarrow as pa

    chosen = [candidate for candidate, _ in assigned]
    scores = scores_of(database, chosen)
    labels = labels_of(database, query, chosen, scores, source)
    rows = [
        {
            "mid": candidate.mid,
            "project_id": candidate.project_id if isinstance(candidate.project_id, int) else None,
            "src": candidate.src,
            "license": _text(candidate.license),
            "mature": truth(candidate.mature),
            "rank": rank,
            "score": float(candidate.score),
            "split": split,
            **labels[candidate.mid],
            **scores[candidate.key],
        }
        for rank, (candidate, split) in enumerate(assigned, before + 1)
    ]
    return pa.Table.from_pylist(rows, schema=selection_schema())


def _text(value: Any) -> str | None:
    """A licence as text, also where the file holds its bytes as a BLOB."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return None if value is None else str(value)


def mids_that_fail(table: pa.Table, query: Query) -> frozenset[int]:
    """The images of a manifest that fail a filter of the query by the manifest's own values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    passes = [
        pc.is_in(table[labels.attribute], value_set=pa.array(labels.labels)) for labels in query.having_filters
    ] + [
        pc.invert(pc.is_in(table[labels.attribute], value_set=pa.array(labels.labels)))
        for labels in query.without_filters
    ]
    for bounds, compare in ((query.min_bounds, pc.greater_equal), (query.max_bounds, pc.less_equal)):
        passes += [pc.fill_null(compare(table[f"{b.attribute}_score"], b.value), False) for b in bounds]
    failing: set[int] = set()
    for passing in passes:
        failing.update(table["mid"].filter(pc.invert(passing)).to_pylist())
    return frozenset(failing)


def scores_of(database: Database, chosen: Iterable[Candidate]) -> dict[int, dict[str, float]]:
    """Candidate key -> column of the manifest (`emotion_happy_score`) -> score; only scores that are finite numbers."""
    key, names = row_key(database), database.score_attributes
    text = named("scores_of").format(key=key, columns=", ".join(f"s.{quote(name)}" for name in names))
    columns = [f"{name}_score" for name in names]
    scores_by_key: dict[int, dict[str, float]] = {}
    for row in database.rows_in(text, sorted({candidate.key for candidate in chosen})):
        values = row[2:]
        if set(map(type, values)) == {float} and math.isfinite(sum(values)):
            scores = dict(zip(columns, values, strict=True))
        else:
            pairs = zip(columns, values, strict=True)
            scores = {n: float(v) for n, v in pairs if isinstance(v, int | float) and math.isfinite(v)}
        scores_by_key.setdefault(row[0], scores)
    return scores_by_key
