"""Questions of people: which search answers each, and what to ask instead of one that has no answer."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.browse.search.cursor import Cursor
from tagmill.browse.search.matchers import FromHost, WithKey, WithLabel, WithTag
from tagmill.browse.search.query import label_named, prepare
from tagmill.browse.search.scan import scan
from tagmill.browse.search.snapshot import CorpusWatch, Snapshot
from tagmill.shards.errors import ConfigError, TagmillError
from tagmill.shards.vocabulary import Label, Vocabulary
from tests.shards.corpora import VOCABULARY, make_corpus


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    folder: Path = tmp_path_factory.mktemp("corpus")
    make_corpus(str(folder / "corpus"), folder / "spool")
    return CorpusWatch(str(folder / "corpus"), None).now()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("bear", "bear"),
        ("Bears", "bear"),
        ("#bear", "bear"),
        ("oak tree", "oak"),
        ("n12268246", "oak"),
        ("n03126707", "crane"),
    ],
)
def test_a_label_is_found_by_name_token_word_and_synset(text: str, name: str) -> None:
    assert label_named(VOCABULARY, text).name == name


def test_a_name_comes_before_a_token_and_several_are_listed() -> None:
    both = {"jaguar": 1}
    vocabulary = Vocabulary((Label(0, "cat", ("n1",), (), both), Label(1, "car", ("n2",), (), both)))
    with pytest.raises(ConfigError, match=r"2 labels fit 'jaguar'.*give the name of one: cat, car"):
        label_named(vocabulary, "jaguar")
    assert label_named(vocabulary, "car").id == 1


def test_a_label_that_is_not_there_is_answered_with_similar_ones() -> None:
    with pytest.raises(ConfigError, match=r"no label 'ear'.*similar: bear"):
        label_named(VOCABULARY, "ear")


def test_a_synset_means_itself_and_all_below_it(snapshot: Snapshot) -> None:
    animals = prepare(snapshot, "synset", "n00015388", "default")
    assert [label.name for label in animals.labels] == ["bear", "crane"]
    assert animals.matcher == WithLabel("default", (0, 1)) and "animal" in animals.title
    with pytest.raises(ConfigError, match="below n02084071"):
        prepare(snapshot, "synset", "n02084071", "default")


@pytest.mark.parametrize(
    ("by", "text", "matcher"),
    [
        ("tag", "#Brown Bear", WithTag("brownbear")),
        ("host", "https://user@Example.org:8080/x?y#z", FromHost("example.org")),
        ("host", "EXAMPLE.org", FromHost("example.org")),
        ("key", " 00AAFF11 ", WithKey("00aaff11")),
        ("id", "2", WithLabel("default", (2,))),
    ],
)
def test_words_become_what_is_searched(snapshot: Snapshot, by: str, text: str, matcher: object) -> None:
    assert prepare(snapshot, by, text, "default").matcher == matcher


@pytest.mark.parametrize(
    ("by", "text", "view", "what"),
    [
        ("key", "00aaff1", "default", "no key"),
        ("key", "00", "default", "no key"),
        ("key", "zz" * 16, "default", "no key"),
        ("host", "", "default", "empty"),
        ("host", "http://[", "default", "no host"),
        ("tag", "!?", "default", "no letters"),
        ("id", "3", "default", "ids are 0 to 2"),
        ("id", "-1", "default", "no label"),
        ("label", "bear", "other", "no view 'other'"),
        ("colour", "red", "default", "no search by 'colour'"),
        ("tag", "x" * 501, "default", "501 characters"),
    ],
)
def test_what_has_no_answer_is_refused(snapshot: Snapshot, by: str, text: str, view: str, what: str) -> None:
    with pytest.raises(TagmillError, match=what):
        prepare(snapshot, by, text, view)


@settings(max_examples=40)
@given(by=st.sampled_from(["label", "synset", "tag", "host", "key", "id", "all", "x"]), text=st.text(max_size=40))
def test_any_text_is_searched_or_refused(snapshot: Snapshot, by: str, text: str) -> None:
    try:
        search = prepare(snapshot, by, text, "default")
    except TagmillError as error:
        assert str(error)
    else:
        assert not scan(snapshot, search.matcher, Cursor(), 3).errors
