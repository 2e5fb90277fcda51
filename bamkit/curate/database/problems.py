"""What is wrong with a BAM file: misspelt columns, columns of another type, values that cannot be used."""

from __future__ import annotations

import difflib

from bamkit.common.contract import ATTRIBUTES, LABELS
from bamkit.curate.database.accumulator import Counts
from bamkit.curate.database.connection import KNOWN, Database

LOOKED_AT = 100_000
"""Rows of a table whose types are looked at."""


def schema_problems(database: Database) -> list[str]:
    """Tables and columns that are missing, unknown or misspelt, with the nearest known name."""
    problems = []
    for table, known in KNOWN.items():
        if not database.has(table):
            problems.append(f"there is no table `{table}`")
            continue
        there = database.columns(table)
        missing = [name for name in known if name not in there]
        unknown = [name for name in there if name not in known]
        for name in unknown:
            near = difflib.get_close_matches(name, missing, n=1, cutoff=0.7)
            if near:
                missing.remove(near[0])
                problems.append(f"`{table}.{name}` is probably {near[0]} misspelt: it is not used")
            else:
                problems.append(f"`{table}.{name}` is not a column of BAM: it is not used")
        if missing:
            problems.append(f"`{table}` has no {', '.join(missing)}")
    return problems


def content_problems(counts: Counts) -> list[str]:
    """What the counts show to be wrong."""
    problems = []
    text = sum(summary.text for summary in counts.scores.values())
    missing = sum(summary.missing for summary in counts.scores.values())
    above = [name for name, summary in counts.scores.items() if summary.maximum is not None and summary.maximum > 0]
    other = sum(counts.unlabelled.values()) if counts.label_source == "automatic_labels" else 0
    known = {name: labels for name, labels in counts.crowd.items() if name in ATTRIBUTES}
    crowd = sum(n for labels in known.values() for label, n in labels.items() if label not in LABELS)
    unknown = sum(sum(labels.values()) for name, labels in counts.crowd.items() if name not in known)
    for n, problem in (
        (counts.without_scores, "images have no row in `scores`: they cannot be ranked"),
        (counts.without_src, "images have no src: they cannot be fetched"),
        (counts.duplicate_srcs, "images repeat the src of another: select keeps the best-ranked of them"),
        (text, "scores are text instead of numbers: they are not used"),
        (missing, "scores are NULL or NaN: they are not used"),
        (other, "automatic labels are none of positive, unsure, negative"),
        (crowd, "labels of the crowd are none of positive, unsure, negative"),
        (unknown, "labels of the crowd are of attributes that BAM does not have"),
    ):
        if n:
            problems.append(f"{n:,} {problem}")
    if above:
        problems.append(f"scores above 0, where BAM's are log-probabilities: {', '.join(above)}")
    if not counts.images:
        problems.append("`modules` has no rows")
    if not counts.scored:
        problems.append("`scores` has no rows")
    return problems


def wrong_types(database: Database, tolerated: float = 0.0) -> list[str]:
    """The columns of a SQLite file that hold values of another type than BAM's in more than this share of the rows."""
    if not database.sqlite:
        return []
    wrong = []
    for table, column, right in (
        ("modules", "mid", "integer"),
        ("scores", "mid", "integer"),
        ("modules", "src", "text"),
        ("modules", "project_id", "integer"),
    ):
        if column not in database.columns(table):
            continue
        head = f"SELECT typeof({column}) AS type FROM {table} LIMIT {LOOKED_AT}"
        types = dict(database.rows(f"SELECT type, count(*) FROM ({head}) GROUP BY type"))
        total = sum(types.values())
        others = {kind: n for kind, n in types.items() if kind not in (right, "null")}
        if sum(others.values()) > tolerated * total:
            held = " and ".join(f"{kind} in {n:,}" for kind, n in others.items())
            wrong.append(f"`{table}.{column}` holds {held} of {total:,} rows, where BAM has {right}")
    return wrong
