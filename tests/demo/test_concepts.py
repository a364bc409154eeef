from collections import Counter

import pytest

from tagmill.demo.concepts import BY_NAME, CONCEPTS, apportion, zipf_shares


def test_names_and_synsets_are_unique_and_well_formed() -> None:
    assert len(CONCEPTS) >= 28
    assert len(BY_NAME) == len(CONCEPTS) == len({concept.synset for concept in CONCEPTS})
    for concept in CONCEPTS:
        assert concept.name.isalpha() and concept.name.islower()
        assert len(concept.synset) == 9 and concept.synset[0] == "n" and concept.synset[1:].isdigit()


def test_shares_are_mildly_zipfian() -> None:
    shares = [concept.share for concept in CONCEPTS]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)
    assert shares[0] <= 0.09 and shares[-1] >= 0.015


def test_shares_follow_zipfs_law() -> None:
    shares = zipf_shares(1.0)
    assert sum(shares) == pytest.approx(1) and shares[0] == pytest.approx(len(CONCEPTS) * shares[-1])
    assert zipf_shares(0) == pytest.approx([1 / len(CONCEPTS)] * len(CONCEPTS))
    counts = Counter(concept.name for concept in apportion(1000, 1.0))
    assert counts.total() == 1000 and all(
        abs(counts[concept.name] - 1000 * share) < 1 for concept, share in zip(CONCEPTS, shares, strict=True)
    )


@pytest.mark.parametrize("total", [0, 1, 31, 1000, 2475])
def test_apportion_keeps_the_total_and_stays_within_one(total: int) -> None:
    counts = Counter(concept.name for concept in apportion(total))
    assert counts.total() == total
    for concept in CONCEPTS:
        assert abs(counts[concept.name] - concept.share * total) < 1
