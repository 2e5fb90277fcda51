"""Candidates in the order they are considered: by rank, or in the order they were drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

from bamkit.curate.database.connection import CHUNK, Database
from bamkit.curate.database.engines import quote
from bamkit.curate.database.named_queries import query as named
from bamkit.curate.select.filters import HUGE, MOST, Condition, labelled_sql
from bamkit.curate.select.query import Query

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BANDS = 10
EVERYTHING = 2**62
"""A limit that no file reaches."""
Ranked = tuple[int, int, float]
"""Key, mid and score of a row of scores."""
MODULE_COLUMNS = ("project_id", "src", "license", "mature_content")


class Candidate(NamedTuple):
    """An image that passes every filter."""

    mid: int
    key: int
    """What finds its row of scores at once: the rowid in a SQLite file, else the mid."""
    score: float
    """The ranked attribute's."""
    project_id: int | None
    src: str | None
    license: str | None
    mature: Any


def candidates(
    database: Database, query: Query, conditions: Sequence[Condition], looked_for: int
) -> Iterator[Candidate]:
    """The images that pass the conditions, best first (or in the order they were drawn).

    `looked_for` is how many will be taken in all likelihood: so many are ranked at first, sixteen times more if they do
    not suffice, and all at last. Lazy: what is not asked for is not read.
    """
    if query.sample != "top":
        yield from _with_modules(database, conditions, _drawn(database, query, conditions))
        return
    # Filters on modules let through most images as a rule: a third is allowed for at first.
    limit = looked_for * (12 if any(condition.on_modules for condition in conditions) else 5) // 4 + 200
    passed = 0
    asked = list(conditions)
    while True:
        given = before = passed
        for chunk in _chunks(islice(rank(database, query, asked, limit), passed, None), min(looked_for, CHUNK)):
            given += len(chunk)
            for candidate in _with_modules(database, conditions, [chunk]):
                passed += 1
                yield candidate
        if given < limit:
            return
        # From here on modules' filters are part of the ranking, so that only what passes them is ranked; as every
        # candidate before did pass them, the places agree.
        if asked == list(conditions):
            asked = [condition for condition in conditions if not condition.on_modules] + [_passes_modules(conditions)]
        limit = (passed + looked_for) * 16 if limit < 100_000 and passed > before else EVERYTHING


def _passes_modules(conditions: Sequence[Condition]) -> Condition:
    """The filters on modules as a condition on scores."""
    own = [condition for condition in conditions if condition.on_modules]
    inner = " AND ".join(["m.src IS NOT NULL", "+m.mid <= :most", *(condition.sql for condition in own)])
    sql = f"s.mid IN (SELECT m.mid FROM modules AS m WHERE {inner})"
    return Condition("", sql, {**parameters(own), "most": MOST})


def rank(database: Database, query: Query, conditions: Sequence[Condition], limit: int) -> Iterator[Ranked]:
    """(key, mid, score) of the `limit` best images by the conditions on scores and labels; modules are not read.

    Text, blobs and infinity rank above every number and NULL below, so the guard against them, which would cost a third
    of the scan, is left to a look at the ranks; only where one of them comes first is the ranking asked for with it.
    """
    unguarded = [condition for condition in conditions if not condition.guard]
    rows = database.rows(*rank_sql(database, query, unguarded, limit))
    first = next(rows, None)
    if first is not None and not _is_number(first[2]):
        rows = database.rows(*rank_sql(database, query, conditions, limit))
        first = next(rows, None)
    if first is None:
        return iter(())
    return takewhile(lambda row: _is_number(row[2]), chain([first], rows))


def _is_number(score: Any) -> bool:
    return isinstance(score, float | int) and -HUGE <= score <= HUGE


def rank_sql(
    database: Database, query: Query, conditions: Sequence[Condition], limit: int
) -> tuple[str, dict[str, Any]]:
    """The ranking query and its parameters."""
    own = [condition for condition in conditions if not condition.on_modules]
    text = named("rank").format(
        key=row_key(database), score=quote(query.rank_by), conditions="\n  AND ".join(merged(own)) or "1 = 1"
    )
    return text, {**parameters(own), "candidates": limit}


def survivors_sql(database: Database, query: Query, conditions: Sequence[Condition]) -> tuple[str, dict[str, Any]]:
    """The query for all images that pass, and its parameters: modules' filters become a semi-join."""
    own = [condition for condition in conditions if not condition.on_modules]
    if len(own) < len(conditions):
        own.append(_passes_modules(conditions))
    text = named("survivors").format(
        key=row_key(database), score=quote(query.rank_by), conditions="\n  AND ".join(merged(own))
    )
    return text, parameters(own)


def modules_sql(database: Database, conditions: Sequence[Condition]) -> tuple[str, dict[str, Any]]:
    """The query for the ranked images' rows of modules (with `{ids}` still open), and its parameters."""
    there = database.columns("modules")
    own = [condition for condition in conditions if condition.on_modules]
    text = named("modules_of").format(
        columns=", ".join(f"m.{name}" if name in there else "NULL" for name in MODULE_COLUMNS),
        conditions=" AND ".join(["m.src IS NOT NULL", *(condition.sql for condition in own)]),
    )
    return text, parameters(own)


def merged(conditions: Sequence[Condition]) -> list[str]:
    """The conditions' SQL, with all that look into automatic_labels as one, so that it is read once for all of them."""
    labels = [condition for condition in conditions if condition.label]
    rest = [condition.sql for condition in conditions if not condition.label]
    having = [condition.label for condition in labels if not condition.negated]
    without = [condition.label for condition in labels if condition.negated]
    if having:
        # An image that has the labels wanted is among the labelled, so the others can be looked at there as well.
        unwanted = [f"({text}) IS NOT TRUE" for text in without]
        return [*rest, labelled_sql(" AND ".join([*having, *unwanted]), negated=False)]
    return [*rest, labelled_sql(" OR ".join(without), negated=True)] if without else rest


def row_key(database: Database) -> str:
    """What addresses a row of scores fastest."""
    return "s.rowid" if database.tables["scores"].rowid else "s.mid"


def parameters(conditions: Iterable[Condition]) -> dict[str, Any]:
    return {key: value for condition in conditions for key, value in condition.parameters.items()}


def _with_modules(
    database: Database, conditions: Sequence[Condition], ranked: Iterable[Sequence[Ranked]]
) -> Iterator[Candidate]:
    text, bound = modules_sql(database, conditions)
    for chunk in ranked:
        mids = [mid for _, mid, _ in chunk if isinstance(mid, int)]
        modules = {row[0]: row[1:] for row in database.rows_in(text, mids, bound)}
        for key, mid, score in chunk:
            if mid in modules:
                yield Candidate(mid, key, score, *modules[mid])


def _drawn(database: Database, query: Query, conditions: Sequence[Condition]) -> Iterator[list[Ranked]]:
    """All survivors in the order of the draw, in chunks."""
    import numpy as np

    kind = np.dtype([("key", "i8"), ("mid", "i8"), ("score", "f8")])
    rows = np.fromiter(database.rows(*survivors_sql(database, query, conditions)), kind)
    order = draw_order(rows["mid"], rows["score"], query.seed, query.sample == "stratified")
    for start in range(0, len(order), CHUNK):
        yield rows[order[start : start + CHUNK]].tolist()


def draw_order(mids: NDArray[np.int64], scores: NDArray[np.float64], seed: int, stratified: bool) -> NDArray[np.int64]:
    """The order of a random draw without replacement, as indices int64 (n,).

    Every mid gets a 64-bit hash of itself and the seed, and the draw goes by that hash: it does not depend on the
    order of the rows, the platform or the version of a random number generator, and rows that join or leave the
    database move nobody else. Stratified: the score range is cut into BANDS bands of equal width and the draw takes
    from each in turn, an exhausted band handing its turn to the others.

    mids: int64 (n,). scores: float64 (n,), the ranked attribute's.
    """
    import numpy as np

    key = _mix(mids.astype(np.uint64) ^ _mix(np.array([seed % 2**64], np.uint64)))
    if not stratified or len(mids) == 0:
        return np.lexsort((mids, key))
    low, high = float(scores.min()), float(scores.max())
    band = np.minimum((scores - low) * (BANDS / ((high - low) or 1.0)), BANDS - 1).astype(np.int64)
    # The place of each image in its own band, then all firsts, all seconds ... with the best band leading.
    by_band = np.lexsort((mids, key, band))
    starts = np.searchsorted(band[by_band], np.arange(BANDS))
    turn = np.empty(len(mids), np.int64)
    turn[by_band] = np.arange(len(mids)) - starts[band[by_band]]
    return np.lexsort((-band, turn))


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finalizer (Steele, Lea and Flood 2014): a bijection of 64-bit integers that looks random."""
    import numpy as np

    with np.errstate(over="ignore"):
        value = value + np.uint64(0x9E3779B97F4A7C15)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed: NDArray[np.uint64] = value ^ (value >> np.uint64(31))
        return mixed


def _chunks(rows: Iterable[Ranked], size: int) -> Iterator[list[Ranked]]:
    rows = iter(rows)
    while part := list(islice(rows, size)):
        yield part
