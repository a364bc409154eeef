"""LSH tables: predicted recall against formula and simulation, and how many tables are enough."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.similarity.lsh import (
    BITS,
    FEW_BITS,
    GROUP,
    TARGET_DISTANCE,
    TARGET_DISTANCE_FEW,
    TARGET_RECALL,
    default_bits,
    default_tables,
    draw_lsh_tables,
    partition_numbers,
)
from tests.ingest.pictures_apart import away, random_hashes


def share_of_one(bits: int, distance: int) -> float:
    return math.comb(BITS - bits, distance) / math.comb(BITS, distance)


@pytest.mark.parametrize("bits", [1, 8, 27, 200])
def test_one_table_finds_what_the_formula_says(bits: int) -> None:
    predicted = draw_lsh_tables(bits, 1, 3).predicted()
    assert predicted[0] == 1 and all(a >= b for a, b in pairwise(predicted))
    for distance in (1, 5, 16, 31):
        assert predicted[distance] == pytest.approx(share_of_one(bits, distance), abs=0.01)


def test_predicted_recall_is_measured_recall() -> None:
    """On hashes that differ in random bits; tables that share bits find less together than independent ones."""
    draw = np.random.default_rng(0)
    for bands in (draw_lsh_tables(23, 12, 7), draw_lsh_tables(29, 14, 7), draw_lsh_tables(120, 30, 7)):
        for distance in (2, 9, 16, 24):
            pdq = random_hashes(draw, 4000)
            other = np.stack([away(draw, each, distance) for each in pdq])
            agree = (((pdq ^ other)[:, None] & bands.masks[None]) == 0).all(axis=2).any(axis=1)
            assert bands.predicted()[distance] == pytest.approx(agree.mean(), abs=0.03)


def test_masks_have_their_bits_and_follow_the_seed() -> None:
    bands = draw_lsh_tables(27, 20, 1)
    assert np.bitwise_count(bands.masks).sum(axis=1).tolist() == [27] * 20
    assert (draw_lsh_tables(27, 20, 1).masks == bands.masks).all() and (
        draw_lsh_tables(27, 20, 2).masks != bands.masks
    ).any()
    assert (draw_lsh_tables(27, 30, 1).masks[:20] == bands.masks).all()  # more tables are the same ones and others
    together = np.bitwise_or.reduce(draw_lsh_tables(23, 20, 1).masks[:11])
    assert np.bitwise_count(together).sum() == 11 * 23  # a deck is dealt out before bits come again
    assert not draw_lsh_tables(0, 2, 0).masks.any()


@pytest.mark.parametrize(("bits", "common"), [(0, 0), (23, 0), (24, 1), (26, 3), (31, 8), (40, 8)])
def test_the_tables_of_a_group_have_some_bits_in_common(bits: int, common: int) -> None:
    bands = draw_lsh_tables(bits, 10, 5)
    assert np.bitwise_count(bands.shared).sum(axis=1).tolist() == [common] * 3
    assert np.bitwise_count(bands.masks).sum(axis=1).tolist() == [bits] * 10
    for group, shared in enumerate(bands.shared):
        masks = bands.masks[group * GROUP : (group + 1) * GROUP]
        assert (masks & shared == shared).all()
        assert common == 0 or (np.bitwise_and.reduce(masks) == shared).all()


@given(st.integers(0, 1 << 30), st.integers(0, 16))
def test_partition_numbers_are_the_bits_of_the_mask(seed: int, bits: int) -> None:
    draw = np.random.default_rng(seed)
    pdq, places = random_hashes(draw, 20), sorted(draw.permutation(BITS)[:bits].tolist())
    mask = np.packbits(np.isin(np.arange(BITS), places)).view(">u8").astype(np.uint64)
    written = [format(int.from_bytes(row.astype(">u8").tobytes(), "big"), "0256b") for row in pdq]
    assert partition_numbers(pdq, mask).tolist() == [
        int("0" + "".join(text[place] for place in places), 2) for text in written
    ]


@pytest.mark.parametrize("rows", [0, 1, 3000, 1_000_000, 100_000_000, 10**10])
def test_defaults_reach_the_target_recall(rows: int) -> None:
    bits = default_bits(rows)
    tables = default_tables(bits, 0)
    distance = TARGET_DISTANCE_FEW if bits <= FEW_BITS else TARGET_DISTANCE
    assert draw_lsh_tables(bits, tables, 0).predicted()[distance] >= TARGET_RECALL - 0.01
    assert tables <= 40


def test_chance_matches_grow_no_faster_than_hashes() -> None:
    for rows in (10**4, 10**6, 10**8, 10**10):
        assert rows / 2 ** default_bits(rows) <= 2
