from collections import Counter

import pytest

from tagmill.demo.concepts import BY_NAME, CONCEPTS, apportion


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


@pytest.mark.parametrize("total", [0, 1, 31, 1000, 2475])
def test_apportion_keeps_the_total_and_stays_within_one(total: int) -> None:
    counts = Counter(concept.name for concept in apportion(total))
    assert counts.total() == total
    for concept in CONCEPTS:
        assert abs(counts[concept.name] - concept.share * total) < 1
