"""What is known of every address that a fetch is about: two bytes each, beside the ledger on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bamkit.curate.fetch.ledger import Ledger
from bamkit.curate.fetch.splits.assignment import HAD, LOST, UNKNOWN, States
from bamkit.curate.fetch.splits.manifest import Manifest, Rows, number_addresses

BATCH = 10_000


@dataclass(frozen=True)
class Addresses:
    """The addresses of some rows of manifests, read from the files whenever they are gone through."""

    rows: list[tuple[Manifest, Rows]]
    """Ascending rows that all have an address, no address twice."""

    def __len__(self) -> int:
        return sum(rows.size for _, rows in self.rows)

    def __iter__(self) -> Iterator[str]:
        for manifest, rows in self.rows:
            for _, urls in manifest.urls(rows, BATCH):
                yield from (url for url in urls if url is not None)


class Outcomes:
    """The outcome of every address of some selections, as the ledger knows it, and what this run did about it."""

    def __init__(self, manifests: Sequence[Manifest], retry: Collection[str]) -> None:
        """`retry`: outcomes that are asked for again, once."""
        self.manifests = manifests
        count = number_addresses(manifests)
        self.retry = frozenset(retry)
        self.names: list[str] = [""]
        self.code: NDArray[np.int8] = np.zeros(count, np.int8)
        """The place in `names` of the outcome of each address; 0 where there is none."""
        self.asked = np.zeros(count, bool)
        """In this run."""
        self.given_up = np.zeros(count, bool)

    def refresh(self, ledger: Ledger) -> None:
        """Read the ledger."""
        self.code[:] = 0
        for manifest in self.manifests:
            for rows, urls in manifest.urls(np.arange(len(manifest)), BATCH):
                known = ledger.outcomes(url for url in urls if url is not None)
                codes = [self._code(known[url]) if url in known else 0 for url in urls]
                there = manifest.address[rows] >= 0
                self.code[manifest.address[rows][there]] = np.array(codes, np.int8)[there]
        lost = self.asked & (self.code == 0) & ~self.given_up
        assert not lost.any(), f"no outcome was recorded for {np.count_nonzero(lost)} addresses"

    def _code(self, outcome: str) -> int:
        if outcome not in self.names:
            self.names.append(outcome)
        return self.names.index(outcome)

    def states(self, manifest: Manifest) -> States:
        """Of each row of a manifest, whether its picture is here."""
        fresh = [UNKNOWN if name in self.retry else LOST for name in self.names]
        again = [LOST] * len(self.names)
        of_code: States = np.array([fresh, again], np.int8)
        of_code[:, 0] = UNKNOWN
        if "ok" in self.names:
            of_code[:, self.names.index("ok")] = HAD
        states = of_code[self.asked.astype(np.int8), self.code]
        states[self.given_up] = LOST
        # Where a row has no address, the one added at the end is read.
        of_row: States = np.append(states, np.int8(LOST))[manifest.address]
        return of_row

    def not_yet(self, wanted: list[Rows]) -> Addresses:
        """The addresses of those rows, each once."""
        taken = np.zeros(self.code.size, bool)
        rows = []
        for manifest, own in zip(self.manifests, wanted, strict=True):
            address = manifest.address[own]
            first = np.zeros(own.size, bool)
            first[np.unique(address, return_index=True)[1]] = True
            own = own[first & ~taken[address]]
            taken[manifest.address[own]] = True
            rows.append((manifest, own))
        return Addresses(rows)

    def _every(self) -> Addresses:
        return self.not_yet([np.flatnonzero(each.address >= 0) for each in self.manifests])

    def note_asked(self, addresses: Addresses) -> None:
        for manifest, rows in addresses.rows:
            self.asked[manifest.address[rows]] = True

    def ask_again(self, urls: Collection[str]) -> None:
        """Those addresses may be asked for once more."""
        self.asked[self._numbers(urls.__contains__)] = False

    def give_up(self, why: Callable[[str], str | None], among: Addresses | None = None) -> Counter[str]:
        """Count those of the addresses (all by default) for which there is a reason as not to be had.

        Returns how many were not before, by reason.
        """
        counts: Counter[str] = Counter()
        numbers = self._numbers(lambda url: (reason := why(url)) is not None and not counts.update([reason]), among)
        assert not self.given_up[numbers].any()
        self.given_up[numbers] = True
        return counts

    def _numbers(self, chosen: Callable[[str], bool], among: Addresses | None = None) -> NDArray[np.int32]:
        """The numbers of the chosen addresses, each once."""
        every = among if among is not None else self._every()
        numbers = [
            manifest.address[row]
            for manifest, all_rows in every.rows
            for rows, urls in manifest.urls(all_rows, BATCH)
            for row, url in zip(rows, urls, strict=True)
            if url is not None and chosen(url)
        ]
        return np.array(numbers, np.int32)
