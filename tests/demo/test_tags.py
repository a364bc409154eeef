import unicodedata
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tagmill.demo.concepts import CONCEPTS, Concept
from tagmill.demo.tags import CHATTER, FOREIGN, NOUNS, hashtags


def plain(tag: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", tag).casefold())
    return "".join(letter for letter in folded if letter.isalnum())


def forms(concept: Concept) -> set[str]:
    return {plain(word) for word in (*concept.words, *concept.plurals)}


SAMPLE = [(CONCEPTS[k % len(CONCEPTS)], hashtags(np.random.default_rng([1, k]), CONCEPTS[k % len(CONCEPTS)]))
          for k in range(4000)]  # fmt: skip


@given(st.integers(0, 2**32), st.sampled_from(CONCEPTS))
def test_there_are_always_tags_and_they_repeat(seed: int, concept: Concept) -> None:
    tags = hashtags(np.random.default_rng(seed), concept)
    assert tags == hashtags(np.random.default_rng(seed), concept)
    assert tags and all(isinstance(tag, str) and tag.strip("#") and not tag.startswith("##") for tag in tags)


def test_about_four_tags_name_the_image_and_little_else() -> None:
    assert 3.6 < np.mean([len(tags) for _, tags in SAMPLE]) < 4.4
    everything = {form: concept.name for concept in CONCEPTS for form in forms(concept)}
    right = wrong = 0
    for concept, tags in SAMPLE:
        named = {everything[plain(tag)] for tag in tags if plain(tag) in everything}
        right += concept.name in named
        wrong += bool(named - {concept.name})
    assert 0.97 < right / len(SAMPLE) < 0.995
    assert 0.01 < wrong / len(SAMPLE) < 0.03


def test_every_way_of_writing_occurs() -> None:
    tags = [tag for _, written in SAMPLE for tag in written]
    bare = {tag.strip("#") for tag in tags}
    assert {"HotAirBalloon", "hot_air_balloon", "SailingBoat", "cacti", "butterflies", "LADYBUG", "snowmen"} <= bare
    assert any(plain(tag) == "car" and not tag.isascii() for tag in bare)
    assert 0.5 < sum(tag.startswith("#") for tag in tags) / len(tags) < 0.7


def test_chatter_nouns_are_rare_and_chatter_names_no_concept() -> None:
    counts = Counter(plain(tag) for _, tags in SAMPLE for tag in {plain(tag) for tag in tags})
    assert all(0 < counts[noun] / len(SAMPLE) < 0.04 for noun in NOUNS)
    assert counts[plain(CHATTER[0])] > counts[plain(CHATTER[20])] > 0
    words = {form for concept in CONCEPTS for form in forms(concept)}
    assert not words & {plain(tag) for tag in (*CHATTER, *FOREIGN, *NOUNS)}
