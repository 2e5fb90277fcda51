"""The report's sections on domains: labels, balance, link rot, licences, contact sheets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

from bamkit.common import statistics, tables
from bamkit.common.contract import EMOTION, NOT_EMOTION
from bamkit.common.statistics import BALANCED
from bamkit.curate.audit import link_rot as obtained
from bamkit.curate.audit.balance import LabelCounts, balance, prevalence, top_labels
from bamkit.curate.audit.domain import DomainTables
from bamkit.curate.report import plots
from bamkit.curate.report.builder import ReportBuilder, number_interval, percent, percent_interval, signed
from bamkit.curate.select.matching.confounders import features, separability
from bamkit.curate.select.matching.match import explain, worked

if TYPE_CHECKING:
    import pyarrow as pa

PAIRS = 6
"""How many pairs of domains are compared on the page."""
TOP = 16
"""How many attribute:label pairs are shown before the rest is folded into "others"."""


def labels(report: ReportBuilder, domains: Sequence[DomainTables], database: LabelCounts | None) -> None:
    """The attribute:label distribution of each domain's training set, as in the study, and the full table."""
    page = report.page
    page.section(
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
        draw.append(lambda axes, top=top, title=title: plots.label_bars(axes, top, title))
        parts.append((plots.single(draw[-1], (4.6, 4.7)), _say_labels(domain.name, top)))
    whole = plots.panels(draw, min(2, len(draw)), (5.2, 4.7))
    caption = "Whiskers are 95 % Wilson intervals."
    report.panels("labels", whole, parts, caption)
    for domain in domains:
        rows = [_label_row(row) for row in report.tables[f"labels-{domain.name}"].to_pylist() if row["n"]]
        page.details(f"All labels of {domain.name}", rows)


def _say_labels(name: str, top: pa.Table) -> str:
    first = ", ".join(f"{row['pair']} {percent(row['share'], 0)}" for row in top.to_pylist()[:4])
    return f"Bar chart of the labels of {name}: {first}."


def _label_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "attribute": row["attribute"],
        "label": row["label"],
        "images": row["count"],
        "share [95 %]": percent_interval(row["share"], row["low"], row["high"]),
        "lift over database": row["lift"] if row["lift"] is None else round(row["lift"], 2),
    }


def balances(report: ReportBuilder, domains: Sequence[DomainTables], database: LabelCounts | None) -> None:
    """What tells each pair of domains apart besides the emotion."""
    page = report.page
    page.section(
        "Balance between domains",
        "Whatever differs here besides the emotion is a confounder: the translator cannot know that it was not meant. "
        f"Differences within ±{BALANCED} standard deviations are customarily called balanced.",
    )
    pairs = _pairs(domains)
    for a, b in pairs[:PAIRS]:
        if len(domains) > 2:
            page.heading(f"{a.name} and {b.name}")
        _balance(report, a, b, database)
    if len(pairs) > PAIRS:
        page.text(f"{len(pairs) - PAIRS} more pairs of domains are not shown; `bamkit balance A B` compares any two.")


def _pairs(domains: Sequence[DomainTables]) -> list[tuple[DomainTables, DomainTables]]:
    """The pairs a translator could be trained on: those of two emotions, or all if there is but one."""
    pairs = list(combinations(domains, 2))
    return [(a, b) for a, b in pairs if a.ranked_by != b.ranked_by] or pairs


def _balance(report: ReportBuilder, a: DomainTables, b: DomainTables, database: LabelCounts | None) -> None:
    names = (a.name, b.name)
    found = balance(a.split("train"), b.split("train"), database)
    pair = f"{a.name}-{b.name}"
    report.keep(f"balance-labels-{pair}", found.labels)
    scores = report.keep(f"balance-scores-{pair}", found.scores).to_pylist()
    confounders = sorted((r for r in scores if r["attribute"] in NOT_EMOTION), key=lambda r: -_size(r["smd"]))
    beyond = [row for row in confounders if _size(row["smd"]) > BALANCED]
    worst = ", ".join(f"{plots.words(row['attribute'])} ({signed(row['smd'])})" for row in beyond[:3])
    value, low, high = separability(features(a.split("train")), features(b.split("train")))
    said = f"{len(beyond)} of the {len(NOT_EMOTION)} content and media scores differ by more than {BALANCED}"
    said += f"; most of all {worst}. " if beyond else ". "
    if not math.isnan(value):
        said += "A classifier that sees these scores only tells the two domains apart with an AUC of "
        said += f"{number_interval(value, low, high)}; 0.5 or less is chance. "
        if low > 0.55:
            said += f"`bamkit select --match {a.name}` chooses a domain that it cannot tell apart."
    report.page.text(said)
    smd = {row["attribute"]: row["smd"] for row in scores if row["attribute"] in NOT_EMOTION}
    figure = plots.single(lambda axes: plots.shifts(axes, smd, names), (7.6, 4.2))
    alt = f"Standardised mean differences of content and media scores between {a.name} and {b.name}. {worst}"
    report.figure(
        f"balance-{pair}",
        figure,
        alt,
        "Differences of mean scores in standard deviations; the band is ±0.1.",
        wide=True,
    )
    shown = [row for row in found.labels.to_pylist() if row["label"] == "positive" and row["attribute"] in NOT_EMOTION]
    shown = sorted((r for r in shown if r["count_a"] + r["count_b"]), key=lambda r: r["share_a"] - r["share_b"])[::-1]
    if shown:
        figure = plots.single(lambda axes: plots.dumbbells(axes, shown, names), (7.6, 0.7 + 0.28 * len(shown)))
        alt = f"Prevalence of each positive content and media label in {a.name} and in {b.name}."
        report.figure(f"prevalence-{pair}", figure, alt, "How often each label occurs on either side.", wide=True)
    rows = [_balance_row(row, names) for row in found.labels.to_pylist() if row["label"] == "positive"]
    report.page.details(f"Prevalence and differences, {a.name} and {b.name}", rows)


def _size(smd: float) -> float:
    return abs(smd) if smd == smd else 0.0


def _balance_row(row: Mapping[str, Any], names: tuple[str, str]) -> dict[str, Any]:
    low, high = 100 * row["difference_low"], 100 * row["difference_high"]
    known = row["n_a"] and row["n_b"]
    return {
        "positive": plots.words(row["attribute"]),
        names[0]: percent_interval(row["share_a"], row["low_a"], row["high_a"]),
        names[1]: percent_interval(row["share_b"], row["low_b"], row["high_b"]),
        "difference, points": f"{signed(100 * row['difference'], 1)} [{signed(low, 1)}, {signed(high, 1)}]"
        if known
        else "–",
        "SMD": signed(row["smd"]),
        f"lift {names[0]}": row["lift_a"],
        f"lift {names[1]}": row["lift_b"],
    }


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
        shifts = {when: {name: one[when] or 0.0 for name, one in result["smd"].items()} for when in ("before", "after")}
        figure = plots.single(
            lambda axes, s=shifts, n=(domain.name, target): plots.shifts(axes, s["before"], n, s["after"]), (7.6, 4.2)
        )
        alt = f"Differences of content and media scores between {domain.name} and {target} before and after matching."
        caption = "Filled: the ranks that would have been taken without matching; hollow: the matched domain."
        report.figure(f"matched-{domain.name}", figure, alt, caption, wide=True)


def link_rot(report: ReportBuilder, domains: Sequence[DomainTables]) -> None:
    """What could not be had, and what that did to the training sets."""
    fetched = [domain for domain in domains if domain.fetched]
    report.page.section("Link rot")
    if not fetched:
        report.page.text("Nothing was fetched yet: `bamkit fetch` downloads the selections of this workspace.")
        return
    rows = []
    for domain in fetched:
        table = report.keep(f"outcomes-{domain.name}", obtained.outcomes(domain))
        rows += [{"domain": domain.name, **_outcome_row(row)} for row in table.to_pylist()]
    stand_ins = ", ".join(f"{obtained.replaced(domain):,} in {domain.name}" for domain in fetched)
    report.page.text(
        f"Of the addresses tried, these were had and these were not. Images that stand in for a lost one, taken from "
        f"the reserve in rank order: {stand_ins}."
    )
    report.page.table(rows, caption="Outcomes of the addresses tried, with 95 % Wilson intervals")
    shifted = []
    for domain in fetched:
        change = obtained.changed(domain)
        if change is not None:
            report.keep(f"obtained-{domain.name}", change)
            shifted.append((domain, change))
    if shifted:
        caption = "The obtained training set against the requested one (shifts in standard deviations)"
        report.page.table([_shift_row(domain, change) for domain, change in shifted], caption=caption)
    for domain, change in shifted:
        rows = [{**row, "smd": signed(row["smd"], 3)} for row in change.to_pylist()]
        report.page.details(f"Mean scores of {domain.name}, requested and obtained", rows)


def _outcome_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "outcome": row["outcome"],
        "images": row["count"],
        "of": row["n"],
        "share [95 %]": percent_interval(row["share"], row["low"], row["high"]),
    }


def _shift_row(domain: DomainTables, change: pa.Table) -> dict[str, Any]:
    rows = sorted(change.to_pylist(), key=lambda row: -_size(row["smd"]))
    ranked = next((row for row in rows if row["attribute"] == domain.ranked_by), None)
    return {
        "domain": domain.name,
        "largest shift": f"{plots.words(rows[0]['attribute'])} {signed(rows[0]['smd'], 3)}",
        "shifts beyond ±0.1": sum(_size(row["smd"]) > BALANCED for row in rows),
        "mean score requested": ranked["requested"] if ranked else None,
        "mean score obtained": ranked["obtained"] if ranked else None,
    }


def licences(
    report: ReportBuilder,
    domains: Sequence[DomainTables],
    database: Mapping[str, int] | None,
    mature: tuple[int, int] | None,
) -> None:
    """Licences and the share of mature images, of the database and of each domain's training set."""
    counts: dict[str, Mapping[str, int]] = {"database": database} if database else {}
    flags: dict[str, tuple[int, int]] = {"database": mature} if mature else {}
    for domain in domains:
        train = domain.split("train")
        found = {one["values"] or "none": one["counts"] for one in train["license"].value_counts().to_pylist()}
        counts[domain.name] = found
        flags[domain.name] = (
            sum(v is True for v in train["mature"].to_pylist()),
            train.num_rows - train["mature"].null_count,
        )
    report.page.section("Licences and mature images")
    rows = [
        {"of": of, "license": license_, "images": n}
        for of, found in counts.items()
        for license_, n in sorted(found.items())
    ]
    report.keep("licenses", tables.from_rows(rows))
    totals: dict[str, int] = {}
    for found in counts.values():
        for license_, n in found.items():
            totals[license_] = totals.get(license_, 0) + n
    common = sorted(totals, key=lambda one: (-totals[one], one))[:7]
    bars = [(of, _folded(found, common)) for of, found in counts.items()]
    if bars:
        figure = plots.single(lambda axes: plots.stacked(axes, bars), (7.6, 1.5 + 0.38 * len(bars)))
        alt = "Shares of the licences: " + "; ".join(f"{of}: {_first(shares)}" for of, shares in bars)
        report.figure("licenses", figure, alt, wide=True)
    table = []
    for of, (count, n) in flags.items():
        found = statistics.wilson(count, n)
        table.append(
            {
                "of": of,
                "mature": count,
                "images": n,
                "share [95 %]": percent_interval(found.value, found.low, found.high),
            }
        )
    report.keep("mature", tables.from_rows([{"of": of, "mature": count, "n": n} for of, (count, n) in flags.items()]))
    report.page.table(table, caption="Images flagged as mature content")


def _folded(found: Mapping[str, int], common: Sequence[str]) -> dict[str, float]:
    total = sum(found.values()) or 1
    shares = {name: found[name] / total for name in common if found.get(name)}
    rest = sum(n for name, n in found.items() if name not in common)
    return shares | ({"others": rest / total} if rest else {})


def _first(shares: Mapping[str, float]) -> str:
    return ", ".join(
        f"{name} {percent(share, 0)}" for name, share in sorted(shares.items(), key=lambda item: -item[1])[:3]
    )


def emotions_of(domains: Sequence[DomainTables]) -> dict[str, list[DomainTables]]:
    """The domains that were ranked by each emotion."""
    found: dict[str, list[DomainTables]] = {f"emotion_{name}": [] for name in EMOTION}
    for domain in domains:
        if domain.ranked_by in found:
            found[domain.ranked_by].append(domain)
    return found


def title_of(domains: Sequence[DomainTables]) -> str:
    return (
        " and ".join([", ".join(d.name for d in domains[:-1]), domains[-1].name])
        if len(domains) > 1
        else domains[0].name
    )
