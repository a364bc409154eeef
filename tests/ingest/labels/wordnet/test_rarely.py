"""The shipped list has nouns of one word that are rather other words, and not those that name things."""

import pytest

from tagmill.ingest.labels.synsets import WordNet
from tagmill.ingest.labels.wordnet import rarely as module
from tagmill.ingest.labels.wordnet.rarely import rarely_nouns
from tagmill.shards.errors import TagmillError


def test_all_are_forms_of_nouns() -> None:
    assert rarely_nouns() <= WordNet.load().forms
    assert 2_500 < len(rarely_nouns()) < 4_500


def test_verbs_adjectives_and_participles_are_listed_and_things_are_not() -> None:
    assert {"red", "ride", "find", "swimming", "looking", "hands", "here"} <= rarely_nouns()
    assert rarely_nouns().isdisjoint(["dog", "building", "painting", "wedding", "evening", "glass", "stairs", "work"])


def test_a_missing_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RARELY_FILE", "none.txt")
    with pytest.raises(TagmillError, match=r"cannot be read.*install tagmill again"):
        rarely_nouns.__wrapped__()
