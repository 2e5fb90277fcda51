"""What a user of an exported dataset should know, in the words of Croissant's responsible-AI fields (RAI 1.0).

Everything is filled from the data: how it was chosen, what tells the domains apart besides what they were chosen for,
how labels agree with the crowd, what could not be had, whose pictures these are. Figures have their n and interval.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from bamkit.common import statistics
from bamkit.common.contract import short
from bamkit.common.statistics import BALANCED, Estimate
from bamkit.curate.audit.balance import compare_labels, prevalence
from bamkit.curate.audit.domain import of_split
from bamkit.curate.database.crowd import CAVEAT
from bamkit.curate.export.source import Source

SHOWN = 8
"""Labels named of each domain or pair."""
SCORES_NOTE = "Scores are log-probability-like and at most 0; labels of classifiers follow from them by thresholds."
AUTHORS_PRECISION = "The authors of the database state a precision of 90 % for automatic positive labels."
TRAINING = "Training and testing translation between the domains, and classifying their attributes."
LIMITS = (
    "The pictures were cut or squashed to one size: what shows only at full size is lost.",
    "Pictures of one project look alike: keep a project out of the test set where it is in the training set.",
)
RANKED = "The domains are the top of a classifier's ranking, no random draw of what people upload, make or feel."
SOCIAL = (
    "The labels say what classifiers and crowd workers saw in pictures, not what their authors meant or anybody "
    "felt. What is learned from them repeats who uploads to Behance, and what its classifiers take for an emotion."
)


def responsible(sources: Sequence[Source], crowd: pd.DataFrame | None) -> dict[str, Any]:
    """The fields by name. `crowd`: Crowd.agreement of the database behind the sources, where it is known."""
    ranked = _ranked(sources)
    return {
        "rai:dataCollection": " ".join(map(_chosen, sources)),
        "rai:dataCollectionType": ["Web Scraping", "Secondary Data Analysis"],
        "rai:dataCollectionMissingData": " ".join(map(_missing, sources)),
        "rai:dataCollectionRawData": "The files at the addresses in `src`; `original_sha256` names their bytes.",
        "rai:dataImputationProtocol": "No value was imputed; labels and scores that the database lacks are empty.",
        "rai:dataPreprocessingProtocol": [_built(source) for source in sources],
        "rai:dataAnnotationProtocol": [*map(_labels, sources), SCORES_NOTE],
        "rai:dataAnnotationAnalysis": [AUTHORS_PRECISION, *agreement_with_crowd(crowd, ranked)],
        "rai:annotationsPerItem": "One label and one score for each of the 20 attributes, where the database has them.",
        "rai:machineAnnotationTools": ["The classifiers of the database's authors; bamkit adds no label."],
        "rai:dataBiases": [*map(_common, sources), *_confounders(sources)],
        "rai:dataUseCases": [TRAINING],
        "rai:dataLimitations": [*LIMITS, *([RANKED] if ranked else []), *map(_licences, sources)],
        "rai:dataSocialImpact": SOCIAL,
        "rai:personalSensitiveInformation": [_sensitive(source) for source in sources],
    }


def _rows(source: Source) -> list[dict[str, Any]]:
    return [row for rows in source.table_rows.values() for row in rows]


def _train(source: Source) -> pa.Table:
    """The training rows that are exported; all rows where none is for training."""
    rows = source.domain.rows
    kept = [source.kept(row) for row in rows.select(["mid", "src", "license"]).to_pylist()]
    rows = rows.filter(pa.array(kept, pa.bool_()))
    train = of_split(rows, "train")
    return train if train.num_rows else rows


def _share(hits: Iterable[bool], projects: Iterable[Any] = ()) -> str:
    """`12 of 345 (3.5 % [2.0 %, 6.0 %])`, with Wilson's 95 % interval, clustered by project where these are given."""
    cases = np.array(list(hits), dtype=bool)
    return told_share(int(cases.sum()), statistics.share(cases, statistics.clusters_of(list(projects))))


def told_share(count: int, estimate: Estimate) -> str:
    return f"{count:,} of {estimate.n:,}" + (f" ({percent(estimate)})" if estimate.n else "")


def percent(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.1f} % [{100 * estimate.low:.1f} %, {100 * estimate.high:.1f} %]"


def _chosen(source: Source) -> str:
    about, rows = source.domain.about, _rows(source)
    projects = len({row["project_id"] for row in rows})
    text = f"{source.name}: {len(rows):,} images of {projects:,} projects"
    if query := {key: value for key, value in (about.get("query") or {}).items() if value not in (None, "", [])}:
        text += f", chosen from the Behance Artistic Media database by the query {json.dumps(query, sort_keys=True)}"
    if fingerprint := (about.get("database") or {}).get("fingerprint"):
        text += f" (fingerprint of the database: {fingerprint})"
    ids = [f"{key} {about[key]}" for key in ("selection_id", "split_id") if about.get(key)]
    return f"{text}; {', '.join(ids)}." if ids else f"{text}."


def _missing(source: Source) -> str:
    lost = source.domain.missing
    if lost is None:
        return f"{source.name}: the pictures were not fetched."
    reasons = Counter(str(reason) for reason in lost["reason"].to_pylist())
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(f"{count:,} {reason}" for reason, count in ordered)
    replaced = sum(row.get("replaces") is not None for row in _rows(source))
    known = [True] * lost.num_rows + [False] * source.domain.rows.num_rows
    told = f"{source.name}: {_share(known)} images could not be had" + (f" ({named})" if named else "")
    return f"{told}; {replaced:,} of the places were filled with the next ranks."


def _built(source: Source) -> str:
    build = source.domain.about.get("build") or {}
    told = ", ".join(f"{key} {value}" for key, value in sorted(build.items()))
    return f"{source.name}: {told or 'nothing was changed'}."


def _labels(source: Source) -> str:
    labels = source.domain.about.get("labels") or {}
    origin = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in sorted(labels.items()))
    return f"{source.name}: labels as the database gives them" + (f" ({origin})." if origin else ".")


def _ranked(sources: Sequence[Source]) -> list[str]:
    return [name for name in dict.fromkeys(source.domain.ranked_by for source in sources) if name]


def agreement_with_crowd(crowd: pd.DataFrame | None, attributes: Sequence[str] = ()) -> list[str]:
    """How the scores agree with the crowd: the named attributes, or all; see database/crowd.py."""
    if crowd is None:
        return ["Agreement with the crowd is not known here: bamkit report measures it on the database."]
    texts = []
    for row in crowd.to_dict("records"):
        if attributes and row["attribute"] not in attributes:
            continue
        precision = Estimate(row["precision"], row["precision_low"], row["precision_high"], row["predicted"])
        area = Estimate(row["auc"], row["auc_low"], row["auc_high"], row["n"])
        told = f"no crowd-labelled image has a score above {row['threshold']:g}"
        if row["predicted"]:
            told = f"of {row['predicted']:,} crowd-labelled images with a score above {row['threshold']:g}, "
            told += f"{percent(precision)} are positive to the crowd"
        texts.append(f"{short(row['attribute'])}: {told}; AUC {area} (n {row['n']:,}, chance 0.5).")
    return [*texts, CAVEAT] if texts else ["The crowd labelled no image for the attributes of the rankings."]


def _common(source: Source) -> str:
    """The labels that go together with the choice."""
    shares = prevalence(_train(source))
    shares = shares[(shares["label"] == "positive") & (shares["count"] > 0)]
    shares = shares.sort_values(["count", "attribute"], ascending=[False, True])[:SHOWN]
    named = [
        f"{short(row['attribute'])} "
        + told_share(row["count"], Estimate(row["share"], row["low"], row["high"], row["n"]))
        for row in shares.to_dict("records")
    ]
    return f"{source.name}, positive labels: {'; '.join(named) or 'none'}."


def _confounders(sources: Sequence[Source]) -> list[str]:
    """What tells two domains apart besides what they were chosen for, of every pair."""
    texts = []
    for a, b in combinations(sources, 2):
        both = compare_labels(_train(a), _train(b))
        both = both[(both["label"] == "positive") & (both["smd"].abs() >= BALANCED)]
        both = both[~both["attribute"].isin(_ranked([a, b]))]
        both = both.reindex(both["smd"].abs().sort_values(ascending=False, kind="stable").index)[:SHOWN]
        named = [
            f"{short(row['attribute'])} {100 * row['share_a']:.1f} % against {100 * row['share_b']:.1f} % (difference "
            f"{100 * row['difference']:.1f} [{100 * row['difference_low']:.1f}, {100 * row['difference_high']:.1f}] "
            f"points, n {row['n_a']:,} and {row['n_b']:,})"
            for row in both.to_dict("records")
        ]
        told = "; ".join(named) or f"no other label by a standardised difference of {BALANCED:g} or more"
        texts.append(f"What tells {a.name} from {b.name} besides: {told}.")
    return texts


def _licences(source: Source) -> str:
    rows = _rows(source)
    projects = [row["project_id"] for row in rows]
    licences = [source.licence_of(row["license"]) for row in rows]
    free = _share((licence.allowed for licence in licences), projects)
    commercial = _share(("non-commercial" in licence.conditions for licence in licences), projects)
    return (
        f"{source.name}: every picture keeps its own licence (attribution.csv). {free} may be passed on in this form "
        f"by the wording of their licence; {commercial} are for non-commercial use."
    )


def _sensitive(source: Source) -> str:
    rows = _rows(source)
    mature = _share((bool(row["mature"]) for row in rows), [row["project_id"] for row in rows])
    known = [row for row in rows if row["content_people"] is not None]
    positive = _share((row["content_people"] == "positive" for row in known), [row["project_id"] for row in known])
    people = f"{positive} are labelled as showing people" if known else "whether people are shown is not labelled"
    return f"{source.name}: {mature} are marked as mature content; {people}. Nothing was made anonymous."
