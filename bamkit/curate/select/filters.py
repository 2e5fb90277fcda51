"""A query's filters as SQL conditions, each with the words a user typed for it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from bamkit.common.errors import BamkitError
from bamkit.curate.database.connection import Database
from bamkit.curate.database.engines import quote
from bamkit.curate.select.query import LabelFilter, Query

HUGE = 1.7976931348623157e308
"""Every finite score lies between -HUGE and HUGE, and SQLite sorts text and blobs above every number: `+column`
(the plus removes the column's affinity) between the two is true for finite numbers only."""

MOST = 2**63 - 1
"""The same for a mid, which is an integer: NULL and text fail."""

NO_WORDS = "('0', 'false', 'f', 'no', 'n', '0.0', '')"


@dataclass(frozen=True)
class Condition:
    """One filter."""

    shown: str
    """As the user typed it: `--with content_people:positive`."""
    sql: str
    """A condition on `s` (a row of scores) or on `m` (a row of modules)."""
    parameters: dict[str, Any] = field(default_factory=dict)
    on_modules: bool = False
    """Whether it speaks of `m`."""
    label: str = ""
    """For a filter on automatic labels: the condition on a row of `automatic_labels` behind it."""
    negated: bool = False
    """With `label`: whether the images for which it is true are left out."""
    guard: bool = False
    """Whether it only keeps out what is no number: such rows rank first or last, so a look at the ranks will do."""


def conditions(database: Database, query: Query) -> list[Condition]:
    """The filters in the order they are applied and explained. Raises BamkitError if the file cannot answer one."""
    for name in {query.rank_by, *(bound.attribute for bound in [*query.min_bounds, *query.max_bounds])}:
        database.require_column("scores", name)
    column = _score(query.rank_by)
    number = f"{column} BETWEEN -:huge AND :huge AND +s.mid <= :most"
    conditions_ = [Condition(f"a number in {query.rank_by}", number, {"huge": HUGE, "most": MOST}, guard=True)]
    for flag, bounds, sign, other in (
        ("--min-score", query.min_bounds, ">= :{0} AND {1} <= :huge", "min"),
        ("--max-score", query.max_bounds, "<= :{0} AND {1} >= -:huge", "max"),
    ):
        for i, bound in enumerate(bounds):
            key = f"{other}{i}"
            score = _score(bound.attribute)
            sql = f"{score} {sign.format(key, score)}"
            conditions_.append(Condition(f"{flag} {bound}", sql, {key: bound.value, "huge": HUGE}))
    for i, label_filter in enumerate(query.having_filters):
        condition = _labelled(database, query, label_filter, f"with{i}", False)
        if i == 0 and query.rank_by != query.attribute:
            condition = replace(condition, shown=f"--rank-by {query.rank_by} (of the {label_filter} images)")
        conditions_.append(condition)
    for i, label_filter in enumerate(query.without_filters):
        conditions_.append(_labelled(database, query, label_filter, f"without{i}", True))
    return conditions_ + _module_conditions(database, query)


def _module_conditions(database: Database, query: Query) -> list[Condition]:
    conditions_ = []
    if query.license:
        database.require_column("modules", "license")
        keys = {f"license{i}": like(pattern) for i, pattern in enumerate(query.license)}
        either = " OR ".join(f"lower(m.license) LIKE :{key} ESCAPE '!'" for key in keys)
        shown = " or ".join(f"--license '{pattern}'" for pattern in query.license)
        conditions_.append(Condition(shown, f"({either})", keys, on_modules=True))
    if not query.mature:
        database.require_column("modules", "mature_content")
        # As text, because releases write 0/1, servers a boolean, and CSV imports 'true'.
        sql = f"coalesce(lower(CAST(m.mature_content AS TEXT)), '0') IN {NO_WORDS}"
        conditions_.append(Condition("--no-mature", sql, on_modules=True))
    return conditions_


def label_source(database: Database, query: Query) -> str:
    """Whose labels the query uses here: "automatic", "crowd" or "threshold" (where there are no automatic ones).

    Raises BamkitError if crowd labels are asked for and there are none.
    """
    if query.labels == "crowd" and not database.has_crowd:
        raise BamkitError(f"{database.name} has no crowd_labels", "leave --labels crowd out")
    if query.labels == "automatic" and database.automatic == "absent":
        return "threshold"
    return query.labels


def _labelled(database: Database, query: Query, label_filter: LabelFilter, key: str, negated: bool) -> Condition:
    """One --with or --without filter. Labels are compared through the mid, never by the position of a row."""
    source = label_source(database, query)
    flag = "--without" if negated else "--with"
    shown = f"{flag} {label_filter}"
    if source == "threshold":
        database.require_column("scores", label_filter.attribute)
        sql = threshold_sql(label_filter)
        parameters: dict[str, Any] = {"high": query.positive_above, "low": query.negative_below, "huge": HUGE}
        sql = f"NOT coalesce({sql}, {_false(database)})" if negated else sql
        return Condition(f"{shown} (by score)", sql, parameters)
    names = {f"{key}_{i}": label for i, label in enumerate(label_filter.labels)}
    marks = ", ".join(f":{name}" for name in names)
    if source == "crowd":
        shown += " (crowd)"
        names[f"{key}_a"] = label_filter.attribute
        inner = f"SELECT mid FROM crowd_labels WHERE attribute = :{key}_a AND label IN ({marks})"
    else:
        database.require_column("automatic_labels", label_filter.attribute)
        label = f"{quote(label_filter.attribute)} IN ({marks})"
        return Condition(shown, labelled_sql(label, negated), names, label=label, negated=negated)
    # NOT IN over a list that holds a NULL is never true.
    return Condition(shown, f"s.mid {'NOT ' if negated else ''}IN ({inner} AND mid IS NOT NULL)", names)


def labelled_sql(label: str, negated: bool) -> str:
    """The condition that an image is (or is not) among those whose row of automatic_labels passes `label`."""
    # NOT IN over a list that holds a NULL is never true.
    return f"s.mid {'NOT ' if negated else ''}IN (SELECT mid FROM automatic_labels WHERE ({label}) AND mid IS NOT NULL)"


def threshold_sql(label_filter: LabelFilter) -> str:
    """The labels of a filter as ranges of the score."""
    score = _score(label_filter.attribute)
    ranges = {
        "positive": f"({score} > :high AND {score} <= :huge)",
        "unsure": f"({score} BETWEEN :low AND :high)",
        "negative": f"({score} < :low AND {score} >= -:huge)",
    }
    return "(" + " OR ".join(ranges[label] for label in label_filter.labels) + ")"


def like(pattern: str) -> str:
    """A pattern with `*` and `?` as one for LIKE ... ESCAPE '!'."""
    for special in "!%_":
        pattern = pattern.replace(special, "!" + special)
    return pattern.replace("*", "%").replace("?", "_")


def _score(attribute: str) -> str:
    return f"+s.{quote(attribute)}"


def _false(database: Database) -> str:
    return "0" if database.sqlite else "FALSE"
