"""The curating half of `bamkit.Workspace`: from the database to splits that one has looked at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

from bamkit.api.hints import in_python
from bamkit.api.options import Options, as_options, options_of, verb
from bamkit.api.selection import Selection, opened
from bamkit.common import workspace as common
from bamkit.common.settings import build
from bamkit.curate.export.settings import ExportSettings
from bamkit.curate.fetch.settings import FetchSettings
from bamkit.curate.select.query import Query

if TYPE_CHECKING:
    import pandas as pd

    from bamkit.api import keywords
    from bamkit.api.review import Review
    from bamkit.common.status import Status
    from bamkit.curate.audit.comparison import Comparison
    from bamkit.curate.audit.leaks import Check
    from bamkit.curate.database.info import Info
    from bamkit.curate.export.run import Exported
    from bamkit.curate.fetch.summary import Summary
    from bamkit.curate.report import Report
    from bamkit.curate.select.diff import Diff
    from bamkit.curate.select.funnel import Explanation


class Curation(common.Workspace):
    """What `Workspace` does before a network is trained."""

    def __init__(self, root: Path | str = ".", config: dict[str, Any] | None = None, stale: bool = False) -> None:
        folder = Path(root).expanduser()
        if config is None:
            config = common.Workspace.open(folder).config
        super().__init__(folder, config, stale)

    @classmethod
    def sample(cls, directory: Path | str, rows: int = 6000, seed: int = 0, port: int | None = None) -> Self:
        """Make a workspace with a stand-in for the BAM database, of `rows` images, to try everything on.

        `bamkit.SampleServer(directory)` serves its pictures on this machine, at `port`, while you fetch. Raises
        BamkitError if a database is there already.

        >>> bamkit.Workspace.sample(folder / "try", rows=50).info().counts.images
        50
        """
        from bamkit.sample.database import DEFAULT_PORT, make_sample

        return cls(make_sample(Path(directory).expanduser(), rows, seed, DEFAULT_PORT if port is None else port))

    @verb("status")
    def status(self) -> Status:
        """What lies here, what of it is stale, and what to do next, as `bamkit status` says.

        The result has `artefacts` (`kind`, `name`, `holds`, `stale`), `rows()` and `next`, calls in Python.

        >>> ws.status().next
        ('ws.fetch()',)
        """
        from dataclasses import replace

        from bamkit.common.status import status

        found = status(self)
        return replace(found, next=tuple(in_python(line, "status") for line in found.next))

    @verb("info")
    def info(self, db: str | None = None) -> Info:
        """What is in the BAM file: `counts`, `problems` (sentences), `attributes()` (a DataFrame), `fingerprint`.

        >>> ws.info().attributes().loc[0, "attribute"]
        'content_bicycle'
        """
        from bamkit.curate.database.connection import Database
        from bamkit.curate.database.info import describe

        options = options_of("info", self, {"db": db})
        with Database.open(self.database(options["db"])) as database:
            return describe(database, self)

    @verb("sql")
    def sql(self, statement: str, *, db: str | None = None, limit: int | None = None) -> pd.DataFrame:
        """The rows of a SELECT as a DataFrame. The engine refuses to write.

        >>> ws.sql("select max(mature_content) as mature from modules")
           mature
        0       1
        """
        from bamkit.api.database import sql

        return sql(self.database(db), statement, limit)

    @verb("select", Query)
    def select(
        self,
        *,
        emotion: str | None = None,
        name: str | None = None,
        decisions: Path | str | None = None,
        db: str | None = None,
        force: bool = False,
        **options: Unpack[keywords.QueryKeywords],
    ) -> Selection:
        """Choose images and freeze the choice in selections/NAME.parquet, as `bamkit select` does.

        >>> happy = ws.select(emotion="happy", top=10, test=2, validation=2, without=["comic"], name="plain")
        >>> len(happy.frame), happy.path.name
        (34, 'plain.parquet')
        """
        from bamkit.curate.database.connection import Database
        from bamkit.curate.select.manifest import select_into

        own = {"emotion": emotion, "name": name, "decisions": decisions, "db": db, "force": force or None}
        chosen = options_of("select", self, {**as_options(options), **own})
        query = query_of(chosen)
        with Database.open(self.database(chosen["db"])) as database:
            selection = select_into(self, database, query, chosen["name"], chosen["force"])
        notes = tuple(in_python(note, "select") for note in selection.notes)
        return opened(replace(selection, notes=notes), self.selection(selection.name))

    @verb("select", Query)
    def explain(
        self,
        *,
        emotion: str | None = None,
        name: str | None = None,
        decisions: Path | str | None = None,
        db: str | None = None,
        **options: Unpack[keywords.QueryKeywords],
    ) -> Explanation:
        """How many images each filter of `select` would leave, as `bamkit select --explain` shows. Nothing is written.

        The result has `frame` (a DataFrame: filter, left, taken out) and `sql`, the statements as they are run.

        >>> ws.explain(emotion="happy", top=10, without=["comic"]).frame["left"].is_monotonic_decreasing
        False
        """
        from bamkit.curate.database.connection import Database
        from bamkit.curate.select.manifest import explain

        own = {"emotion": emotion, "name": name, "decisions": decisions, "db": db}
        chosen = options_of("select", self, {**as_options(options), **own})
        with Database.open(self.database(chosen["db"])) as database:
            return explain(database, query_of(chosen), self, chosen["name"])

    @verb("review")
    def review(
        self,
        name: str | None = None,
        *,
        reviewer: str = "",
        decisions: Path | str | None = None,
        port: int = 0,
        static: bool = False,
    ) -> Review:
        """Keep, drop or move the pictures of a selection by eye, on the page that `bamkit review` serves.

        The server runs beside the notebook until `stop()`, or the end of a `with`. The result has `url`, which a
        notebook shows as a link, and `decisions`, the file that `select(decisions=...)` replays. With `static=True` it
        is one file that needs no server; its page saves a decisions.csv where you want it.

        >>> with ws.review("happy", reviewer="Ann") as review:
        ...     review.decisions.name, review.url.startswith("http://127.0.0.1:")
        ('decisions.csv', True)
        >>> ws.review("happy", static=True).url.endswith("reviews/happy/index.html")
        True
        """
        from bamkit.api.review import begun

        options = options_of("review", self, {"decisions": decisions, "port": port or None, "static": static or None})
        return begun(self, name, reviewer, options["decisions"], options["port"], options["static"])

    @verb("fetch", FetchSettings)
    def fetch(
        self,
        *names: str,
        retry_failed: str | None = None,
        force: bool = False,
        **options: Unpack[keywords.FetchSettingsKeywords],
    ) -> Summary:
        """Download the pictures of the selections (all by default) and write the splits, as `bamkit fetch` does.

        Interrupted, it goes on where it was when it is called again. The result has `selections` (`splits`, `missing`
        by reason ...), `arrived`, `asked`, `rows()`, `reasons()`. Raises BamkitError also where a host was given up.

        >>> ws.fetch("happy").rows()[0]["train"]
        '20'
        """
        from bamkit.curate.fetch.faults import parse_reasons
        from bamkit.curate.fetch.run import fetch
        from bamkit.curate.fetch.splits.kept import PICTURE_SETTINGS

        given = {**as_options(options), "retry_failed": retry_failed, "force": force or None}
        chosen = options_of("fetch", self, given)
        settings = build(FetchSettings, chosen.values, retry=parse_reasons(chosen["retry_failed"] or ""))
        keep = [name for name in PICTURE_SETTINGS if name not in chosen.named]
        summary = fetch(self, names, settings, keep=keep, force=chosen["force"])
        summary.require_complete()
        return summary

    def ledger(self) -> pd.DataFrame:
        """What became of every address that was ever tried, one row each: outcome, reason, final_url, sha256, rule ...

        In the order of addresses; the columns are described in docs/fetch.md. May be read while a fetch runs.

        >>> ws.ledger()["outcome"].value_counts().index[0]
        'ok'
        """
        from bamkit.curate.fetch.ledger import read_ledger

        return read_ledger(self.originals / "ledger.sqlite")

    @verb("check")
    def check(
        self,
        *names: str,
        group_by: Literal["project"] | None = None,
        distance: int | None = None,
        page: bool = False,
    ) -> Check:
        """Look for leakage between train, test, validation and the domains, as `bamkit check` does.

        The result has `clean`, `leaks`, `clusters`, and `table()`, a DataFrame.

        >>> ws.check("happy", "scary").clean
        True
        """
        from bamkit.curate.audit.leaks import check
        from bamkit.curate.report.leakage import write_page

        options = options_of("check", self, {"group_by": group_by, "distance": distance, "page": page or None})
        by_project = options["group_by"] == "project"
        found = check(self, names, by_project=by_project, distance=options["distance"])
        if options["page"]:
            write_page(self, found)
        return found

    @verb("balance")
    def balance(
        self,
        *names: str,
        split: str | None = None,
        db: str | None = None,
        no_database: bool = False,
    ) -> Comparison:
        """What tells two domains apart besides the emotion, as `bamkit balance` does.

        The result has `balance.labels` and `balance.scores` (DataFrames with shares or means, differences, intervals,
        SMD), `auc` (value, low, high), and `labels()`, `scores()`, `summary()` as texts.

        >>> found = ws.balance("happy", "scary", no_database=True)
        >>> found.sizes
        (20, 20)
        """
        from bamkit.curate.audit.comparison import compare, pair_of

        given = {"split": split, "db": db, "no_database": no_database or None}
        options = options_of("balance", self, given)
        pair = pair_of(self, names)
        return compare(self, *pair, options["split"], options["db"], with_database=not options["no_database"])

    @verb("report")
    def report(self, *names: str, db: str | None = None, database: bool | None = None) -> Report:
        """Write reports/index.html about database, selections and splits, as `bamkit report` does.

        The result's `path` is the page. `database=False` leaves the database out.

        >>> ws.report("happy", database=False).path.name
        'index.html'
        """
        from bamkit.curate.report import report

        options = options_of("report", self, {"db": db, "with_database": database})
        return report(self, names, options["db"], options["with_database"])

    @verb("verify")
    def verify(self, *names: str, db: str | None = None) -> pd.DataFrame:
        """Whether the database still gives these selections (all by default), as `bamkit verify` says.

        One row a selection: `state` is same, differs, altered or failed; then how many images differ in which way.

        >>> ws.verify()[["name", "state"]]
            name state
        0  happy  same
        1  scary  same
        """
        from bamkit.curate.database.connection import Database
        from bamkit.curate.select.verify import verdict_table, verify

        options = options_of("verify", self, {"db": db})
        with Database.open(self.database(options["db"])) as database:
            return verdict_table(verify(self, database, names))

    @verb("diff")
    def diff(self, a: str, b: str, *, split: str | None = None) -> Diff:
        """What changed from selection A to selection B, as `bamkit diff` does; names or Parquet files.

        The result has `added`, `removed`, `kept` (mids), `moved`, and `attributes`: a DataFrame of shares and shifts.

        >>> len(ws.diff("happy", "scary").attributes)
        20
        """
        from bamkit.curate.select.diff import diff_named

        return diff_named(self, a, b, options_of("diff", self, {"split": split})["split"])

    @verb("export", ExportSettings)
    def export(
        self,
        *names: str,
        to: Literal["cyclegan", "imagefolder", "webdataset", "csv", "hf"],
        output: Path | str | None = None,
        force: bool = False,
        **options: Unpack[keywords.ExportSettingsKeywords],
    ) -> Exported:
        """Write splits (all by default) in another program's format, with a card, as `bamkit export` does.

        The result has `output` (the folder), `images`, `rows`, `notes`. Networks: `Run.export`; the tables of the
        database: `export_tables`.

        >>> ws.export("happy", to="csv").images
        48
        """
        from bamkit.curate.export.run import export, folder_for

        given = {**as_options(options), "to": to, "output": Path(output) if output else None, "force": force or None}
        chosen = options_of("export", self, given)
        settings = build(ExportSettings, {**chosen.values, "to": None}, to=to)
        folder = chosen["output"] or folder_for(self, names, to)
        return export(self, list(names), folder, settings, force=chosen["force"])

    @verb("export")
    def export_tables(
        self, *, output: Path | str | None = None, db: str | None = None, force: bool = False
    ) -> dict[Path, int]:
        """Write the tables of the database as Parquet with croissant.json, as `bamkit export --to parquet` does.

        Gives the rows of each file.

        >>> written = ws.export_tables()
        >>> {path.name: rows for path, rows in written.items()}["modules.parquet"]
        400
        """
        from bamkit.curate.database.connection import Database
        from bamkit.curate.export.tables import export_to_workspace

        given = {"to": "parquet", "output": Path(output) if output else None, "db": db, "force": force or None}
        chosen = options_of("export", self, given)
        with Database.open(self.database(chosen["db"])) as database:
            return export_to_workspace(self, database, chosen["output"], chosen["force"])[1]

    def _repr_html_(self) -> str:
        return self.status()._repr_html_()

    def __repr__(self) -> str:
        return f"Workspace({str(self.root)!r})"


def query_of(chosen: Options) -> Query:
    """What `bamkit select` is asked for, with the decisions of a review, if a file of them is named."""
    from bamkit.curate.select.decisions import read_review

    query = build(Query, chosen.values, emotion=chosen["emotion"] or "")
    if not chosen["decisions"]:
        return query
    review = read_review(Path(chosen["decisions"]), chosen["name"] or query.name)
    return replace(query, reviewed=review.texts)
