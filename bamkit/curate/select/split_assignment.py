"""Dealing ranked candidates to the splits: one picture once, and no leak from one split to the next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bamkit.curate.select.query import Query
from bamkit.curate.select.ranking import Candidate


@dataclass(frozen=True)
class Taken:
    """What another selection holds already, and this one may not."""

    mids: frozenset[int] = frozenset()
    srcs: frozenset[str] = frozenset()
    projects: frozenset[int] = frozenset()


@dataclass
class Dealer:
    """Deals candidates in rank order: `for candidate, split in dealer.deal(candidates)`; stops when all is dealt.

    `dropped` says afterwards how many candidates each rule left out, by the words a user knows it by.
    """

    query: Query
    counts: dict[str, int]
    """Images a split, in the order they are dealt."""
    taken: Taken = field(default_factory=Taken)
    group_by_project: bool = False
    project_limit: int | None = None
    dropped: Counter[str] = field(default_factory=Counter)
    dealt: Counter[str] = field(default_factory=Counter)

    def deal(self, candidates: Iterable[Candidate]) -> Iterator[tuple[Candidate, str]]:
        """Pairs of (candidate, split) in rank order."""
        splits = iter([name for name, n in self.counts.items() for _ in range(n)])
        split = next(splits, None)
        mids: set[int] = set()
        srcs: set[str] = set()
        projects: Counter[int] = Counter()
        home: dict[int, str] = {}
        if split is None:
            return
        for one in candidates:
            reason = self._refusal(one, split, mids, srcs, projects, home)
            if reason:
                self.dropped[reason] += 1
                continue
            mids.add(one.mid)
            srcs.add(one.src or "")
            if one.project_id is not None:
                projects[one.project_id] += 1
                home[one.project_id] = split
            self.dealt[split] += 1
            yield one, split
            split = next(splits, None)
            if split is None:
                return

    def _refusal(
        self,
        one: Candidate,
        split: str,
        mids: set[int],
        srcs: set[str],
        projects: Counter[int],
        home: dict[int, str],
    ) -> str:
        """Why a candidate is left out, "" if it is not."""
        if not isinstance(one.src, str) or not one.src:
            return "no src"
        if one.mid in mids:
            return "a second row of scores for one mid"
        if one.src in srcs:
            return "the same src as a better rank"
        if one.mid in self.taken.mids or one.src in self.taken.srcs:
            return "also in a selection of --disjoint-from or --match"
        if one.project_id is None:
            return ""
        if one.project_id in self.taken.projects:
            return "project also in a selection of --disjoint-from or --match, with --group-by project"
        if self.project_limit is not None and projects[one.project_id] >= self.project_limit:
            return f"--limit-per-project {self.project_limit}"
        # A reserve image may end up in any split, so it may share its project with none of them, nor with another
        # reserve image.
        if self.group_by_project and one.project_id in home and (home[one.project_id] != split or split == "reserve"):
            return "--group-by project"
        return ""
