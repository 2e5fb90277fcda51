"""`bamkit report`: reads what the workspace has, and says all that can be said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import bamkit
from bamkit.common.contract import NOT_EMOTION
from bamkit.common.errors import BamkitError
from bamkit.common.lineage import require_current, stale_database
from bamkit.common.pages.notebook import as_html
from bamkit.common.pages.page import Page
from bamkit.common.settings import settings_of
from bamkit.common.terminal.console import percent_interval, signed
from bamkit.common.workspace import Workspace
from bamkit.curate.audit.balance import compare_scores
from bamkit.curate.audit.comparison import largest_first
from bamkit.curate.audit.domain import DomainTables, abouts, domains_of, read_domains
from bamkit.curate.audit.leaks import check
from bamkit.curate.audit.link_rot import outcomes
from bamkit.curate.database.accumulator import Counts
from bamkit.curate.database.connection import Database
from bamkit.curate.database.counts import count
from bamkit.curate.database.crowd import Crowd, crowd_of
from bamkit.curate.report import database_sections, domain_sections, leakage, plots
from bamkit.curate.report.builder import ReportBuilder
from bamkit.curate.report.contact_sheets import contact_sheets
from bamkit.curate.select.query import Query


@dataclass(frozen=True)
class Report:
    """What was written."""

    path: Path
    """index.html."""
    figures: int
    tables: int
    domains: tuple[str, ...]
    database: str | None
    """The database's fingerprint, None where the report was made without it."""

    def _repr_html_(self) -> str:
        subject = ", ".join(self.domains) or "no domains yet"
        return as_html(f"report on {subject}{' and the database' if self.database else ''}\nopen {self.path}")


def report(
    workspace: Workspace,
    names: Sequence[str] = (),
    database: str | None = None,
    with_database: bool = True,
    progress: bool = True,
) -> Report:
    """Write `reports/index.html`, `reports/figures` and `reports/tables` on the database and the domains.

    `names` are selections or splits (by default all of the workspace but those set apart for a judge). `database` is
    a path or URL; without one, that of the workspace if it has one. Raises BamkitError where there is nothing to report
    on, or an input is unreadable.
    """
    domains = read_domains(workspace, list(names) or domains_of(workspace))
    counts, crowd, fingerprint = None, None, None
    location = _location(workspace, database, required=not domains) if with_database else None
    if location:
        with Database.open(location) as opened:
            require_current(workspace, stale_database(abouts(domains), opened.fingerprint, opened.name))
            counts, fingerprint = count(opened, workspace, progress), opened.fingerprint
            crowd = crowd_of(opened, workspace)
    if not domains and counts is None:
        raise BamkitError(
            "there is nothing to report on: no selection, no split", "bamkit select --emotion happy --top 1000"
        )
    builder = write(workspace, domains, counts, crowd, fingerprint, names)
    path = builder.write(workspace.reports, _about(domains, fingerprint))
    return Report(
        path, len(builder.figures), len(builder.tables), tuple(domain.name for domain in domains), fingerprint
    )


def _location(workspace: Workspace, given: str | None, required: bool) -> str | None:
    """The database to open: as given (then it must be there), else the workspace's, if there is one."""
    try:
        return workspace.database(given)
    except BamkitError:
        if given or required:
            raise
        return None


def _about(domains: Sequence[DomainTables], fingerprint: str | None) -> dict[str, Any]:
    ids = {domain.name: domain.about.get("selection_id") for domain in domains}
    return {"bamkit": bamkit.__version__, "database": {"fingerprint": fingerprint}, "selections": ids}


def write(
    workspace: Workspace,
    domains: Sequence[DomainTables],
    counts: Counts | None,
    crowd: Crowd | None,
    fingerprint: str | None,
    names: Sequence[str] = (),
) -> ReportBuilder:
    """All sections for which there is something to show, in the order a reader wants them.

    `names` are those the user gave; () where `domains` are all there are.
    """
    report = ReportBuilder(Page("Dataset report", _lead(domains, counts)))
    labels: Mapping[str, Mapping[str, int]] | None = counts.labels if counts else None
    _at_a_glance(report, domains, counts)
    trained = [domain for domain in domains if domain.split("train").num_rows]
    if counts:
        database_sections.scores(report, counts, trained)
    if trained:
        domain_sections.labels(report, trained, labels)
    if len(trained) > 1:
        domain_sections.balances(report, trained, labels)
    domain_sections.matched(report, trained)
    if domains:
        domain_sections.lost_links(report, domains)
    if domains:
        _leakage(report, workspace, [domain.name for domain in domains])
    mature = (counts.mature, counts.images) if counts else None
    domain_sections.licences(report, trained, counts.licenses if counts else None, mature)
    if counts:
        database_sections.cooccurrence(report, counts)
        database_sections.label_counts(report, counts)
    if crowd:
        database_sections.crowd_agreement(report, crowd)
    contact_sheets(report, workspace, domains)
    _provenance(report, domains, counts, fingerprint)
    return report


def _lead(domains: Sequence[DomainTables], counts: Counts | None) -> str:
    subject = domain_sections.title_of(domains) if domains else ""
    if domains and counts:
        return f"The domains {subject}, and the database of {counts.images:,} images they come from."
    return f"The domains {subject}." if domains else f"A database of {counts.images if counts else 0:,} images."


def _at_a_glance(report: ReportBuilder, domains: Sequence[DomainTables], counts: Counts | None) -> None:
    facts = []
    if counts:
        remark = f"{counts.without_scores:,} of them without scores"
        facts.append(("Images in the database", f"{counts.images:,}", remark))
    for domain in domains:
        n = domain.counts.get("train", 0)
        others = ", ".join(f"{count:,} {name}" for name, count in domain.counts.items() if name != "train")
        facts.append((f"{domain.name}, training images", f"{n:,}", others))
    for domain in domains:
        if domain.fetched:
            had = outcomes(domain).iloc[0]
            value, _, bounds = (percent_interval(had["share"], had["low"], had["high"]) or "–").partition(" [")
            remark = f"[{bounds} of {had['n']:,} tried" if bounds else f"of {had['n']:,} tried"
            facts.append((f"{domain.name}, addresses alive", value, remark))
    if len(domains) == 2 and all(domain.split("train").num_rows for domain in domains):
        scores = compare_scores(domains[0].split("train"), domains[1].split("train"))
        worst = largest_first(scores[scores["attribute"].isin(NOT_EMOTION)].dropna(subset="smd"))[:1]
        for row in worst.to_dict("records"):
            more = domains[0 if row["smd"] > 0 else 1].name
            remark = f"{signed(abs(row['smd']))} SD, more in {more}"
            facts.append(("Largest confounder", plots.words(row["attribute"]), remark))
    report.page.section("At a glance")
    report.page.facts(facts)


def _leakage(report: ReportBuilder, workspace: Workspace, names: Sequence[str]) -> None:
    checked = check(workspace, names, strict=False)
    leakage.add(report.page, workspace, checked, leaks_only=True)
    if checked.clusters:
        report.keep("leakage", checked.table())


def _provenance(
    report: ReportBuilder, domains: Sequence[DomainTables], counts: Counts | None, fingerprint: str | None
) -> None:
    report.page.section(
        "How this was made",
        f"By bamkit {bamkit.__version__}. The figures lie beside this page as SVG, PDF and PNG in figures/, the tables "
        "as CSV and Parquet in tables/. Intervals are 95 %: Wilson for proportions, Newcombe for their differences, "
        "bootstrap for means, Wilson on the positives for average precision, Newcombe for AUC. Those of a domain's "
        "labels and scores are clustered by project, as images of one project are alike.",
    )
    rows = [(d.name, d.about.get("selection_id"), _query(d.about.get("query"))) for d in domains]
    if counts:
        source = f"{counts.scored:,} scored images, labels from {counts.label_source}"
        rows.insert(0, ("database", str(fingerprint), source))
    report.page.table(pd.DataFrame(rows, columns=["what", "id", "made by"]), caption="What it rests on")


def _query(query: Any) -> str:
    if not isinstance(query, Mapping):
        return str(query or "")
    usual = {setting.name: setting.default for setting in settings_of(Query)}
    words = []
    for key, value in query.items():
        if key == "reviewed" and value:
            words.append(f"{len(value):,} decisions of a review")
        elif value != (list(default) if isinstance(default := usual.get(key), tuple) else default):
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            words.append(f"{key.replace('_', ' ')} {text}")
    return "; ".join(words)
