"""The labels of chosen images: automatic, crowd's, or by a threshold on the scores."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from bamkit.common.contract import ATTRIBUTES
from bamkit.curate.database.connection import Database
from bamkit.curate.database.engines import Table, quote
from bamkit.curate.database.named_queries import query as named
from bamkit.curate.select.query import Query
from bamkit.curate.select.ranking import Candidate

ACROSS_ROWS = re.compile(
    r"\b(group\s+by|limit|over|distinct|union|intersect|except|having|with|count|sum|avg|total|join)\b", re.IGNORECASE
)


def labels_of(
    database: Database,
    query: Query,
    chosen: Sequence[Candidate],
    scores: Mapping[int, Mapping[str, float]],
    source: str,
) -> dict[int, dict[str, str | None]]:
    """mid -> attribute -> label for every candidate; an attribute without a label is left out or None.

    scores: candidate key -> column of the manifest -> score, for `source` "threshold".
    """
    labels: dict[int, dict[str, str | None]] = {candidate.mid: {} for candidate in chosen}
    if source == "threshold":
        for candidate in chosen:
            for column, score in scores[candidate.key].items():
                labels[candidate.mid][column.removesuffix("_score")] = by_threshold(
                    score, query.positive_above, query.negative_below
                )
    elif source == "crowd":
        for mid, attribute, label in database.rows_in(named("crowd_of"), sorted(labels)):
            if attribute in ATTRIBUTES:
                labels[mid][attribute] = None if label is None else str(label)
    else:
        names = database.label_attributes
        columns = ", ".join(map(quote, names))
        body = row_wise(database.tables["automatic_labels"], database.tables["scores"])
        if body:
            text = named("labels_of_view").format(columns=columns, body=body.replace(":", "\\:"))
            ids = sorted({candidate.key for candidate in chosen})
        else:
            text, ids = named("labels_of").format(columns=columns), sorted(labels)
        for row in database.rows_in(text, ids):
            if row[0] in labels:
                values = row[1:]
                if not set(map(type, values)) <= {str, type(None)}:
                    values = tuple(None if value is None else str(value) for value in values)
                labels[row[0]] = dict(zip(names, values, strict=True))
    return labels


def by_threshold(score: float, positive_above: float, negative_below: float) -> str:
    if score > positive_above:
        return "positive"
    return "negative" if score < negative_below else "unsure"


def row_wise(labels: Table, scores: Table) -> str:
    """The SELECT of a view that makes each of its rows from one row of `scores`; "" if it is none, or perhaps not.

    Only what can be seen from the text counts: a single SELECT, from `scores` alone, with nothing in it that looks at
    other rows.
    """
    if not labels.view or not scores.rowid:
        return ""
    query = re.fullmatch(
        r"\s*create\s+(?:temp\w*\s+)?view\s+(?:if\s+not\s+exists\s+)?\S+\s+as\s+(select\b.*?);?\s*",
        labels.sql,
        re.IGNORECASE | re.DOTALL,
    )
    body = query[1] if query else ""
    bare = re.sub(r"'[^']*'", "''", body)
    from_scores = re.findall(r"\bfrom\s+[\"`\[]?scores[\"`\]]?", bare, re.IGNORECASE)
    alone = len(re.findall(r"\bselect\b", bare, re.IGNORECASE)) == 1 == len(from_scores)
    comma = re.search(r"\bfrom\s+[^,]*,", bare, re.IGNORECASE)
    return body if alone and not comma and not ACROSS_ROWS.search(bare) else ""
