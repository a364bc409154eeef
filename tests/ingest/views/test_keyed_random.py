"""Keyed random numbers: golden values, a plain reference, and uniform, independent draws."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.views.keyed_random import REPLACE, REPLACEMENT, SUBSET, Keys, draw_below, in_subset, uniform, words

MASK = (1 << 64) - 1
SEEDS = st.integers(-(1 << 63), (1 << 63) - 1)
KEYS = st.lists(st.binary(min_size=16, max_size=16), max_size=20)
EDGES = st.sampled_from([1, 2, 3, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 32) + 1, 1 << 62, (1 << 63) - 1])


def as_keys(keys: list[bytes]) -> Keys:
    return np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 16)


def counting(num: int, start: int = 0) -> Keys:
    """Keys that differ in few bits: the worst that a hash can be given."""
    keys = np.zeros((num, 2), "<u8")
    keys[:, 1] = np.arange(start, start + num)
    return keys.view(np.uint8)


def mixed(state: int) -> int:
    """One output of SplitMix64 from its state before the step."""
    state = (state + 0x9E3779B97F4A7C15) & MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


def reference(seed: int, purpose: int, key: bytes, extra: int) -> int:
    state = mixed(seed & MASK)
    for word in (purpose, int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little"), extra & MASK):
        state = mixed(state ^ word)
    return state


def chi_square(counts: npt.NDArray[np.int64]) -> float:
    """How many standard deviations the statistic is above its mean, all cells being as likely."""
    mean, free = counts.sum() / counts.size, counts.size - 1
    return float((((counts - mean) ** 2 / mean).sum() - free) / math.sqrt(2 * free))


def test_the_reference_is_splitmix64() -> None:
    """The first outputs of the published generator for seed 1234567."""
    state = 1234567
    assert mixed(state) == 6457827717110365317
    assert mixed(state + 0x9E3779B97F4A7C15 & MASK) == 3203168211198807973


def test_golden_values() -> None:
    """Views of existing corpora were made with these values: others would relabel them."""
    keys = as_keys([bytes(16), bytes(range(16)), b"\xff" * 16])
    assert words(0, SUBSET, keys).tolist() == [8695987549771912286, 8003855346019237849, 5993123232126042264]
    assert words(-7, REPLACEMENT, keys, np.array([0, -1, 1 << 40])).tolist() == [
        1813371666312779033,
        13827290853966361810,
        4780765959236550160,
    ]


@given(SEEDS, st.integers(0, 9), KEYS, st.data())
def test_words_are_the_references(seed: int, purpose: int, keys: list[bytes], data: st.DataObject) -> None:
    extras = data.draw(st.lists(SEEDS, min_size=len(keys), max_size=len(keys)))
    each = words(seed, purpose, as_keys(keys), np.array(extras, np.int64))
    assert each.dtype == np.uint64 and each.shape == (len(keys),)
    assert each.tolist() == [reference(seed, purpose, key, extra) for key, extra in zip(keys, extras, strict=True)]
    one = data.draw(SEEDS)
    assert words(seed, purpose, as_keys(keys), one).tolist() == [reference(seed, purpose, key, one) for key in keys]
    drawn = uniform(seed, purpose, as_keys(keys), one)
    assert drawn.tolist() == [(reference(seed, purpose, key, one) >> 11) / 2**53 for key in keys]
    assert ((drawn >= 0) & (drawn < 1)).all()


@given(st.lists(st.tuples(st.integers(0, MASK), st.integers(1, (1 << 63) - 1) | EDGES), max_size=20))
def test_below_is_the_exact_product(pairs: list[tuple[int, int]]) -> None:
    drawn, bounds = np.array([word for word, _ in pairs], np.uint64), np.array([bound for _, bound in pairs], np.int64)
    assert draw_below(drawn, bounds).tolist() == [word * bound >> 64 for word, bound in pairs]


@given(EDGES)
def test_below_reaches_both_ends(bound: int) -> None:
    ends = draw_below(np.array([0, MASK], np.uint64), np.array([bound, bound]))
    assert ends.tolist() == [0, bound - 1]


@pytest.mark.parametrize("purpose", [SUBSET, REPLACE, REPLACEMENT])
def test_draws_are_uniform(purpose: int) -> None:
    keys = counting(200_000)
    for extra in (0, np.arange(len(keys))):
        drawn = words(5, purpose, keys, extra)
        for bits in (drawn >> np.uint64(56), drawn & np.uint64(255)):
            assert abs(chi_square(np.bincount(bits.astype(np.int64), minlength=256))) < 4
        cells = (uniform(5, purpose, keys, extra) * 100).astype(np.int64)
        assert abs(chi_square(np.bincount(cells, minlength=100))) < 4


def test_draws_that_differ_in_one_thing_are_independent() -> None:
    keys = counting(200_000)
    base = uniform(5, SUBSET, keys, 3)
    others = {
        "purpose": uniform(5, REPLACE, keys, 3),
        "seed": uniform(6, SUBSET, keys, 3),
        "extra": uniform(5, SUBSET, keys, 4),
        "sign": uniform(-5, SUBSET, keys, 3),
        "exchanged": uniform(3, SUBSET, keys, 5),
        "key": uniform(5, SUBSET, counting(200_000, 1), 3),
    }
    first = (base * 16).astype(np.int64)
    for name, other in others.items():
        pairs = np.bincount(first * 16 + (other * 16).astype(np.int64), minlength=256)
        assert abs(chi_square(pairs)) < 4, name


@pytest.mark.parametrize("place", [0, 7, 8, 15])
def test_every_byte_of_a_key_moves_all_bits(place: int) -> None:
    keys = counting(20_000)
    changed = keys.copy()
    changed[:, place] ^= 1
    flipped = words(1, SUBSET, keys) ^ words(1, SUBSET, changed)
    shares = np.unpackbits(flipped.view(np.uint8).reshape(-1, 8), axis=1).mean(axis=0)
    assert np.abs(shares - 0.5).max() < 5 * 0.5 / math.sqrt(len(keys))


@given(SEEDS, KEYS, st.data())
def test_a_draw_depends_on_its_own_sample_only(seed: int, keys: list[bytes], data: st.DataObject) -> None:
    order = np.array(data.draw(st.permutations(range(len(keys)))), np.int64)
    cut = data.draw(st.integers(0, len(keys)))
    extra = np.arange(len(keys))
    whole = uniform(seed, REPLACE, as_keys(keys), extra)
    pieces = [uniform(seed, REPLACE, as_keys(keys)[part], extra[part]) for part in (order[:cut], order[cut:])]
    assert np.concatenate(pieces).tolist() == whole[order].tolist()


@given(SEEDS, st.floats(0, 1, exclude_min=True), st.floats(0, 1, exclude_min=True))
def test_subsets_of_a_seed_are_nested(seed: int, one: float, other: float) -> None:
    keys = counting(500)
    small, large = (in_subset(seed, keys, share) for share in sorted((one, other)))
    assert small.dtype == np.bool_
    assert not (small & ~large).any()
    assert in_subset(seed, keys, 1.0).all()


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.9])
def test_a_subset_has_its_share_and_seeds_choose_independently(share: float) -> None:
    keys, num = counting(200_000), 200_000
    first, second = in_subset(0, keys, share), in_subset(1, keys, share)
    for chosen, expected in ((first, share), (second, share), (first & second, share**2)):
        assert abs(int(chosen.sum()) - num * expected) < 4 * math.sqrt(num * expected * (1 - expected))
