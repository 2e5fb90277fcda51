"""Batches of any iterable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of up to `size` consecutive items, as `itertools.batched` of Python 3.12 gives tuples."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
