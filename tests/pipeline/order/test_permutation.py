"""Tests the keyed permutation and its keys."""

import hashlib
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.pipeline.order.permutation import CHUNKS, TAIL, WINDOW, Keys, derive_key, permute
from tests.pipeline.brute_order import MANIFEST, VIEW, key, shuffled

KEYS = st.integers(0, 2**64 - 1)
GOLDEN_TEN = [6, 5, 8, 2, 3, 9, 7, 0, 1, 4]
GOLDEN_LARGE = [3289204979, 2406126662, 1628967222, 1492539219]
GOLDEN_KEY = "0x336fd440483ca4cd"
GOLDEN_NO_VIEW = "0xc5183c71b1b63902"


@settings(max_examples=150, deadline=None)
@given(size=st.integers(1, 700), key=KEYS)
def test_it_equals_the_brute_force_permutation(size: int, key: int) -> None:
    found = permute(np.arange(size), size, key).tolist()
    assert sorted(found) == list(range(size))
    assert found == shuffled(size, key)


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 2**40), keys=st.lists(KEYS, min_size=1, max_size=20), data=st.data())
def test_a_key_for_each_item(size: int, keys: list[int], data: st.DataObject) -> None:
    items = np.array([data.draw(st.integers(0, size - 1)) for _ in keys])
    alone = [int(permute(items[i : i + 1], size, key)[0]) for i, key in enumerate(keys)]
    assert permute(items, size, np.array(keys, np.uint64)).tolist() == alone
    assert all(0 <= item < size for item in alone)


def test_no_items() -> None:
    none = np.empty(0, np.int64)
    assert len(permute(none, 0, 1)) == 0
    assert len(permute(none, 5, np.empty(0, np.uint64))) == 0


def test_an_item_outside_fails_an_assertion() -> None:
    with pytest.raises(AssertionError):
        permute(np.array([5]), 5, 1)


@pytest.mark.parametrize("size", [3, 10, 64, 100])
def test_all_targets_are_equally_likely(size: int) -> None:
    """Pearson's statistic of item -> target over 4,000 keys has mean (size - 1)^2 and standard deviation about sqrt(2)
    (size - 1): within five of them."""
    rounds = 4000
    keys = [derive_key(MANIFEST, VIEW, 0, number, CHUNKS, 0, 0) for number in range(rounds)]
    seen = np.zeros((size, size))
    for number in keys:
        seen[np.arange(size), permute(np.arange(size), size, number)] += 1
    statistic = ((seen - rounds / size) ** 2 / (rounds / size)).sum()
    freedom = (size - 1) ** 2
    assert abs(statistic - freedom) < 5 * np.sqrt(2 * freedom)


def test_neighbours_are_separated() -> None:
    """Two adjacent items stay adjacent about as often as by chance: 2 / size of the time."""
    size = 5000
    together = [np.abs(np.diff(permute(np.arange(size), size, number))) == 1 for number in range(40)]
    assert 0 < np.mean(together) < 4 / size


def test_golden_values() -> None:
    """The order of saved runs: if these change, PLAN_VERSION must change."""
    assert permute(np.arange(10), 10, 0).tolist() == GOLDEN_TEN
    assert permute(np.arange(4), 3_500_000_000, 0x0123456789ABCDEF).tolist() == GOLDEN_LARGE
    assert hex(derive_key(MANIFEST, VIEW, 7, 3, WINDOW, 5, 11)) == GOLDEN_KEY
    assert hex(derive_key(MANIFEST, None, 7, 3, TAIL, 0, 0)) == GOLDEN_NO_VIEW


def test_a_key_is_the_digest_of_its_parts() -> None:
    text = struct.pack("<q", 1) + MANIFEST + VIEW + struct.pack("<5q", 7, 3, 1, 5, 11)
    assert derive_key(MANIFEST, VIEW, 7, 3, WINDOW, 5, 11) == int.from_bytes(
        hashlib.sha256(text).digest()[:8], "little"
    )
    assert derive_key(MANIFEST, VIEW, 7, 3, WINDOW, 5, 11) == key(7, 3, 1, 5, 11)
    assert derive_key(MANIFEST, None, 7, 3, TAIL, 0, 0) == key(7, 3, 2, view=bytes(32))


def test_every_part_of_a_key_matters() -> None:
    parts = (MANIFEST, VIEW, 7, 3, WINDOW, 5, 11)
    others = (VIEW, MANIFEST, 8, 4, TAIL, 6, 12)
    changed = [derive_key(*parts[:i], others[i], *parts[i + 1 :]) for i in range(len(parts))]  # type: ignore[arg-type]
    assert len({*changed, derive_key(*parts), derive_key(MANIFEST, None, 7, 3, WINDOW, 5, 11)}) == len(parts) + 2


def test_keys_of_many_windows() -> None:
    blocks, streams = np.array([0, 0, 3, 2**31]), np.array([0, 1, 5, 4095])
    found = Keys(MANIFEST, VIEW, 7, 3).of_windows(blocks, streams)
    assert found.dtype == np.uint64
    assert found.tolist() == [key(7, 3, 1, int(b), int(s)) for b, s in zip(blocks, streams, strict=True)]
