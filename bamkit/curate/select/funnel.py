"""How many images are left after each filter, and what to say when too few are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bamkit.common.errors import BamkitError
from bamkit.common.pages.notebook import as_html
from bamkit.curate.database.connection import Database
from bamkit.curate.database.engines import quote
from bamkit.curate.database.named_queries import query as named
from bamkit.curate.database.problems import wrong_types
from bamkit.curate.select.filters import Condition
from bamkit.curate.select.query import Query
from bamkit.curate.select.ranking import parameters

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Step:
    """One line of the funnel."""

    filter: str
    """As the user typed it."""
    left: int
    """Images that pass it and all before it."""


def funnel(database: Database, conditions: Sequence[Condition]) -> list[Step]:
    """Images left after each condition, starting from all rows of `scores`: one scan of the database."""
    passed = [[condition.sql for condition in conditions[: i + 1]] for i in range(len(conditions))]
    shown = ["all rows of scores", *(condition.shown for condition in conditions)]
    return [Step(text, n) for text, n in zip(shown, _counts(database, conditions, passed), strict=True)]


def _counts(database: Database, conditions: Sequence[Condition], passed: Sequence[Sequence[str]]) -> list[int]:
    """The rows of `scores`, and how many of them pass each list of conditions, in one scan."""
    sums = [f",\n  sum(CASE WHEN {' AND '.join(texts) or '1 = 1'} THEN 1 ELSE 0 END)" for texts in passed]
    join = "\nLEFT JOIN modules AS m ON m.mid = s.mid" if any(condition.on_modules for condition in conditions) else ""
    counts = database.one(named("funnel").format(sums="".join(sums), join=join), parameters(conditions))
    return [n or 0 for n in counts]


@dataclass(frozen=True)
class Explanation:
    """What `--explain` shows."""

    steps: list[Step]
    """Images left after each filter."""
    dropped: dict[str, int]
    """Rule -> images it left out among the ranks that were looked at: what SQL cannot say."""
    assigned: dict[str, int]
    """Images a split (or in the pool for a match)."""
    sql: str
    """The statements as they are run, with their parameters in a comment each."""

    @property
    def frame(self) -> pd.DataFrame:
        """One row a filter: how many images it leaves, how many it takes out; then the rules, then the splits."""
        import pandas as pd

        steps = pd.DataFrame([vars(step) for step in self.steps]).assign(
            **{"taken out": lambda rows: -rows["left"].diff()}
        )
        rules = pd.DataFrame(sorted(self.dropped.items()), columns=["filter", "taken out"])
        splits = pd.DataFrame({"filter": [f"-> {split}" for split in self.assigned], "left": self.assigned.values()})
        numbers = {"left": "Int64", "taken out": "Int64"}
        parts = [part.reindex(columns=["filter", *numbers]).astype(numbers) for part in (steps, rules, splits)]
        return pd.concat(parts, ignore_index=True)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        return {"sql": self.sql, "filters": json.loads(self.frame.to_json(orient="records"))}

    def _repr_html_(self) -> str:
        return as_html(self.frame, self.sql)


def shown_parameters(bound: Mapping[str, Any]) -> str:
    """The parameters of a statement, to show beside it."""
    return ", ".join(f":{key} = {value!r}" for key, value in bound.items()) or "no parameters"


def shortage(
    database: Database,
    query: Query,
    conditions: Sequence[Condition],
    passing: int,
    dropped: Mapping[str, int],
    usable: int,
) -> BamkitError:
    """The error for a query that finds `passing` images where more are wanted: what is to blame, what to relax.

    usable: how many of them may be taken (a match leaves some out).
    """
    wrong = wrong_types(database, tolerated=0.5)
    if wrong:
        return BamkitError(
            f"{database.name}: only {passing:,} images can be used: {'; '.join(wrong)}",
            "import the tables into a new file whose columns have BAM's types: modules(mid int primary key, "
            "project_id int, src text, mature_content boolean, license text), scores(mid int, emotion_happy real ...)",
        )
    steps = funnel(database, conditions)
    fatal = next((i for i, step in enumerate(steps) if step.left == 0), None)
    if fatal is not None:
        return _nothing(database, query, conditions, steps, fatal)
    asked = query.required
    parts = " + ".join(f"{n:,} {split}" for split, n in _asked(query).items())
    without = _without_each(database, conditions)
    gains = {text: n - steps[-1].left for text, n in without.items()} | dict(dropped)
    culprit = max(gains, key=lambda text: gains[text], default="")
    blame = relax = ""
    if gains.get(culprit) and culprit.startswith("--"):
        blame, relax = f"; without {culprit} {passing + gains[culprit]:,} would", f"relax {culprit}"
    elif gains.get(culprit):
        blame = f"; {gains[culprit]:,} are left out: {culprit}"
    if query.pool is not None and passing == query.pool:
        blame, relax = "; --pool lets no more be looked at", f"give --pool {asked} or more"
    for_train = usable - (asked - query.top)
    options = ", ".join(f"--{'top' if split == 'train' else split}" for split in _asked(query))
    fewer = f"ask for --top {for_train}" if for_train >= 1 else f"ask for at most {usable} ({options})"
    return BamkitError(
        f"only {passing:,} of the {asked:,} images asked for ({parts}) pass{blame}",
        ", or ".join(filter(None, [relax, fewer])),
    )


def _without_each(database: Database, conditions: Sequence[Condition]) -> dict[str, int]:
    """Filter, as the user typed it -> images that pass all others: the culprit is the one whose absence helps most."""
    others = [
        [other.sql for other in conditions if other is not condition] for condition in conditions if not condition.guard
    ]
    shown = [condition.shown for condition in conditions if not condition.guard]
    return dict(zip(shown, _counts(database, conditions, others)[1:], strict=True))


def _asked(query: Query) -> dict[str, int]:
    counts = {**query.counts, "reserve": query.reserve or 0}
    return {split: n for split, n in counts.items() if n}


def _nothing(
    database: Database, query: Query, conditions: Sequence[Condition], steps: Sequence[Step], fatal: int
) -> BamkitError:
    """Why nothing is left after step `fatal`."""
    if fatal == 0:
        return BamkitError(f"{database.name}: `scores` has no rows")
    condition, before = conditions[fatal - 1], steps[fatal - 1]
    if fatal == 1:
        column = quote(query.rank_by)
        kinds = {
            str(kind): n for kind, n in database.rows(f"SELECT typeof({column}), count(*) FROM scores GROUP BY 1")
        } if database.sqlite else {}  # fmt: skip
        held = ", ".join(f"{n:,} {'NULL or NaN' if kind == 'null' else kind}" for kind, n in kinds.items())
        return BamkitError(
            f"{database.name}: no row of `scores` has a number in {query.rank_by}"
            + (f" (it holds {held})" if held else "")
        )
    hint = f"relax {condition.shown}"
    if condition.shown.startswith("--license"):
        there = [row[0] for row in database.rows("SELECT DISTINCT license FROM modules LIMIT 12")]
        hint = f"the licences there are {', '.join(repr(text) for text in sorted(map(str, there)))}"
    elif condition.shown.startswith("--with ") and "by score" not in condition.shown:
        hint = _labels_there(database, condition) or hint
    return BamkitError(f"no image passes {condition.shown}: the {before.left:,} left before it all fail", hint)


def _labels_there(database: Database, condition: Condition) -> str:
    """The labels that an attribute has in this file, for one whose wanted label it does not have."""
    attribute = condition.shown.removeprefix("--with ").partition(":")[0]
    if "(crowd)" in condition.shown:
        rows = database.rows("SELECT DISTINCT label FROM crowd_labels WHERE attribute = :a", {"a": attribute})
    else:
        rows = database.rows(f"SELECT DISTINCT {quote(attribute)} FROM automatic_labels LIMIT 12")
    there = sorted({str(row[0]) for row in rows if row[0] is not None})
    wanted = {str(value) for value in condition.parameters.values()} - {attribute}
    if wanted & set(there):
        return f"relax {condition.shown}"
    return f"its labels here are {', '.join(there) or 'none'}"
