"""`bamkit.Workspace`: a workspace with the commands' verbs as methods."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from bamkit.api.hints import in_python
from bamkit.api.options import as_options, options_of, verb
from bamkit.api.run import Run
from bamkit.api.selection import Selection, opened
from bamkit.common import workspace as common
from bamkit.common.settings import build
from bamkit.common.terminal.progress import say
from bamkit.curate.fetch.settings import FetchSettings
from bamkit.curate.select.query import Query
from bamkit.gan.evaluate.settings import EvaluateOptions
from bamkit.gan.judge.settings import JudgeConfig
from bamkit.gan.train.settings import TrainConfig
from bamkit.gan.translate.settings import TranslateConfig

if TYPE_CHECKING:
    import pandas as pd

    from bamkit.api import keywords
    from bamkit.common.status import Status
    from bamkit.curate.audit.comparison import Comparison
    from bamkit.curate.audit.leaks import Check
    from bamkit.curate.database.info import Info
    from bamkit.curate.fetch.summary import Summary
    from bamkit.curate.report import Report
    from bamkit.gan.evaluate.comparison.runs import Comparison as RunComparison
    from bamkit.gan.evaluate.result import Evaluation
    from bamkit.gan.judge.model import Judge
    from bamkit.gan.translate.results import Result

Paths = str | Path | Sequence[str | Path]


class Workspace(common.Workspace):
    """A folder of plain files, and what one does in it: the verbs and options of the command line.

    Every method takes the command's options as keywords: `--top 1000` is `top=1000`, `--no-mature` is
    `no_mature=True`, a repeatable option takes one value or a list, `--with` and `--from` are `with_` and `from_`.
    What is not given comes from the environment, the workspace's bamkit.toml, or the default. Nothing of yours is
    replaced without `force=True`. With `stale=True` it goes on with artefacts whose origin has changed since they
    were made. Mistakes that you can mend are `BamkitError`s. Nothing is created before something is written.

    Where things lie: `root`, `selection(name)`, `split(name)`, `run(name)`, `missing(name)` and the folders
    `selections`, `splits`, `originals`, `runs`, `translations`, `reports` are paths; `selection_names()`,
    `split_names()` and `run_names()` say what there is; `database()` is the BAM file's path or URL.

    >>> ws = bamkit.Workspace(folder)
    >>> ws.selection_names()
    ['happy', 'scary']
    >>> ws.selection("happy").name
    'happy.parquet'
    """

    def __init__(self, root: Path | str = ".", config: dict[str, Any] | None = None, stale: bool = False) -> None:
        folder = Path(root).expanduser()
        if config is None:
            config = common.Workspace.open(folder).config
        super().__init__(folder, config, stale)

    @classmethod
    def sample(cls, directory: Path | str, rows: int = 6000, seed: int = 0, port: int | None = None) -> Workspace:
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
        from bamkit.curate.select.decisions import read_review
        from bamkit.curate.select.manifest import select_into

        own = {"emotion": emotion, "name": name, "decisions": decisions, "db": db, "force": force or None}
        chosen = options_of("select", self, {**as_options(options), **own})
        query = build(Query, chosen.values, emotion=chosen["emotion"] or "")
        if chosen["decisions"]:
            review = read_review(Path(chosen["decisions"]), chosen["name"] or query.name)
            query = replace(query, reviewed=review.texts)
        with Database.open(self.database(chosen["db"])) as database:
            selection = select_into(self, database, query, chosen["name"], chosen["force"])
        notes = tuple(in_python(note, "select") for note in selection.notes)
        return opened(replace(selection, notes=notes), self.selection(selection.name))

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

    @verb("train", TrainConfig)
    def train(
        self,
        from_: str | None = None,
        to: str | None = None,
        *,
        name: str | None = None,
        device: str | None = None,
        preset: Literal["study", "quick", "small"] | None = None,
        config: Path | str | None = None,
        resume: bool = False,
        allow_shared: bool = False,
        force: bool = False,
        **options: Unpack[keywords.TrainConfigKeywords],
    ) -> Run:
        """Train CycleGAN between two domains (the two fetched splits by default), as `bamkit train` does.

        Interrupted, it writes a checkpoint and raises KeyboardInterrupt; `resume=True` goes on from there.

        >>> tiny = dict(steps=2, width=4, blocks=1, samples=1, validations=1, tensorboard=False)
        >>> ws.train("happy", "scary", name="second", **tiny).name
        'second'
        """
        from bamkit.gan.train.launch import launch

        given = {
            **as_options(options), "first": from_, "second": to, "name": name, "device": device, "preset": preset,
            "file": Path(config) if config else None, "resume": resume or None, "allow_shared": allow_shared or None,
            "force": force or None,
        }  # fmt: skip
        chosen = options_of("train", self, given)
        own = ("first", "second", "name", "device", "preset", "file", "resume", "allow_shared", "force")
        rest = {key: value for key, value in chosen.values.items() if key not in own}
        result = launch(
            self, chosen["first"], chosen["second"], **{key: chosen[key] for key in own[2:]}, given=rest,
            say=lambda line: say(in_python(line, "train")),
        )  # fmt: skip
        assert result is not None, "only torchrun has processes that write nothing"
        if result.stopped == signal.SIGINT:
            said = f"stopped after step {result.step:,} of {result.total:,}; a checkpoint is written"
            raise KeyboardInterrupt(f"{said}: ws.train(name={result.run.name!r}, resume=True) goes on")
        if result.stopped:
            raise SystemExit(128 + result.stopped)
        return Run(result.run)

    @verb("translate", TranslateConfig)
    def translate(
        self,
        run: str | None = None,
        *,
        input: Paths = (),
        direction: str | None = None,
        split: str | None = None,
        limit: int | None = None,
        output: Path | str | None = None,
        size: int | str | None = None,
        force: bool = False,
        **options: Unpack[keywords.TranslateConfigKeywords],
    ) -> Result:
        """Translate the test pictures (or `split`, or `input`) with a run (the newest by default) to translations/RUN.

        As `bamkit translate` does. The result has `table` (the path of translations.parquet), `show(direction)` (the
        sheet of befores and afters), `directions`, `rows()`. For single pictures in memory there is `Run.translate`.

        >>> ws.translate("happy-scary").pictures
        8
        """
        from bamkit.gan.translate.run import translate_run

        inputs = [Path(one) for one in ([input] if isinstance(input, str | Path) else input)]
        given = {
            **as_options(options), "direction": direction, "split": split, "limit": limit,
            "size": None if size is None else str(size), "output": Path(output) if output else None,
            "force": force or None,
        }  # fmt: skip
        chosen = options_of("translate", self, given)
        return translate_run(
            self, run, inputs=inputs, direction=chosen["direction"], split=split if inputs else chosen["split"],
            limit=chosen["limit"], output=chosen["output"], config=build(TranslateConfig, chosen.values),
            force=chosen["force"],
        )  # fmt: skip

    @verb("judge train", JudgeConfig)
    def train_judge(
        self, *splits: str, output: Path | str | None = None, force: bool = False,
        **options: Unpack[keywords.JudgeConfigKeywords],
    ) -> Judge:  # fmt: skip
        """Train a judge on the splits called judge and judge-..., or on those named, as `bamkit judge train` does.

        The result has `card`, a dict: what it was trained on, and how good it is on held-out pictures.

        >>> judge = ws.train_judge("happy", "scary", size=32, epochs=1, output=folder / "example")
        >>> sorted(judge.card["images"])
        ['calibrate', 'fit', 'held out']
        """
        from bamkit.gan.judge.train import train_judge

        given = {**as_options(options), "output": Path(output) if output else None, "force": force or None}
        chosen = options_of("judge train", self, given)
        return train_judge(self, splits, build(JudgeConfig, chosen.values), chosen["output"], chosen["force"])

    @verb("evaluate", EvaluateOptions)
    def evaluate(self, run: str | None = None, **options: Unpack[keywords.EvaluateOptionsKeywords]) -> Evaluation:
        """Evaluate a run's translations and write reports/evaluate-RUN, as `bamkit evaluate` does.

        The result has `figures` (a DataFrame: one row a direction, metric and method, with value, low, high, n and the
        kind of interval), `summary(direction)`, `pictures` (a DataFrame, one row a picture), `warnings`, `missing`.

        >>> figures = ws.evaluate("happy-scary").figures
        >>> sorted(set(figures["direction"]))
        ['happy-to-scary', 'scary-to-happy']
        """
        from bamkit.gan.evaluate.run import evaluate_and_write

        chosen = options_of("evaluate", self, as_options(options))
        return evaluate_and_write(self, run, build(EvaluateOptions, chosen.values))[0]

    @verb("compare")
    def compare(self, *runs: str) -> RunComparison:
        """Evaluated runs side by side (all by default), as `bamkit compare` does. Writes reports/compare.

        The result has `side_by_side(direction)`, `spread(direction)` over seeds and `paired(direction)`: DataFrames.

        >>> ws.compare("happy-scary")
        Traceback (most recent call last):
        bamkit.common.errors.BamkitError: ...
        """
        from bamkit.gan.evaluate.comparison.page import compare_and_write

        return compare_and_write(self, runs)[0]

    def _repr_html_(self) -> str:
        return self.status()._repr_html_()

    def __repr__(self) -> str:
        return f"Workspace({str(self.root)!r})"
