"""The Hamming index against brute force: no pair is missed or invented, for every scheme."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.similarity import hamming_index as matcher
from tagmill.ingest.similarity.hamming_index import (
    MAX_ENTRIES,
    HammingIndex,
    NearList,
    Scheme,
    choose_scheme,
    scheme_of,
)
from tests.ingest.pictures_apart import all_distances, away, random_hashes


def narrowed(scheme: Scheme) -> Scheme:
    """Fewer bits of each block make it slower but no less complete, and keep a test's tables small."""
    return Scheme(scheme.blocks, min(scheme.radius, 12), min(scheme.width, 12))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1 << 30), threshold=st.integers(0, 64), radius=st.integers(0, 2), wide=st.booleans())
def test_it_finds_what_brute_force_finds(seed: int, threshold: int, radius: int, wide: bool) -> None:
    draw = np.random.default_rng(seed)
    listed = random_hashes(draw, 30)
    near = [away(draw, listed[number % 30], max(0, threshold + number % 5 - 3)) for number in range(60)]
    questions = np.concatenate([np.stack(near), random_hashes(draw, 10), listed[:1]])
    asked, found, apart = HammingIndex(listed, threshold, narrowed(scheme_of(threshold, radius)), wide=wide).pairs(
        questions
    )
    distances = all_distances(questions, listed)
    assert np.stack([asked, found], axis=1).tolist() == np.argwhere(distances <= threshold).tolist()
    assert apart.tolist() == distances[asked, found].tolist()


@pytest.mark.parametrize("listed", [0, 1])
def test_empty_lists_and_questions(listed: int) -> None:
    hashes = random_hashes(np.random.default_rng(0), 3)
    matcher = HammingIndex(hashes[:listed], 31, narrowed(scheme_of(31, 1)), wide=True)
    assert [len(each) for each in matcher.pairs(hashes[1:1])] == [0, 0, 0]
    assert matcher.pairs(hashes)[0].tolist() == [0] * listed


def test_the_blocks_of_several_matchers_are_complete_together() -> None:
    draw = np.random.default_rng(5)
    listed = random_hashes(draw, 200)
    questions = np.stack([away(draw, pdq, 31) for pdq in listed])
    scheme = narrowed(scheme_of(31, 2))
    found: set[tuple[int, int]] = set()
    for first in range(0, scheme.blocks, 4):
        blocks = range(first, min(first + 4, scheme.blocks))
        asked, met, _ = HammingIndex(listed, 31, scheme, wide=True, blocks=blocks).pairs(questions)
        found |= set(zip(asked.tolist(), met.tolist(), strict=True))
    assert found == {(number, number) for number in range(200)}


@given(st.integers(0, 64), st.integers(1, 1 << 22), st.integers(1, 1 << 40))
def test_a_scheme_is_complete_and_its_tables_bounded(threshold: int, listed: int, questions: int) -> None:
    scheme = choose_scheme(threshold, listed, questions)
    assert scheme.blocks * (scheme.radius + 1) > threshold or scheme.blocks == 256
    assert scheme.blocks * scheme.width <= 256 and scheme.width <= 24
    assert listed * scheme.neighbours <= max(MAX_ENTRIES, listed)
    assert len(scheme_of(threshold, 1).flips) == scheme_of(threshold, 1).neighbours


@pytest.mark.parametrize("few", [0, 1 << 14])
def test_a_list_with_distances_of_its_own(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """For any number of rows and any distances, the result equals comparing all with all."""
    monkeypatch.setattr(matcher, "FEW_PAIRS", few)
    draw = np.random.default_rng(5)
    listed = random_hashes(draw, 700)
    allowed = np.array([(0, 8, 31, 31, 60, 62)[number % 6] for number in range(700)])
    rows = np.concatenate([[away(draw, listed[number], number % 70) for number in range(700)], random_hashes(draw, 50)])
    entries = [
        ("".join(f"{int(word):016x}" for word in pdq), int(bits)) for pdq, bits in zip(listed, allowed, strict=True)
    ]
    near = NearList(entries)
    expected = (all_distances(rows, listed) <= allowed).any(axis=1)
    assert near.near(rows.view(np.int64)).tolist() == expected.tolist() and 0 < expected.sum() < 750
    assert [bool(near.near(row.reshape(1, 4).view(np.int64))[0]) for row in rows[:40]] == expected[:40].tolist()
    assert not NearList([]).near(rows.view(np.int64)).any() and near.near(rows[:0].view(np.int64)).tolist() == []
