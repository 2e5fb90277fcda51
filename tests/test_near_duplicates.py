"""One meaning of near-duplicate: which hashes are near, which pictures are linked."""

import numpy as np
import pytest

from bamkit.common.near_duplicates import DISTANCE, linked_groups, near_any, near_pairs, parse_hashes


@pytest.mark.parametrize("distance", [0, 1, 4, 6, 11])
def test_the_bands_find_every_pair(distance):
    random = np.random.default_rng(distance)
    hashes = random.integers(0, 2**64, 250, dtype=np.uint64)
    near = hashes[:120].copy()
    for _ in range(distance):  # flips up to `distance` bits, some of them back
        near ^= np.uint64(1) << random.integers(0, 64, near.size, dtype=np.uint64)
    hashes = np.concatenate([hashes, near, near[:5]])
    left, right, apart = near_pairs(hashes, distance)
    found = dict(zip(zip(left.tolist(), right.tolist(), strict=True), apart.tolist(), strict=True))
    first = {value: i for i, value in reversed(list(enumerate(hashes.tolist())))}
    expected = {
        (i, j): bits
        for i in range(hashes.size)
        for j in range(i + 1, hashes.size)
        if (bits := (int(hashes[i]) ^ int(hashes[j])).bit_count()) <= distance
        # Of equal hashes only the first is compared with others.
        and first[int(hashes[i])] == i
        and (bits == 0 or first[int(hashes[j])] == j)
    }
    assert found == expected


def test_near_pairs_of_many_equal_hashes_stay_few():
    left, right, apart = near_pairs(np.zeros(20_000, dtype=np.uint64), 6)
    assert left.size == 19_999
    assert not left.any()
    assert right.tolist() == list(range(1, 20_000))
    assert not apart.any()


def test_near_any_counts_bits():
    places, hashes = parse_hashes(["00000000000000ff", None, "00000000000003f0", "ffffffffffffffff", "F" * 16])
    assert places.tolist() == [0, 2, 3, 4]
    assert near_any(hashes, np.array([0xFF], np.uint64)).tolist() == [True, True, False, False]
    random = np.random.default_rng(0)
    known, others = random.integers(0, 2**64, (2, 30), dtype=np.uint64)
    expected = [min((int(a) ^ int(b)).bit_count() for b in known) <= 24 for a in others]
    assert near_any(others, known, 24).tolist() == expected
    assert not near_any(others, np.zeros(0, np.uint64)).any()


def test_the_limit_is_the_same_on_either_way():
    """Exactly DISTANCE bits apart is near, one more is not, by pairs and by any."""
    base = np.uint64(0x0123_4567_89AB_CDEF)
    for bits in (DISTANCE, DISTANCE + 1):
        other = base ^ np.uint64((1 << bits) - 1)
        near = near_any(np.array([other]), np.array([base]))
        assert bool(near[0]) is bool(near_pairs(np.array([base, other]))[0].size) is (bits <= DISTANCE)


@pytest.mark.parametrize("wrong", ["", "xyz", "0" * 15, "0" * 17, "0x" + "0" * 14])
def test_what_is_no_hash_is_named_by_its_place(wrong):
    with pytest.raises(ValueError) as error:
        parse_hashes([None, "0" * 16, wrong])
    assert error.value.args == (2,)


def test_links_chain_into_groups():
    group = linked_groups(7, np.array([0, 4, 2]), np.array([2, 6, 3]))
    assert group[0] == group[2] == group[3]
    assert group[4] == group[6]
    assert len(set(group.tolist())) == 4
    assert len(set(linked_groups(3, np.zeros(0, np.int64), np.zeros(0, np.int64)).tolist())) == 3
