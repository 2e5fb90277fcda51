"""The report's sections on domains: labels, balance, matching, link rot, licences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import pandas as pd
import pyarrow.compute as pc

from bamkit.common.contract import NOT_EMOTION
from bamkit.common.statistics import BALANCED
from bamkit.common.terminal.console import percent, percent_interval, signed
from bamkit.curate.audit import link_rot
from bamkit.curate.audit.balance import LabelCounts, balance, prevalence, top_labels, with_shares
from bamkit.curate.audit.comparison import (
    label_texts,
    largest_first,
    matched_with,
    said_of_auc,
    said_of_scores,
    told_apart,
    unbalanced,
)
from bamkit.curate.audit.domain import DomainTables
from bamkit.curate.report import plots
from bamkit.curate.report.builder import ReportBuilder
from bamkit.curate.select.matching.match import explain, worked

PAIRS = 6
"""How many pairs of domains are compared on the page."""
TOP = 16
"""How many attribute:label pairs are shown before the rest is folded into "others"."""
LICENCES = 7
"""How many licences have a colour of their own; the rest is folded into "others"."""


def share_texts(table: pd.DataFrame) -> Any:
    """`6.1 % [5.0, 7.4]` for each row of a table with share, low and high."""
    return list(map(percent_interval, table["share"], table["low"], table["high"]))


def labels(report: ReportBuilder, domains: Sequence[DomainTables], database: LabelCounts | None) -> None:
    """The attribute:label distribution of each domain's training set, as in the study, and the full table."""
    report.page.section(
        "What each domain holds",
        "The attribute:label pairs of each training set, as shares of all its positive and unsure labels; the rare "
        "ones are folded into “others”. What is frequent in one domain and rare in the other, a translator learns to "
        "paint.",
    )
    draw, parts = [], []
    for domain in domains:
        shares = report.keep(f"labels-{domain.name}", prevalence(domain.split("train"), database))
        top = report.keep(f"labels-top-{domain.name}", top_labels(shares, TOP))
        title = f"{domain.name} · {domain.split('train').num_rows:,} images"
        draw.append(partial(plots.label_bars, top=top, title=title))
        first = ", ".join(f"{row['pair']} {percent(row['share'], 0)}" for row in top[:4].to_dict("records"))
        parts.append((plots.single(draw[-1], (4.6, 4.7)), f"Bar chart of the labels of {domain.name}: {first}."))
    whole = plots.panels(draw, min(2, len(draw)), (5.2, 4.7))
    report.panels("labels", whole, parts, "Whiskers are 95 % Wilson intervals.")
    for domain in domains:
        shares = report.tables[f"labels-{domain.name}"]
        shown = shares[["attribute", "label"]].assign(images=shares["count"], **{"share [95 %]": share_texts(shares)})
        if database:
            shown["lift over database"] = shares["lift"].round(2)
        report.page.details(f"All labels of {domain.name}", shown[shares["n"] > 0])


def balances(report: ReportBuilder, domains: Sequence[DomainTables], database: LabelCounts | None) -> None:
    """What tells each pair of domains apart besides the emotion."""
    report.page.section(
        "Balance between domains",
        "Whatever differs here besides the emotion is a confounder: the translator cannot know that it was not meant. "
        f"Differences within ±{BALANCED} standard deviations are customarily called balanced.",
    )
    pairs = _pairs(domains)
    for a, b in pairs[:PAIRS]:
        if len(domains) > 2:
            report.page.heading(f"{a.name} and {b.name}")
        _balance(report, a, b, database)
    if len(pairs) > PAIRS:
        report.page.text(
            f"{len(pairs) - PAIRS} more pairs of domains are not shown; `bamkit balance A B` compares any two."
        )


def _pairs(domains: Sequence[DomainTables]) -> list[tuple[DomainTables, DomainTables]]:
    """The pairs a translator could be trained on: those of two emotions, or all if there is but one."""
    pairs = list(combinations(domains, 2))
    return [(a, b) for a, b in pairs if a.ranked_by != b.ranked_by] or pairs


def _balance(report: ReportBuilder, a: DomainTables, b: DomainTables, database: LabelCounts | None) -> None:
    names = (a.name, b.name)
    pair = f"{a.name}-{b.name}"
    left, right = a.split("train"), b.split("train")
    compared = balance(left, right, database)
    report.keep(f"balance-labels-{pair}", compared.labels)
    report.keep(f"balance-scores-{pair}", compared.scores)
    worst = ", ".join(
        f"{plots.words(r['attribute'])} ({signed(r['smd'])})" for r in unbalanced(compared)[:3].to_dict("records")
    )
    auc = told_apart(left, right)
    sentence = said_of_auc(auc)
    sentences = [f"{said_of_scores(compared)}; most of all {worst}." if worst else f"{said_of_scores(compared)}."]
    sentences += [f"{sentence[0].upper()}{sentence[1:]}."] if sentence else []
    if auc[1] > 0.55 and not matched_with(a, b) and not matched_with(b, a):
        sentences.append(f"`bamkit select --match {a.name}` chooses a domain matched on content and media.")
    report.page.text(" ".join(sentences))
    smd = compared.scores.set_index("attribute")["smd"][list(NOT_EMOTION)]
    figure = plots.single(partial(plots.shifts, smd=smd, names=names), (5.2, 4.4))
    alt = f"Standardised mean differences of content and media scores between {a.name} and {b.name}. {worst}"
    drawings = [(report.keep_figure(f"balance-{pair}", figure), alt)]
    caption = f"Differences of mean scores in standard deviations; the band is ±{BALANCED}."
    positive = compared.labels[compared.labels["label"] == "positive"]
    shown = positive[positive["attribute"].isin(NOT_EMOTION) & (positive["count_a"] + positive["count_b"] > 0)]
    if len(shown):
        order = (shown["share_b"] - shown["share_a"]).sort_values(kind="stable").index
        figure = plots.single(
            partial(plots.dumbbells, rows=shown.loc[order], names=names), (5.2, 0.7 + 0.28 * len(shown))
        )
        alt = f"Prevalence of each positive content and media label in {a.name} and in {b.name}."
        drawings.append((report.keep_figure(f"prevalence-{pair}", figure), alt))
        caption += " Beside them, how often each label is positive in either domain."
    report.page.figures(drawings, caption)
    texts = label_texts(positive, names, database is not None)
    report.page.details(f"Prevalence and differences, {a.name} and {b.name}", texts)


def matched(report: ReportBuilder, domains: Sequence[DomainTables]) -> None:
    """What matching did, for each domain that was matched with another one."""
    for domain in domains:
        result = domain.about.get("match")
        if not result:
            continue
        target = str(domain.about.get("query", {}).get("match", "the other domain"))
        report.page.section(f"How {domain.name} was matched")
        sentences = [f"{line[0].upper()}{line[1:]}." for line in explain(result, target)]
        report.page.text(" ".join(sentences if worked(result) else sentences[:-1]))
        if not worked(result):
            report.page.note(sentences[-1])
        smd = pd.DataFrame(result["smd"], index=["before", "after"], dtype=float).T.fillna(0.0)
        names = (domain.name, target)
        if _earlier(target, domain, domains):  # the sign of the chart of the balance above
            smd, names = -smd, (target, domain.name)
        figure = plots.single(partial(plots.shifts, smd=smd["after"], names=names, before=smd["before"]), (5.2, 4.4))
        alt = f"Differences of content and media scores between {domain.name} and {target} before and after matching."
        caption = "Filled: the matched domain; hollow: the ranks that would have been taken without matching."
        report.figure(f"matched-{domain.name}", figure, alt, caption)


def _earlier(target: str, domain: DomainTables, domains: Sequence[DomainTables]) -> bool:
    """Whether `target` stands before `domain` in the report, or in the alphabet where it is not in it."""
    order = [each.name for each in domains]
    return order.index(target) < order.index(domain.name) if target in order else target < domain.name


def lost_links(report: ReportBuilder, domains: Sequence[DomainTables]) -> None:
    """What could not be had, and what that did to the training sets."""
    fetched = [domain for domain in domains if domain.fetched]
    report.page.section("Link rot")
    if not fetched:
        report.page.text("Nothing was fetched yet: `bamkit fetch` downloads the selections of this workspace.")
        return
    tables = {d.name: report.keep(f"outcomes-{d.name}", link_rot.outcomes(d)) for d in fetched}
    every = pd.concat(tables, names=["domain"]).reset_index("domain")
    stand_ins = ", ".join(f"{link_rot.replaced(domain):,} in {domain.name}" for domain in fetched)
    report.page.text(
        f"Of the addresses tried, these were had and these were not. Images that stand in for a lost one, taken from "
        f"the reserve in rank order: {stand_ins}."
    )
    refused = every[every["share"].isna()]
    if len(refused):
        report.page.text(
            f"{refused['count'].sum():,} were refused by bamkit itself ({', '.join(sorted(set(refused['outcome'])))}): "
            "that says nothing against the link, so they have no share and do not count as tried."
        )
    shown = every[["domain", "outcome"]].assign(images=every["count"], of=every["n"])
    shown["share [95 %]"] = share_texts(every)
    report.page.table(shown, caption="Outcomes of the addresses tried, with 95 % Wilson intervals")
    shifted = [(domain, change) for domain in fetched if (change := link_rot.changed(domain)) is not None]
    for domain, change in shifted:
        report.keep(f"obtained-{domain.name}", change)
    if shifted:
        caption = "The obtained training set against the requested one (shifts in standard deviations)"
        rows = pd.DataFrame([_shift(domain, change) for domain, change in shifted])
        report.page.table(rows, caption=caption)
    for domain, change in shifted:
        means = {side: change[side].map("{:.2f}".format) for side in ("requested", "obtained")}
        texts = change.assign(smd=change["smd"].map(signed), **means)
        report.page.details(f"Mean scores of {domain.name}, requested and obtained", texts)


def _shift(domain: DomainTables, change: pd.DataFrame) -> dict[str, object]:
    largest = largest_first(change).iloc[0]
    ranked = change[change["attribute"] == domain.ranked_by]
    means = {
        f"mean score {side}": f"{ranked[side].iloc[0]:.2f}" if len(ranked) else None
        for side in ("requested", "obtained")
    }
    return {
        "domain": domain.name,
        "largest shift": f"{plots.words(largest['attribute'])} {signed(largest['smd'])}",
        "shifts beyond ±0.1": int((change["smd"].abs() > BALANCED).sum()),
        **means,
    }


def licences(
    report: ReportBuilder,
    domains: Sequence[DomainTables],
    database: Mapping[str, int] | None,
    mature: tuple[int, int] | None,
) -> None:
    """Licences and the share of mature images, of the database and of each domain's training set."""
    of = {"database": pd.Series(database, dtype=int).rename({"": "none"})} if database else {}
    flags = {"database": mature} if mature else {}
    for domain in domains:
        train = domain.split("train")
        of[domain.name] = train["license"].to_pandas().fillna("none").replace("", "none").value_counts()
        flags[domain.name] = (pc.sum(train["mature"]).as_py() or 0, train.num_rows - train["mature"].null_count)
    report.page.section("Licences and mature images")
    if of:
        counted = pd.concat(
            {name: counts.groupby(level=0).sum() for name, counts in of.items()}, names=["of", "license"]
        )
        report.keep("licenses", counted.rename("images").reset_index())
        images = counted.unstack().loc[list(of)]
        common = images.sum().sort_index().sort_values(ascending=False, kind="stable").index[:LICENCES]
        folded = images[common]
        if len(images.columns) > LICENCES:
            folded = folded.assign(others=images.drop(columns=common).sum(axis=1))
        shares = folded.div(folded.sum(axis=1), axis=0)
        figure = plots.single(partial(plots.stacked, shares=shares), (5.2, 1.5 + 0.38 * len(shares)))
        alt = "Shares of the licences: " + "; ".join(f"{of}: {_first(row)}" for of, row in shares.iterrows())
        report.figure("licenses", figure, alt)
    table = pd.DataFrame([(of, *flag) for of, flag in flags.items()], columns=["of", "mature", "n"])
    report.keep("mature", table)
    shares = with_shares(table.rename(columns={"mature": "count"}))
    shown = table.rename(columns={"n": "images"}).assign(**{"share [95 %]": share_texts(shares)})
    report.page.table(shown, caption="Images flagged as mature content")


def _first(shares: pd.Series) -> str:
    """The three largest shares in words."""
    largest = shares.dropna().sort_values(ascending=False, kind="stable")[:3]
    return ", ".join(f"{name} {percent(share, 0)}" for name, share in largest.items())


def title_of(domains: Sequence[DomainTables]) -> str:
    """`happy`, `happy and scary`, `gloomy, happy and scary`."""
    *first, last = [domain.name for domain in domains]
    return " and ".join([", ".join(first), last] if first else [last])
