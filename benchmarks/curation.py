"""Near-duplicate search against comparing all pairs, and matching by the size of the pool.

    python benchmarks/curation.py [--pictures N] [--pool N]

The hashes are drawn, with one in fifty a near-duplicate of another; the pool is drawn so that content and media differ
between the domains. Prints seconds of this process's CPU time, and the ratio to the plain way.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pyarrow as pa

from bamkit.common.contract import ATTRIBUTES, NOT_EMOTION, selection_schema
from bamkit.common.near_duplicates import DISTANCE, near_pairs
from bamkit.curate.select.matching.match import match


def hashes(n: int) -> np.ndarray:
    random = np.random.default_rng(0)
    values = random.integers(0, 2**64, n, dtype=np.uint64)
    for _ in range(4):
        again = random.integers(0, n, n // 200)
        values[random.integers(0, n, again.size)] = values[again] ^ (
            np.uint64(1) << random.integers(0, 64, again.size, dtype=np.uint64)
        )
    return values


def all_pairs(values: np.ndarray, distance: int) -> int:
    """The plain way: every picture against every later one."""
    return sum(int((np.bitwise_count(values[i + 1 :] ^ values[i]) <= distance).sum()) for i in range(values.size - 1))


def pool(n: int, flowers: float, seed: int) -> pa.Table:
    random = np.random.default_rng(seed)
    kind = random.random((n, len(NOT_EMOTION))) < np.where(np.arange(len(NOT_EMOTION)) == 6, flowers, 0.1)
    logit = np.where(kind, random.normal(2, 1.5, kind.shape), random.normal(-5, 2, kind.shape))
    own = dict(zip(NOT_EMOTION, -np.logaddexp(0, -logit).T, strict=True))
    rank = -np.sort(random.exponential(1, n))
    columns = {
        "mid": np.arange(n) + seed * 10**8,
        "project_id": np.arange(n),
        "rank": np.arange(1, n + 1),
        "score": rank,
    }
    columns |= {"src": [f"http://x/{seed}/{i}" for i in range(n)], "license": ["cc by"] * n, "mature": [False] * n}
    columns |= {"split": (["train"] * 1000 + ["test"] * 200 + ["validation"] * 50 + ["reserve"] * n)[:n]}
    for name in ATTRIBUTES:
        values = own.get(name, rank)
        columns[f"{name}_score"] = values
        columns[name] = np.where(values > -0.5, "positive", np.where(values < -3, "negative", "unsure"))
    schema = selection_schema()
    return pa.table({name: pa.array(columns[name], schema.field(name).type) for name in schema.names}, schema=schema)


def timed(label: str, work) -> float:
    began = time.process_time()
    found = work()
    spent = time.process_time() - began
    print(f"{label:<58} {spent:8.2f} s   {found}")
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--pool", type=int, default=100_000)
    given = parser.parse_args()
    values = hashes(given.pictures)
    ours = timed(
        f"near pairs of {given.pictures:,} hashes, by bands", lambda: f"{near_pairs(values, DISTANCE)[0].size:,}"
    )
    plain = timed(f"near pairs of {given.pictures:,} hashes, all pairs", lambda: f"{all_pairs(values, DISTANCE):,}")
    print(f"{'all pairs / bands':<58} {plain / ours:8.1f} times")
    target = pool(1450, flowers=0.6, seed=1)
    candidates = pool(given.pool, flowers=0.05, seed=2)
    counts = {"train": 1000, "test": 200, "validation": 50, "reserve": 200}

    def matched() -> str:
        report = match(candidates, target, counts).report
        before, after = (report["auc"][when]["value"] for when in ("before", "after"))
        return f"AUC {before:.3f} -> {after:.3f}, largest |SMD| {report['largest_smd']['after']:.3f}"

    timed(f"match 1,450 images among {given.pool:,} candidates", matched)


if __name__ == "__main__":
    main()
