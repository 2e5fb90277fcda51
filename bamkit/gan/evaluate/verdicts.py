"""What the judges say: is the emotion reached, by colour and form or by form alone, and is the content still there?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bamkit.common.statistics import subset
from bamkit.gan.evaluate.estimates import REAL, Row, mean_row, share_row
from bamkit.gan.evaluate.measures import (
    FORM,
    IDENTITY,
    JUDGE,
    METHODS,
    SECOND,
    TRANSFER,
    TRANSLATION,
    ImageSet,
    Measured,
)
from bamkit.gan.judge.model import Judge

if TYPE_CHECKING:
    from bamkit.common.statistics.clusters import Clusters


@dataclass(frozen=True)
class Verdict:
    """What the judges say of a set of pictures about the target."""

    by: Mapping[str, np.ndarray]
    """By judge that knows the target, (n,) its probability at even odds; the JUDGE is always among them."""
    projects: Clusters
    """(n,) the number of each picture's project; None where none is known."""

    @property
    def reached(self) -> np.ndarray:
        """(n,) bool: the target has a probability of 1/2 or more by every judge that sees colour and form."""
        seen = [self.by[name] >= 0.5 for name in (JUDGE, SECOND) if name in self.by]
        return np.asarray(np.logical_and.reduce(seen))

    def says(self, judge: str) -> np.ndarray:
        """(n,) bool: that judge's own verdict."""
        return self.by[judge] >= 0.5


def verdicts(measured: Measured, real: ImageSet, judges: Mapping[str, Judge]) -> dict[str, Verdict]:
    """The verdicts by method, and of the target's `real` test pictures under REAL; {} if no JUDGE knows the target."""
    target = measured.direction.target.attribute
    if JUDGE not in judges or target not in judges[JUDGE].attributes:
        return {}
    sets = {method: measured.images[method] for method in METHODS} | ({REAL: real} if len(real) else {})
    return {name: verdict_of(images, target, judges) for name, images in sets.items()}


def verdict_of(images: ImageSet, target: str | None, judges: Mapping[str, Judge]) -> Verdict:
    """What the judges that know the target say of a set of pictures."""
    columns = {name: judge.attributes.index(target) for name, judge in judges.items() if target in judge.attributes}
    return Verdict({judge: _of(images, judge)[:, column] for judge, column in columns.items()}, images.projects)


def _of(images: ImageSet, judge: str = JUDGE) -> np.ndarray:
    probabilities = images.judged(judge)
    if probabilities is None:
        raise ValueError("nothing was judged")
    return probabilities


def emotion_reached(
    measured: Measured, verdict: Mapping[str, Verdict], attributes: Sequence[str], labelled: Mapping[str, np.ndarray]
) -> list[Row]:
    """Share judged as the target, paired change of its probability, and both by content.

    `attributes` are the JUDGE's, in the order of its probabilities; `labelled` says by content attribute which source
    pictures BAM labels positive, (n,) bool. [] where there is no verdict.
    """
    name, target, projects = measured.direction.name, measured.direction.target.attribute, measured.projects
    if not verdict or target is None:
        return []
    rows = [
        share_row(found.reached, found.projects, "reached", name, method, attribute=target)
        for method, found in verdict.items()
    ]
    rows += _by_judge(verdict, name, target)
    before, after = verdict[IDENTITY], verdict[TRANSLATION]
    for method in (TRANSFER, TRANSLATION):
        change = verdict[method].by[JUDGE] - before.by[JUDGE]
        rows.append(mean_row(change, projects, "probability change", name, method, attribute=target))
    source = measured.direction.source.attribute
    if source in attributes:
        index = attributes.index(source)
        for method in METHODS:
            more = verdict[method].by[JUDGE] > _of(measured.images[method])[:, index]
            rows.append(share_row(more, projects, "more target than source", name, method, attribute=target))
    change = after.by[JUDGE] - before.by[JUDGE]
    for content, chosen in labelled.items():
        if chosen.any():
            own = subset(projects, chosen)
            hits = after.reached[chosen]
            rows.append(share_row(hits, own, "reached with content", name, TRANSLATION, attribute=content))
            metric = "probability change with content"
            rows.append(mean_row(change[chosen], own, metric, name, TRANSLATION, attribute=content))
    return rows


def _by_judge(verdict: Mapping[str, Verdict], name: str, target: str) -> list[Row]:
    """What each further judge says: the one of form alone, and the second, with its agreement with the first."""
    rows = []
    for method, found in verdict.items():
        if FORM in found.by:
            says = found.says(FORM)
            rows.append(share_row(says, found.projects, "reached by form", name, method, attribute=target))
        if SECOND in found.by:
            for judge, metric in ((JUDGE, "reached by the first judge"), (SECOND, "reached by the second judge")):
                rows.append(share_row(found.says(judge), found.projects, metric, name, method, attribute=target))
            same, note = found.says(JUDGE) == found.says(SECOND), f"Cohen's kappa {cohens_kappa(found):.2f}"
            rows.append(share_row(same, found.projects, "judges agree", name, method, attribute=target, note=note))
    return rows


def cohens_kappa(found: Verdict) -> float:
    """Agreement of the two judges beyond chance; nan where both give one answer to all. Source: Cohen 1960."""
    first, second = found.says(JUDGE), found.says(SECOND)
    agreed = float((first == second).mean())
    chance = float(first.mean() * second.mean() + (~first).mean() * (~second).mean())
    return (agreed - chance) / (1 - chance) if chance < 1 else float("nan")


def content_survives(measured: Measured, attributes: Sequence[str], reliable: Sequence[str]) -> list[Row]:
    """Are the flowers still there, were new ones painted in: by the judge, for each content attribute and in all.

    `content survives`: of the pictures judged to show it before, the share that still does; `painted in`: of those
    that did not, the share that does now. Only attributes in `reliable` are counted: those the judge tells apart.
    """
    name, rows = measured.direction.name, []
    known = [(i, a) for i, a in enumerate(attributes) if a.startswith("content_") and a in reliable]
    if not known:
        return []
    projects = np.arange(len(measured)) if measured.projects is None else measured.projects
    before = _of(measured.images[IDENTITY]) >= 0.5
    for method in (TRANSFER, TRANSLATION):
        after = _of(measured.images[method]) >= 0.5
        for metric, there in (("content survives", before), ("painted in", ~before)):
            pooled, clusters = [], []
            for index, attribute in known:
                chosen = there[:, index]
                pooled.append(after[chosen, index])
                clusters.append(projects[chosen])
                if method == TRANSLATION and chosen.any():
                    own = None if measured.projects is None else clusters[-1]
                    rows.append(share_row(pooled[-1], own, metric, name, method, attribute=attribute))
            note = "all content attributes pooled: cases are (picture, attribute) pairs"
            # Pairs of one picture are alike: without known projects each picture is a cluster.
            rows.append(share_row(np.concatenate(pooled), np.concatenate(clusters), metric, name, method, note=note))
    return rows
