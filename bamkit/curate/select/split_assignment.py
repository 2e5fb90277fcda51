"""Ranked candidates assigned to splits: each picture once, and no project or picture in two splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bamkit.common.tombstones import Tombstones
from bamkit.curate.select.ranking import Candidate


@dataclass(frozen=True)
class Excluded:
    """What other selections hold already, and this one may not."""

    mids: frozenset[int] = frozenset()
    srcs: frozenset[str] = frozenset()
    projects: frozenset[int] = frozenset()
    disagreeing: frozenset[int] = frozenset()
    """mids whose rows of scores or labels disagree about a filter."""
    forgotten: Tombstones = field(default_factory=Tombstones)
    """Images that were removed on request."""


@dataclass
class SplitAssignment:
    """Assigns candidates to splits in rank order, until every split is full.

    `dropped` says afterwards how many candidates each rule left out, by the words a user knows it by.
    """

    counts: dict[str, int]
    """Images a split, in the order they are filled."""
    excluded: Excluded = field(default_factory=Excluded)
    group_by_project: bool = False
    one_a_project: bool = False
    """Of each project one image at most: then it is in one split however they are divided later."""
    project_limit: int | None = None
    dropped: Counter[str] = field(default_factory=Counter)
    _mids: set[int] = field(default_factory=set)
    _srcs: set[str] = field(default_factory=set)
    _images_of: Counter[int] = field(default_factory=Counter)
    """Project -> images assigned so far."""
    _split_of: dict[int, str] = field(default_factory=dict)
    """Project -> the split that its last image went to."""

    def assign(self, candidates: Iterable[Candidate]) -> Iterator[tuple[Candidate, str]]:
        """Pairs of (candidate, split) in rank order."""
        remaining = iter([name for name, n in self.counts.items() for _ in range(n)])
        split = next(remaining, None)
        if split is None:
            return
        for candidate in candidates:
            reason = self._refusal(candidate, split)
            if reason:
                self.dropped[reason] += 1
                continue
            self._mids.add(candidate.mid)
            self._srcs.add(candidate.src or "")
            if candidate.project_id is not None:
                self._images_of[candidate.project_id] += 1
                self._split_of[candidate.project_id] = split
            yield candidate, split
            split = next(remaining, None)
            if split is None:
                return

    def _refusal(self, candidate: Candidate, split: str) -> str:
        """Why a candidate is left out, "" if it is not."""
        src, project = candidate.src, candidate.project_id
        if not isinstance(src, str):
            return f"their `modules.src` is a {'BLOB' if isinstance(src, bytes) else 'number'}, where BAM has text"
        if not src:
            return "no src"
        if candidate.mid in self.excluded.disagreeing:
            return "several rows of scores or labels that disagree about a filter"
        if self.excluded.forgotten.covers(candidate.mid, src):
            return "removed on request (bamkit forget)"
        if candidate.mid in self._mids:
            return "a second row of scores for one mid"
        if src in self._srcs:
            return "the same src as a better rank"
        if candidate.mid in self.excluded.mids or src in self.excluded.srcs:
            return "also in a selection of --disjoint-from or --match"
        if project is None:
            return ""
        if project in self.excluded.projects:
            return "project also in a selection of --disjoint-from or --match, with --group-by project"
        if self.one_a_project and self._images_of[project]:
            return "--group-by project"
        if self.project_limit is not None and self._images_of[project] >= self.project_limit:
            return f"--limit-per-project {self.project_limit}"
        # A reserve image may end up in any split, so it may share its project with none of them, nor with another
        # reserve image.
        other = self._split_of.get(project)
        if self.group_by_project and other and (other != split or split == "reserve"):
            return "--group-by project"
        return ""
