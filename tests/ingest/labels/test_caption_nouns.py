"""Nouns of captions: the longest ones, in order, once each; from any text, and never words that are something else there."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tagmill.ingest.labels.caption_nouns import FUNCTION_WORDS, MAX_WORDS, CaptionNouns
from tagmill.ingest.labels.hashtags import clean
from tagmill.ingest.labels.synsets import WordNet
from tagmill.ingest.labels.wordnet.rarely import rarely_nouns


def find(caption: str) -> list[str]:
    return CaptionNouns.load().find(caption)


@pytest.mark.parametrize(
    ("caption", "nouns"),
    [
        ("A dog and two dogs", ["dog"]),
        ("hot dog", ["hot dog"]),
        ("a dog, hot from the sun", ["dog", "sun"]),
        ("hot, dog", ["dog"]),  # only spaces and hyphens join
        ("golden retrievers at the fire hydrants", ["golden retriever", "fire hydrant"]),
        ("geese, oxen and axes", ["goose", "oxen", "axes"]),
        ("eyeglasses case", ["eyeglasses", "case"]),
        ("Dog's collar, dogs' collars, children’s shoes", ["dog", "collar", "child", "shoe"]),
        ("A CLOSE-UP OF A MERRY-GO-ROUND", ["closeup", "merry-go-round"]),
        ("a close up view", ["view"]),  # `up` ends no noun unless a hyphen says so
        ("woman at home", ["woman", "home"]),  # no at-home
        ("rain-coat for a T-shirt", ["raincoat", "t-shirt"]),
        ("St. Bernard in the snow", ["st bernard", "snow"]),
        ("one can see a red bus riding here", ["bus"]),
        ("a man swimming beside a painting", ["man", "painting"]),
        ("Mr. Brown met a lady on Sunday", ["lady", "sunday"]),  # brown is a name here
        ("Garden Hose Reel With Brass Nozzle", ["garden hose", "reel", "brass", "nozzle"]),  # a title
        ("look https://site.org/cat.jpg www.cat.org &amp; a #cat, a lamp", ["lamp"]),
        ("cafe\u0301 and café", ["cafe"]),
        ("red_car_on_the_road", ["car", "road"]),
        ("2015, 10 and 12 ox", []),  # numbers and two letters
        ("her hands and shoes, glasses and stairs", ["hand", "shoe", "glass", "stairs"]),  # shoes are also a situation
        ("", []),
        ("!!!", []),
        ("犬と猫", []),
    ],
)
def test_nouns_of(caption: str, nouns: list[str]) -> None:
    assert find(caption) == nouns


def test_named_entities_are_found_as_one_and_lead_to_no_label() -> None:
    assert find("the Golden Gate Bridge") == ["golden gate bridge"]
    assert WordNet.load().senses(clean("golden gate bridge")) == ()


def test_only_the_first_words_are_read() -> None:
    assert find("the " * (MAX_WORDS - 1) + "dog cat") == ["dog"]


@pytest.mark.parametrize("unit", ["a", "a ", "'", "a'", "-", "a-", "\u0301", "#", "&", "www.", "hot dog ", "hot-"])
def test_a_megabyte_is_read_as_far_as_its_first_words(unit: str) -> None:
    assert len(find(unit * (1_000_000 // len(unit)))) <= MAX_WORDS


WORDS = "hot dog dogs The at home red Red hands axes up close - , . ' # can does Brown 's St ice cream cone"
words = st.sampled_from([*WORDS.split(" "), " ", "\n"])
captions = st.text() | st.lists(words, max_size=30).map("".join) | st.lists(words, max_size=30).map(" ".join)


@given(captions)
@example("\ud800dog")
@example("close-up at-home passers-by")
def test_any_text_has_distinct_nouns_that_are_read_again_as_they_are(caption: str) -> None:
    nouns = find(caption)
    assert len(nouns) == len(set(nouns)) <= MAX_WORDS
    assert find(", ".join(nouns)) == nouns
    for noun in nouns:
        token = clean(noun)
        assert WordNet.load().senses(token, instances=True, short=True)
        assert token not in FUNCTION_WORDS and (" " in noun or "-" in noun or token not in rarely_nouns())


@given(st.lists(st.sampled_from(["dog", "cat", "golden retriever", "ice cream", "water bottle", "goose"]), unique=True))
def test_the_order_is_kept(nouns: list[str]) -> None:
    assert find(" and ".join(nouns)) == nouns
    assert find("; ".join(f"a {noun}" for noun in nouns)) == nouns
