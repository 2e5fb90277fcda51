"""The dataset card: a YAML head that Hugging Face reads and Markdown for people, filled from the data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

import bamkit
from bamkit.common.pages.cards import render
from bamkit.curate.audit.balance import prevalence
from bamkit.curate.export.source import Source

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
COMMON = 12
"""Labels shown for each domain."""

CITATION = """@inproceedings{wilber2017bam,
  title = {BAM! The Behance Artistic Media Dataset for Recognition Beyond Photography},
  author = {Wilber, Michael J. and Fang, Chen and Jin, Hailin and Hertzmann, Aaron and Collomosse, John and Belongie, Serge},
  booktitle = {IEEE International Conference on Computer Vision (ICCV)},
  year = {2017}
}"""  # noqa: E501


def card(sources: Sequence[Source], to: str) -> str:
    """README.md for an export of these sources in the format `to`."""
    total = sum(sum(source.counts.values()) for source in sources)
    licences = Counter(
        (row["license"] or "", source.licence_of(row["license"]))
        for source in sources
        for rows in source.table_rows.values()
        for row in rows
    )
    return render(
        "card.md.j2",
        to=to,
        version=bamkit.__version__,
        title=" and ".join(source.name for source in sources),
        names=[source.name for source in sources],
        size=next((name for limit, name in SIZES if total < limit), "1M<n<10M"),
        total=total,
        hub=sorted({licence.hub for _, licence in licences if licence.hub}),
        mixed=len(licences) > 1 or any(not licence.hub for _, licence in licences),
        licences=[
            {"text": text or "none", "images": count, "allowed": licence.allowed, "reason": licence.reason,
             "url": licence.url, "spdx": licence.spdx, "conditions": ", ".join(licence.conditions)}
            for (text, licence), count in sorted(licences.items(), key=lambda item: (-item[1], item[0][0]))
        ],
        domains=[_domain(source) for source in sources],
        citation=CITATION,
    )  # fmt: skip


def _domain(source: Source) -> dict[str, Any]:
    about, rows = source.domain.about, source.table_rows
    everything = [row for part in rows.values() for row in part]
    build = about.get("build")
    missing = source.domain.missing
    return {
        "name": source.name,
        "splits": [{"name": split, "images": len(part), "ranks": _ranks(part)} for split, part in rows.items() if part],
        "fetched": source.domain.fetched,
        "missing": missing.num_rows if missing is not None else 0,
        "replaced": sum(row.get("replaces") is not None for row in everything),
        "mature": sum(bool(row["mature"]) for row in everything),
        "projects": len({row["project_id"] for row in everything}),
        "images": len(everything),
        "ids": {key: about[key] for key in ("selection_id", "split_id") if about.get(key)},
        "query": json.dumps(about["query"], ensure_ascii=False, sort_keys=True) if about.get("query") else "",
        "fingerprint": (about.get("database") or {}).get("fingerprint", ""),
        "build": ", ".join(f"{key} {value}" for key, value in sorted(build.items())) if build else "",
        "labels": _labels(rows.get("train") or everything),
        "paths": {split: f"{source.name}/{split}-*.parquet" for split in source.splits},
    }


def _ranks(rows: list[dict[str, Any]]) -> str:
    """`1 to 1,000`."""
    ranks = [row["rank"] for row in rows if row["rank"] is not None]
    return f"{min(ranks):,} to {max(ranks):,}" if ranks else ""


def _labels(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The most common pairs but `negative`: their share of the images that are labelled for the attribute."""
    shares = prevalence(pa.Table.from_pylist(rows))
    shares = shares[(shares["label"] != "negative") & (shares["count"] > 0)]
    shares = shares.sort_values(["count", "attribute", "label"], ascending=[False, True, True])[:COMMON]
    return [
        {
            "label": f"{row['attribute']}:{row['label']}",
            "images": f"{row['count']:,} of {row['n']:,}",
            "share": f"{100 * row['share']:.1f} %",
            "interval": f"{100 * row['low']:.1f} to {100 * row['high']:.1f} %",
        }
        for row in shares.to_dict("records")
    ]
