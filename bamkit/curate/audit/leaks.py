"""Leakage: what train, test, validation and the domains must not share, and near-duplicate pictures."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bamkit.common.errors import BamkitError
from bamkit.common.near_duplicates import DISTANCE, linked_groups, near_pairs, parse_hashes
from bamkit.common.pages.notebook import as_html
from bamkit.common.pictures.altered_copies import SIDE, are_copies, candidate_pairs
from bamkit.common.pictures.feature_store import FeatureStore
from bamkit.common.shards import ShardReader
from bamkit.common.workspace import Workspace, is_judges
from bamkit.curate.audit.domain import DomainTables, read_domains
from bamkit.curate.audit.similarity import small_copy

if TYPE_CHECKING:
    from numpy.typing import NDArray

KINDS = {
    "mid": "the same image",
    "src": "the same address",
    "file": "the same file",
    "picture": "near-duplicate pictures",
    "project": "images of one project",
}


JUDGE = "judge"


@dataclass(frozen=True)
class Member:
    """One image of a cluster."""

    domain: str
    side: str
    """The domain, or the attribute that ranked it: selections for one emotion are alternatives, not two domains; or
    JUDGE, for all that a judge learns from together."""
    split: str
    mid: int
    rank: int
    position: int = field(repr=False)
    """Its row in the split."""

    @property
    def place(self) -> str:
        """`happy/train`."""
        return f"{self.domain}/{self.split}"


@dataclass(frozen=True)
class Cluster:
    """Images that share something."""

    kind: str
    """A key of KINDS."""
    members: tuple[Member, ...]
    shared: str
    """What they share; for pictures the largest distance between two linked hashes."""

    @property
    def places(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(member.place for member in self.members))

    @cached_property
    def borders(self) -> tuple[tuple[str, str], ...]:
        """The pairs of places that must not share anything and do, in the order of the members they are met at.

        Members are compared with one of each place, not with all others: a cluster may have thousands.
        """
        first: dict[str, tuple[int, Member]] = {}
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for number, member in enumerate(self.members):
            place = member.place
            for before, (earlier, other) in first.items():
                if (before, place) not in found and _apart(other, member):
                    found[before, place] = (earlier, number)
            first.setdefault(place, (number, member))
        return tuple(sorted(found, key=found.__getitem__))

    @property
    def leak(self) -> bool:
        """Whether it reaches over a border; else it is a repetition inside one split, or between alternatives."""
        return bool(self.borders)


def _apart(a: Member, b: Member) -> bool:
    """Whether two images belong to what must not share anything: two splits of one domain, or two domains."""
    return a.split != b.split if a.domain == b.domain else a.side != b.side


@dataclass(frozen=True)
class Check:
    """What was looked at and what was found."""

    images: dict[str, int]
    """Place -> images."""
    hashed: int
    """How many of them have a perceptual hash, that is, were fetched."""
    by_project: bool
    """Whether shared projects count as leakage."""
    clusters: tuple[Cluster, ...]
    """Leaks first, larger ones first."""

    @property
    def leaks(self) -> tuple[Cluster, ...]:
        return tuple(cluster for cluster in self.clusters if cluster.leak)

    @property
    def clean(self) -> bool:
        """Whether no two splits or domains share anything."""
        return not self.leaks

    def table(self) -> pd.DataFrame:
        """One row for each kind and pair of places, leaks first: what, between, and, clusters, images, leak."""
        rows = [
            (KINDS[cluster.kind], a, b if a != b else "itself", sum(m.place in (a, b) for m in cluster.members), leak)
            for cluster in self.clusters
            for a, b in cluster.borders or [(cluster.places[0], cluster.places[-1])]
            for leak in [cluster.leak]
        ]
        table = pd.DataFrame(rows, columns=["what", "between", "and", "images", "leak"])
        table["what"] = pd.Categorical(table["what"].tolist(), list(KINDS.values()))
        keys = ["what", "between", "and"]
        table = table.groupby(keys, observed=True, as_index=False).agg(
            clusters=("images", "size"), images=("images", "sum"), leak=("leak", "max")
        )
        return table.astype({"what": str}).sort_values("leak", ascending=False, kind="stable", ignore_index=True)

    def advice(self, shown: bool = False) -> list[str]:
        """What to type against the leaks, a command an entry; `shown`: a page shows them already."""
        if self.clean:
            return []
        kinds = {cluster.kind for cluster in self.leaks}
        if not kinds & {"mid", "src", "project"}:
            apart = "bamkit select ... --group-by project   # keeps most look-alikes together"
            if self.by_project:  # no project is shared
                apart = f"bamkit review {_domain(self.leaks[0].places[-1])}   # to drop or move them"
            return [*([] if shown else ["bamkit check --page   # shows them"]), apart]
        pairs = [
            pair for cluster in self.leaks for pair in cluster.borders if cluster.kind in ("mid", "src", "project")
        ]
        across = next((pair for pair in pairs if _domain(pair[0]) != _domain(pair[1])), None)
        again = f"bamkit select ... --name {_domain((across or pairs[0])[1])} --force"
        again += f" --disjoint-from {_domain(across[0])}" if across else ""
        again += " --group-by project" if "project" in kinds else ""
        return [again, "bamkit fetch"]

    def _repr_html_(self) -> str:
        found = "no leakage" if self.clean else f"leakage: {len(self.leaks):,} found"
        looked = f"checked {sum(self.images.values()):,} images ({self.hashed:,} with pictures): {found}"
        return as_html(looked, self.table() if self.clusters else "")

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        clusters = [{**asdict(c), "leak": c.leak, "members": [_plain(m) for m in c.members]} for c in self.clusters]
        head = {"clean": self.clean, "images": self.images, "hashed": self.hashed, "by_project": self.by_project}
        return {**head, "findings": self.table().to_dict("records"), "clusters": clusters}


def _domain(place: str) -> str:
    return place.partition("/")[0]


def _plain(member: Member) -> dict[str, Any]:
    return {"domain": member.domain, "split": member.split, "mid": member.mid, "rank": member.rank}


def check(
    workspace: Workspace,
    names: Sequence[str] = (),
    by_project: bool = False,
    distance: int = DISTANCE,
    strict: bool = True,
) -> Check:
    """Look for what the splits and domains `names` (all of the workspace by default) share.

    Unless `strict` and named, selections ranked by one attribute count as alternatives of which one will be trained on,
    so they may share images; so may those set apart for a judge among themselves, which it learns from together. A
    fetched domain is checked as it was obtained, another one as it was selected (its reserve included: any of it may
    come into any split). Pictures are compared closely where their hashes are at most `distance` bits apart or, with a
    distance above 0, their edges lie alike. Raises BamkitError where there is nothing to check or the distance is
    nonsense.
    """
    if not 0 <= distance <= 16:
        raise BamkitError(f"a distance of {distance} bits makes no sense: use 0 (equal hashes) to 16")
    domains = read_domains(workspace, list(names) or None)
    strict = strict and bool(names)
    if not domains:
        raise BamkitError(
            "there is nothing to check: no selection, no split", "bamkit select --emotion happy --top 1000"
        )
    members = [member for domain in domains for member in _members(domain, strict)]
    columns = {name: _column(domains, name) for name in ("mid", "src", "project_id", "original_sha256", "phash")}
    kinds = {"mid": "mid", "src": "src", "file": "original_sha256"} | ({"project": "project_id"} if by_project else {})
    clusters = [
        Cluster(kind, tuple(members[i] for i in same), str(key))
        for kind, column in kinds.items()
        for key, same in _same(columns[column])
    ]
    clusters = [cluster for cluster in clusters if cluster.kind != "project" or cluster.leak]
    clusters = _plainest([*clusters, *_near(workspace, members, columns["phash"], distance)])
    # Alternatives are never trained together: what only they share is not worth a line.
    clusters = [cluster for cluster in clusters if cluster.leak or len(cluster.places) < len(cluster.members)]
    clusters.sort(key=lambda c: (not c.leak, list(KINDS).index(c.kind), -len(c.members), c.members[0].mid))
    images = Counter(member.place for member in members)
    return Check(dict(images), sum(value is not None for value in columns["phash"]), by_project, tuple(clusters))


def _plainest(clusters: Sequence[Cluster]) -> list[Cluster]:
    """Without the clusters that only say again of the same images what a plainer kind has said."""
    reported: set[tuple[Member, ...]] = set()
    kept = []
    for cluster in clusters:
        if cluster.kind == "project" or cluster.members not in reported:
            kept.append(cluster)
        reported.add(cluster.members)
    return kept


def _members(domain: DomainTables, strict: bool) -> Iterable[Member]:
    seen: Counter[str] = Counter()
    side = domain.name if strict else JUDGE if is_judges(domain.name) else domain.ranked_by or domain.name
    rows = zip(*(domain.rows[name].to_pylist() for name in ("split", "mid", "rank")), strict=True)
    for split, mid, rank in rows:
        yield Member(domain.name, side, split, mid, rank, seen[split])
        seen[split] += 1


def _column(domains: Sequence[DomainTables], name: str) -> list[Any]:
    """One column of all domains in a row; None where a domain has no such column."""
    return [
        value
        for domain in domains
        for value in (
            domain.rows[name].to_pylist() if name in domain.rows.column_names else [None] * domain.rows.num_rows
        )
    ]


def _same(values: Sequence[Any]) -> list[tuple[Any, list[int]]]:
    """(value, the places that hold it) for every value that occurs more than once; nothing and "" do not count."""
    places_of: dict[Any, list[int]] = defaultdict(list)
    for index, value in enumerate(values):
        if value is not None and value != "":
            places_of[value].append(index)
    return [(value, places) for value, places in places_of.items() if len(places) > 1]


def _near(
    workspace: Workspace, members: Sequence[Member], hashes: Sequence[str | None], distance: int
) -> list[Cluster]:
    """Clusters of near-duplicate pictures: near by hash or edges, and confirmed by their small copies."""
    try:
        places, numbers = parse_hashes(hashes)
    except ValueError as error:
        wrong, text = members[error.args[0]], hashes[error.args[0]]
        raise BamkitError(
            f"{wrong.place}, image {wrong.mid}: {text!r} is no perceptual hash (16 hexadecimal digits)",
            f"delete splits/{wrong.domain}, and bamkit fetch {wrong.domain} builds it anew",
        ) from error
    copies, light = _small_copies(workspace, [members[i] for i in places])
    left, right = _candidates(numbers, copies, light, distance)
    same = are_copies(copies, left, right)
    left, right = left[same], right[same]
    bits = np.bitwise_count(numbers[left] ^ numbers[right])
    group = linked_groups(len(numbers), left, right)
    bits_of = np.zeros(len(numbers), np.int64)
    np.maximum.at(bits_of, group[left], bits)
    order = np.argsort(group, kind="stable")
    of_group = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    return [
        Cluster(
            "picture", tuple(members[places[i]] for i in of_group[each]), f"{bits_of[each]} bits of the hash differ"
        )
        for each in dict.fromkeys(group[left].tolist())
    ]


def _candidates(
    hashes: NDArray[np.uint64], copies: FeatureStore, light: NDArray[np.float64], distance: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pairs of pictures to compare closely: near by their hashes or, unless equal ones are wanted, by their edges.

    Of a run of equal hashes each is paired with the first, and with the next by brightness: flat pictures share a hash.
    """
    left, right, _ = near_pairs(hashes, distance)
    order = np.lexsort((light, hashes))
    equal = np.flatnonzero(hashes[order][1:] == hashes[order][:-1])
    pairs = [(left, right), (order[equal], order[equal + 1])]
    if distance:
        pairs.append(candidate_pairs(copies))
    left, right = np.unique(np.sort(np.concatenate([np.stack(pair, 1) for pair in pairs]), axis=1), axis=0).T
    return left, right


def _small_copies(workspace: Workspace, members: Sequence[Member]) -> tuple[FeatureStore, NDArray[np.float64]]:
    """The pictures of `members`, which lie together by domain and split, as small copies, and their mean levels.

    (n, 64 * 64 * 3) uint8, on disk, and (n,).
    """
    copies, light = FeatureStore(SIDE * SIDE * 3, np.uint8), np.empty(len(members))
    for (name, split), run in groupby(enumerate(members), key=lambda item: (item[1].domain, item[1].split)):
        shards = ShardReader(workspace.shards(name, split), ())
        for place, member in run:
            copy = small_copy(shards.encoded(member.position))
            light[place] = copy.mean()
            copies.append(copy.reshape(1, -1))
    return copies, light
