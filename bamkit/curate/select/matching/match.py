"""Choose a domain that resembles another one in everything but the emotion.

Each image of the target becomes an anchor, for which the ranked candidates are searched: first for one with the same
coarse content and media labels whose propensity is close (of several the surest by emotion), then for the closest one
with the same labels within a wider bound, then for the closest one whatever its labels. The propensity is the chance,
judged from the 16 content and media scores alone, that an image comes from the target; two sets that agree in it agree
in the distribution of all 16 scores (Rosenbaum and Rubin 1983, Biometrika 70:41). Then single images are exchanged for
others that fit their anchor as well, where that brings the means of the scores closer. Whether all this worked is put
to a test: a classifier that sees these scores only should no longer tell the two domains apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bamkit.common import statistics
from bamkit.common.contract import NOT_EMOTION, SPLITS
from bamkit.common.errors import BamkitError
from bamkit.common.statistics import BALANCED
from bamkit.curate.select.matching.confounders import coarse_labels, features, propensities, score_shift, separability
from bamkit.curate.select.matching.search import Matches, Search

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

MARGIN = 0.05
"""How far the share of positives of the domain's own attribute may fall below that of the unmatched top ranks: a match
may choose among the images that show the emotion, and may not weaken it."""
PATIENCE = 3
"""How many ever larger pools are tried without coming closer to balance."""
NEAR = 0.05
"""An AUC up to 0.5 + this is called near 0.5. It may fall below: where the means of two whole sets were made equal,
what tells them apart in four folds by chance points the other way in the fifth."""


class TooFewError(BamkitError):
    """Fewer candidates than places: more of them may help."""


@dataclass(frozen=True)
class MatchResult:
    """A matched domain."""

    chosen: pa.Table
    """The chosen candidates with `split` set, best rank first."""
    report: dict[str, Any]
    """Plain numbers, ready for JSON: how many were matched how, |SMD|, mean score and AUC before and after."""


def match(
    candidates: pa.Table, target: pa.Table, counts: Mapping[str, int], seed: int = 0, attribute: str = ""
) -> MatchResult:
    """Choose `counts[split]` candidates for each split so that they resemble the target's images of that split.

    `candidates` and `target` have the manifest's columns; `candidates` are ordered by rank, best first. The target's
    own images (mid or src) are never chosen. The reserve is filled as far as the candidates reach, all other splits
    wholly. Takes about 5 s for 100,000 candidates. Same arguments, same result.

    attribute: the domain's own, to keep what it stands for: no image that is negative for it is chosen, and outside the
    reserve the share of positives is at most MARGIN below that of the top ranks; "" for balance at any price.
    Raises TooFewError where there are too few candidates, and BamkitError where the target is empty, or all content and
    media scores lack.
    """
    ranked = _without(candidates, target)
    needed = sum(n for split, n in counts.items() if split != "reserve")
    if ranked.num_rows < needed:
        raise TooFewError(
            f"{ranked.num_rows:,} candidates cannot fill {needed:,} places (without the matched images)",
            _fewer(counts, ranked.num_rows),
        )
    plain = ranked.slice(0, needed)
    pool = ranked.filter(~_labelled(ranked, attribute, "negative")) if attribute else ranked
    if pool.num_rows < needed:
        raise TooFewError(
            f"only {pool.num_rows:,} of {ranked.num_rows:,} candidates are not {attribute}:negative, and {needed:,} "
            "places are to be filled",
            ", or ".join(filter(None, [_fewer(counts, pool.num_rows), "add --match-any to take negative ones"])),
        )
    positive, others = None, None
    if attribute:
        positive = _labelled(pool, attribute, "positive")
        least = math.ceil(float(_labelled(plain, attribute, "positive").sum()) - MARGIN * needed)
        others = needed - max(0, least)
    anchors, homes = _anchors(target, counts, np.random.default_rng(seed))
    ours, theirs = features(pool), features(target)
    near, far = propensities(theirs, ours, seed)
    search = Search(near[anchors], coarse_labels(target)[anchors], far, coarse_labels(pool), positive, others)
    matches = search.run(unbounded=needed)
    search.refine(matches, homes, theirs[anchors], ours)
    inside = matches.place >= 0
    order = np.argsort(matches.place[inside], kind="stable")
    chosen = _with_splits(pool, matches.place[inside][order], [SPLITS[home] for home in homes[inside][order]])
    report = _report(pool, plain, target, chosen, matches, (anchors, homes), seed)
    report["candidates"] = ranked.num_rows
    if attribute:
        kept = chosen.filter(np.array(chosen["split"].to_pylist()) != "reserve")
        report["positive"] = {
            "attribute": attribute,
            "before": int(_labelled(plain, attribute, "positive").sum()),
            "after": int(_labelled(kept, attribute, "positive").sum()),
            "others": int((~_labelled(ranked, attribute, "positive")).sum()),
        }
    return MatchResult(chosen, report)


def _labelled(rows: pa.Table, attribute: str, label: str) -> NDArray[np.bool_]:
    """bool (n,): which rows carry a label of an attribute."""
    return np.array([value == label for value in rows[attribute].to_pylist()], dtype=bool)


def _fewer(counts: Mapping[str, int], there: int) -> str:
    """What to ask for where only so many candidates are there; "" where there is none."""
    if not there:
        return ""
    top = there - sum(n for split, n in counts.items() if split not in ("train", "reserve"))
    return f"ask for --top {top}" if top >= 1 else f"ask for at most {there} with --top, --test and --validation"


def match_widening(
    pools: Iterable[pa.Table], target: pa.Table, counts: Mapping[str, int], seed: int = 0, attribute: str = ""
) -> MatchResult:
    """`match` among one pool after the other, each a longer head of the ranking, until the domains are balanced.

    Balanced: the AUC is near 0.5 (see `worked`) and no |SMD| of a content or media score is above 0.1, or above what
    two random draws of this size differ by. A small pool is preferred, since a larger one costs score; if none gives
    balance, or PATIENCE pools in a row come no closer, it is that of the pool which came closest. The report has one
    row a pool under `tries`.
    """
    tries: list[dict[str, Any]] = []
    best, least, since = None, (math.inf, math.inf), 0
    failure: BamkitError = TooFewError("there are no candidates to match")
    for pool in pools:
        try:
            result = match(pool, target, counts, seed, attribute)
        except TooFewError as error:
            failure = error  # perhaps not in a larger pool
            continue
        report, lack = result.report, _lack(result.report)
        tries.append(
            {
                "candidates": report["candidates"],
                "auc": report["auc"]["after"]["value"],
                "largest_smd": report["largest_smd"]["after"],
                "score": report["score"]["after"]["mean"],
            }
        )
        if best is None or lack < least:
            best, least, since = result, lack, 0
        else:
            since += 1
        if not any(lack) or since == PATIENCE:
            break
    if best is None:
        raise failure
    return MatchResult(best.chosen, {**best.report, "tries": tries})


def _lack(report: Mapping[str, Any]) -> tuple[float, float]:
    """How far a match is from balance, in AUC or else in |SMD|, so coarsely that chance does not count as progress;
    (0, 0) where it is balanced."""
    if not worked(report):
        return round(report["auc"]["after"]["value"] - 0.5, 2), math.inf
    tolerated = max(BALANCED, 2 * math.sqrt(2 / max(1, report["matched"])))
    beyond = (report["largest_smd"]["after"] or 0.0) - tolerated
    return 0.0, math.ceil(50 * beyond) / 50 if beyond > 0 else 0.0


def _without(candidates: pa.Table, target: pa.Table) -> pa.Table:
    import pyarrow.compute as pc

    same_mid = pc.is_in(candidates["mid"], value_set=target["mid"].combine_chunks())
    same_src = pc.is_in(candidates["src"], value_set=target["src"].combine_chunks())
    return candidates.filter(pc.invert(pc.or_(same_mid, same_src)))


def _anchors(
    target: pa.Table, counts: Mapping[str, int], random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the target to be matched, and the split (index into SPLITS) each is for, in the order of the search.

    A split takes the target's images of that split, of train where it has none; drawn evenly if the numbers differ.
    The order is random, so that no split has the first choice; the reserve comes last.
    """
    own = np.array([SPLITS.index(name) for name in target["split"].to_pylist()], dtype=np.int64)
    if not own.size:
        raise BamkitError("the selection to match is empty")
    rows, split_indices = [], []
    for index, split in enumerate(SPLITS):
        wanted = counts.get(split, 0)
        there = np.flatnonzero(own == (0 if split == "reserve" else index))
        there = there if there.size else np.flatnonzero(own == 0) if (own == 0).any() else np.arange(own.size)
        whole, rest = divmod(wanted, there.size)
        rows.append(np.concatenate([np.tile(there, whole), random.choice(there, rest, replace=False)]))
        split_indices.append(np.full(wanted, index))
    row, home = np.concatenate(rows).astype(np.int64), np.concatenate(split_indices).astype(np.int64)
    order = np.lexsort((random.permutation(home.size), home == SPLITS.index("reserve")))
    return row[order], home[order]


def _with_splits(pool: pa.Table, places: NDArray[np.int64], splits: list[str]) -> pa.Table:
    import pyarrow as pa

    chosen = pool.take(pa.array(places))
    return chosen.set_column(chosen.schema.get_field_index("split"), "split", pa.array(splits, pa.string()))


def _report(
    pool: pa.Table,
    plain: pa.Table,
    target: pa.Table,
    chosen: pa.Table,
    matches: Matches,
    anchors: tuple[NDArray[np.int64], NDArray[np.int64]],
    seed: int,
) -> dict[str, Any]:
    """Everything but the reserve, compared with the ranks that would have been taken without matching."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kept = chosen.filter(pc.not_equal(chosen["split"], "reserve"))
    rows, homes = anchors
    counted = (matches.place >= 0) & (homes != SPLITS.index("reserve"))
    likeness = target.take(pa.array(rows[counted]))
    partners = pool.take(pa.array(matches.place[counted]))
    shifts = {when: score_shift(side, likeness, NOT_EMOTION) for when, side in (("before", plain), ("after", kept))}
    sizes = {when: [abs(v) for v in shift.values() if math.isfinite(v)] for when, shift in shifts.items()}
    # An image of the target that was an anchor more than once holds all its partners in one fold.
    areas = {
        "before": separability(features(likeness), features(plain), seed),
        "after": separability(features(likeness), features(partners), seed, np.tile(rows[counted], 2)),
    }
    return {
        "matched": kept.num_rows,
        "same_labels": int((matches.exact & counted).sum()),
        "within_caliper": int((matches.close & counted).sum()),
        "smd": {name: {when: _round(shift[name]) for when, shift in shifts.items()} for name in NOT_EMOTION},
        "largest_smd": {when: _round(max(values, default=math.nan)) for when, values in sizes.items()},
        "mean_smd": {when: _round(float(np.mean(values)) if values else math.nan) for when, values in sizes.items()},
        "unbalanced": {when: sum(value > BALANCED for value in values) for when, values in sizes.items()},
        "score": {when: _mean(side["score"].to_numpy(), seed) for when, side in (("before", plain), ("after", kept))},
        "auc": {
            when: dict(zip(("value", "low", "high"), map(_round, area), strict=True)) for when, area in areas.items()
        },
    }


def _mean(values: NDArray[np.float64], seed: int) -> dict[str, float | None]:
    mean = statistics.bootstrap_mean(statistics.finite(values), seed=seed)
    return {"mean": _round(mean.value), "low": _round(mean.low), "high": _round(mean.high)}


def _round(value: float) -> float | None:
    """Six digits are what can be repeated on another machine; JSON has neither NaN nor infinity."""
    return round(float(value), 6) if math.isfinite(value) else None


def explain(report: Mapping[str, Any], name: str, more: str = "", filtered: bool = False) -> list[str]:
    """The report of a match with the selection `name` in sentences, the last one a warning where it did not work.

    more: how to look at more candidates than these, "" where there are none; filtered: whether a filter left any out.
    """
    auc, smd, score = report["auc"], report["largest_smd"], report["score"]
    line = (
        f"matched {report['matched']:,} images on {name}: told apart by content and media with AUC "
        f"{_text(auc['before']['value'])} before, {_text(auc['after']['value'])} after "
        f"[{_text(auc['after']['low'])}, {_text(auc['after']['high'])}] (at most {0.5 + NEAR:g} passes for balanced), "
        f"largest |SMD| {_text(smd['before'])} before, {_text(smd['after'])} after, mean score "
        f"{_text(score['before']['mean'])} before, {_text(score['after']['mean'])} after"
    )
    positive = report.get("positive")
    if positive:
        line += f"; {positive['attribute']}:positive {positive['before']:,} before, {positive['after']:,} after"
    lines = [line]
    tries = report.get("tries", [])
    if len(tries) > 1:
        first, last = tries[0], tries[-1]
        taken = next(pool for pool in tries if pool["candidates"] == report["candidates"])
        line = f"{first['candidates']:,} candidates gave no balance (AUC {_text(first['auc'])}, largest |SMD| "
        line += f"{_text(first['largest_smd'])})"
        if taken is not first:
            line += f", so the pool was widened to {taken['candidates']:,}: the mean score went from "
            line += f"{_text(first['score'])} to {_text(taken['score'])}; --pool fixes their number"
        if taken is not last:
            line += f"; more, up to {last['candidates']:,}, came no closer"
        lines.append(line)
    if not worked(report):
        bound = f" that keep {positive['attribute']}" if positive else ""
        if positive and positive["others"]:
            bound += " (--match-any chooses for balance alone, and gives up positives)"
        helps = [*([more] if more else []), "ask for fewer images", *(["relax a filter"] if filtered else [])]
        advice = ", ".join(helps[:-1]) + (" or " if helps[:-1] else "") + helps[-1]
        lines.append(
            f"the two domains can still be told apart by content and media: among {report['candidates']:,} candidates "
            f"there are too few like the target{bound}; {advice}"
        )
    return lines


def worked(report: Mapping[str, Any]) -> bool:
    """Whether the AUC after matching is near 0.5: at most 0.55, or 0.5 lies in its interval."""
    after = report["auc"]["after"]
    if after["value"] is None:
        return True
    return bool(after["value"] <= 0.5 + NEAR or after["low"] <= 0.5)


def _text(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}".replace("-", "−")
