"""A selection: which images, in which split, with everything known about them, frozen in a manifest."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bamkit
from bamkit.common.contract import LABELS, SPLITS, selection_schema
from bamkit.common.errors import BamkitError
from bamkit.common.lineage import require_current, stale_database
from bamkit.common.provenance import canonical
from bamkit.common.shards import read_about, read_table, write_table
from bamkit.common.tombstones import Tombstones
from bamkit.common.workspace import Workspace, checked_name, refuse_overwrite
from bamkit.curate.database.connection import Database
from bamkit.curate.select.decisions import replay
from bamkit.curate.select.filters import Condition, conditions, label_source
from bamkit.curate.select.funnel import Explanation, funnel, shortage, shown_parameters
from bamkit.curate.select.manifest_rows import CHUNK, build_table, mids_that_fail
from bamkit.curate.select.notes import match_notes, project_id_notes, selection_notes, source_notes
from bamkit.curate.select.query import Query, making
from bamkit.curate.select.ranking import Candidate, candidates, modules_sql, rank_sql, survivors_sql
from bamkit.curate.select.split_assignment import Excluded, SplitAssignment

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

POOL = 5
"""How many times the images wanted are looked at first to match another selection."""
WIDEST = 200_000
"""The most candidates that are looked at, unless `--pool` says more, where fewer give no balance."""


@dataclass(frozen=True)
class Selection:
    """The answer to a query."""

    name: str
    query: Query
    table: pa.Table
    """contract.selection_schema(), ordered by rank."""
    about: dict[str, Any]
    """Provenance: the query, the database's fingerprint, bamkit's version, `selection_id`."""
    notes: tuple[str, ...] = ()
    """What the user should know: shared projects, images in two domains, labels from elsewhere ..."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Rule -> images that it left out among the ranks that were looked at."""

    @property
    def selection_id(self) -> str:
        """16 hex digits of the query and the rows, whatever the file or the machine."""
        return str(self.about["selection_id"])

    @property
    def counts(self) -> dict[str, int]:
        """Images a split, in the order of contract.SPLITS."""
        counts = Counter(self.table.column("split").to_pylist())
        return {split: counts[split] for split in SPLITS if counts[split]}

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The rows as a DataFrame."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    def write(self, path: Path, force: bool = False) -> None:
        """Write the manifest atomically. Raises BamkitError if it is there and `force` is not given."""
        refuse_overwrite(path, force)
        write_table(self.table, path, self.about)

    @classmethod
    def read(cls, path: Path) -> Selection:
        """A manifest. Raises BamkitError if it is none."""
        about = read_about(path)
        if about.get("kind") != "selection" or not about.get("name") or not about.get("query"):
            raise BamkitError(f"{path} is not a selection manifest", "bamkit select --help   # writes one")
        return cls(about["name"], Query.from_dict(about["query"]), read_table(path), about)


def select_into(
    workspace: Workspace, database: Database, query: Query, name: str | None = None, force: bool = False
) -> Selection:
    """Select and write `selections/NAME.parquet` (NAME: the emotion's short name unless given).

    Raises BamkitError before any work if the manifest is there and `force` is not given.
    """
    name = checked_name(name or query.name)
    path = workspace.selection(name)
    _refuse_itself(query, name)
    refuse_overwrite(path, force)
    selection = select(database, query, workspace, name)
    referred = {other: read_selection(workspace, other).about for other in query.references}
    require_current(workspace, stale_database(referred, database.fingerprint, database.name))
    selection.write(path, force)
    return selection


def select(
    database: Database,
    query: Query,
    workspace: Workspace | None = None,
    name: str | None = None,
    forgotten: Tombstones | None = None,
) -> Selection:
    """Answer a query. Nothing is written. Images that were `forgotten` (by default the workspace's) are left out.

    The workspace is needed for `disjoint_from` and `match`, which name selections of it; where it is given, images and
    projects that its other selections share are noted. Raises BamkitError: an attribute that is not there, a filter
    that nothing survives, fewer images than asked for.
    """
    name = name or query.name
    if forgotten is None:
        forgotten = Tombstones.of(workspace) if workspace else Tombstones()
    reach = partial(_reach, database, query, workspace, name, forgotten)
    choice, table, match = _answer(database, query, workspace, name, forgotten, reach)
    reviewed: list[str] = []
    if query.reviewed:
        table, reviewed = replay(table, query.outcomes, query.counts_wanted, grouped=bool(query.group_by))
    about = {
        **({"match": match} if match else {}),
        # Tombstones are only ever added: their number says which ones were heeded.
        **({"forgotten": len(forgotten)} if len(forgotten) else {}),
        "kind": "selection",
        "name": name,
        "query": query.as_dict(),
        "inputs": choice.inputs,
        "labels": _labels_about(query, choice.source),
        "database": {"fingerprint": database.fingerprint},
        "bamkit": bamkit.__version__,
        "selection_id": selection_id(query, choice.inputs, table),
    }
    notes = reviewed + (match_notes(match, query) if match else [])
    notes += selection_notes(table, query, choice.dropped, workspace, name, reach)
    notes += project_id_notes(candidate.project_id for candidate, _ in choice.assigned)
    notes += source_notes(database, query, choice.source)
    return Selection(name, query, table, about, tuple(notes), dict(choice.dropped))


def _answer(
    database: Database,
    query: Query,
    workspace: Workspace | None,
    name: str,
    forgotten: Tombstones,
    reach: Callable[..., int],
) -> tuple[_Choice, pa.Table, dict[str, Any]]:
    """The choice, the manifest's table, and the report of the match if there is one.

    Every filter holds for every row by the row's own values. SQL looks at all rows of an image, so where an image has
    several rows of scores or labels that disagree, it may pass by one and be listed with another: it is left out, and
    the question asked again.
    """
    disagreeing: frozenset[int] = frozenset()
    while True:
        choice = _choose(database, query, workspace, name, disagreeing, forgotten)
        if len(choice.assigned) < query.required:
            usable = _not_negative(query, reach) if query.match else len(choice.assigned)
            raise shortage(database, query, choice.filters, len(choice.assigned), choice.dropped, usable)
        if query.match:
            assert workspace is not None, "_excluded has refused a match without a workspace"
            table, match = _matched(database, query, choice, workspace, reach)
        else:
            table, match = build_table(database, query, choice.assigned, choice.source), {}
        failing = mids_that_fail(table, query)
        if not failing:
            return choice, table, match
        disagreeing |= failing


@dataclass(frozen=True)
class _Choice:
    """The assigned candidates and how they were found."""

    filters: list[Condition]
    source: str
    """Whose labels were read: "automatic", "crowd" or "threshold"."""
    inputs: dict[str, str]
    """The selections that the query refers to: name -> selection_id."""
    assigned: list[tuple[Candidate, str]]
    """Candidates in rank order, each with its split ("pool" before a match)."""
    more: Iterator[tuple[Candidate, str]]
    """Those that come after them, for a match that needs a larger pool."""
    dropped: Counter[str]
    """Rule -> candidates it left out."""


def _choose(
    database: Database,
    query: Query,
    workspace: Workspace | None,
    name: str,
    disagreeing: frozenset[int] = frozenset(),
    forgotten: Tombstones | None = None,
) -> _Choice:
    """Rank, filter and assign to splits, as far as the images reach."""
    filters = conditions(database, query)
    source = label_source(database, query)
    excluded, inputs = _excluded(workspace, query, name)
    first = (query.pool or POOL * query.asked) if query.match else query.asked
    assignment = SplitAssignment(
        {"pool": max(first + 1, WIDEST)} if query.match else query.counts,
        replace(excluded, disagreeing=disagreeing, forgotten=forgotten or Tombstones()),
        group_by_project=bool(query.group_by) and not query.match,
        one_a_project=bool(query.group_by and query.match),
        project_limit=query.limit_per_project,
    )
    stream = assignment.assign(candidates(database, query, filters, first))
    return _Choice(filters, source, inputs, list(islice(stream, first)), stream, assignment.dropped)


def _reach(
    database: Database, query: Query, workspace: Workspace | None, name: str, forgotten: Tombstones, **changes: Any
) -> int:
    """How many images the query would find with other values of these fields; 0 where they contradict the rest."""
    try:
        changed = replace(query, **changes)
    except BamkitError:
        return 0
    return len(_choose(database, changed, workspace, name, forgotten=forgotten).assigned)


def _not_negative(query: Query, reach: Callable[..., int], **changes: Any) -> int:
    """How many images a match may choose from, up to those asked for."""
    if query.match_any:
        return reach(**changes)
    return reach(without=(*query.without, f"{query.attribute}:negative"), **changes)


def explain(
    database: Database, query: Query, workspace: Workspace | None = None, name: str | None = None
) -> Explanation:
    """The SQL of a query, how many images survive each filter, and how they would be assigned. Nothing is written.

    One scan of the database for the counts and one for the ranks; too few images are no error here.
    """
    choice = _choose(database, query, workspace, name or query.name)
    if query.sample == "top":
        first = rank_sql(database, query, choice.filters, query.asked)
    else:
        first = survivors_sql(database, query, choice.filters)
    shown = [
        f"{text.strip()}\n-- {shown_parameters(bound)}"
        for text, bound in (first, modules_sql(database, choice.filters))
    ]
    return Explanation(
        funnel(database, choice.filters),
        dict(choice.dropped),
        dict(Counter(split for _, split in choice.assigned)),
        "\n\n".join(shown).replace(":ids", "(... the mids above ...)"),
    )


def selection_id(query: Query, inputs: dict[str, str], table: pa.Table) -> str:
    """The content address of a selection: the query, the ids of the selections it refers to, and every value chosen.

    It is `provenance.digest` of {"inputs", "query", "rows": {column: values}}, taken in pieces, so that a selection of
    a million images needs no text of a gigabyte.
    """
    sha = hashlib.sha256(f'{{"inputs":{canonical(inputs)},"query":{canonical(query.as_dict())},"rows":{{'.encode())
    for i, name in enumerate(sorted(table.column_names)):
        sha.update(f"{',' if i else ''}{canonical(name)}:[".encode())
        for start in range(0, len(table), CHUNK):
            values = canonical(table.column(name).slice(start, CHUNK).to_pylist())[1:-1]
            sha.update(f"{',' if start else ''}{values}".encode())
        sha.update(b"]")
    sha.update(b"}}")
    return sha.hexdigest()[:16]


def _refuse_itself(query: Query, name: str) -> None:
    if name in query.references:
        raise BamkitError(f"the selection {name} cannot refer to itself", "give this one another --name")


def _excluded(workspace: Workspace | None, query: Query, own: str) -> tuple[Excluded, dict[str, str]]:
    """What the selections named by the query hold, and their ids by name."""
    _refuse_itself(query, own)
    names = query.references
    if not names:
        return Excluded(), {}
    if workspace is None:
        raise BamkitError("--disjoint-from and --match name selections of a workspace, and none is given")
    mids: set[int] = set()
    srcs: set[str] = set()
    projects: set[int] = set()
    inputs = {}
    for name in names:
        other = read_selection(workspace, name)
        inputs[name] = other.selection_id
        mids.update(other.table.column("mid").to_pylist())
        srcs.update(other.table.column("src").to_pylist())
        if query.group_by == "project":
            projects.update(p for p in other.table.column("project_id").to_pylist() if p is not None)
    return Excluded(frozenset(mids), frozenset(srcs), frozenset(projects)), inputs


def read_selection(workspace: Workspace, name: str) -> Selection:
    """The selection NAME of a workspace. Raises BamkitError naming those there are."""
    path = workspace.selection(name)
    if not path.is_file():
        there = ", ".join(workspace.selection_names())
        hint = f"the selections here are {there}" if there else making(name)
        raise BamkitError(f"there is no selection {name!r} in {workspace.selections}", hint)
    return Selection.read(path)


def _pools(database: Database, query: Query, choice: _Choice) -> Iterator[pa.Table]:
    """The candidates for a match: as many as `--pool` says, or else ever more, twice as many each time."""
    import pyarrow as pa

    table = build_table(database, query, choice.assigned, choice.source)
    yield table
    while query.pool is None and (more := list(islice(choice.more, len(table)))):
        table = pa.concat_tables([table, build_table(database, query, more, choice.source, len(table))])
        yield table


def _matched(
    database: Database, query: Query, choice: _Choice, workspace: Workspace, reach: Callable[..., int]
) -> tuple[pa.Table, dict[str, Any]]:
    """The images of the pool that match the target, ranked anew within the order of the splits."""
    import pyarrow as pa

    from bamkit.curate.select.matching.match import TooFewError, match_widening

    target = read_selection(workspace, query.match).table
    attribute = "" if query.match_any else query.attribute
    # With --pool there may be more behind; without it all are looked at that may bring balance.
    behind = query.pool is not None and next(choice.more, None) is not None
    try:
        result = match_widening(_pools(database, query, choice), target, query.counts, query.seed, attribute)
    except TooFewError as error:
        enough = behind and _not_negative(query, reach, pool=None) >= query.required
        raise BamkitError(error.message, f"leave --pool out, {error.hint}" if enough else error.hint) from error
    result.report["more_behind_pool"] = behind
    order = {split: i for i, split in enumerate(SPLITS)}
    splits = result.chosen.column("split").to_pylist()
    by_split = sorted(range(len(splits)), key=lambda i: order[splits[i]])
    table = result.chosen.take(by_split)
    ranks = pa.array(range(1, len(table) + 1), pa.int32())
    return table.set_column(table.schema.get_field_index("rank"), "rank", ranks).cast(selection_schema()), result.report


def _labels_about(query: Query, source: str) -> dict[str, Any]:
    if source != "threshold":
        return {"source": source}
    return {"source": source, "positive_above": query.positive_above, "negative_below": query.negative_below}


def summary(selection: Selection) -> pd.DataFrame:
    """One row a split: images, projects, range of the ranked score, share of each label of the domain's attribute."""
    import pandas as pd

    rows = selection.frame
    order = [split for split in SPLITS if (rows["split"] == split).any()]
    by_split = rows.groupby("split")
    table = by_split.agg(
        images=("mid", "size"), projects=("project_id", "nunique"), best=("score", "max"), least=("score", "min")
    ).rename(columns={"best": "best score", "least": "least score"})
    labels = pd.crosstab(rows["split"], rows[selection.query.attribute])
    return table.join(labels.reindex(index=order, columns=list(LABELS), fill_value=0)).loc[order].reset_index()
