"""Tags without labels, and the likely cause: found by reading them in other ways."""

from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.labels.coverage import (
    MIN_LABEL_SHARE,
    UNMATCHED_REPORTED,
    FewLabels,
    Reading,
    clip_tag,
    few_labels,
    find_joined_tags,
)
from tagmill.ingest.labels.matching import MatchRules, TagMatcher

MATCHER = TagMatcher(MatchRules())
TAGS = Reading(tags_column="tags")


def found(tags: dict[str, int], reading: Reading = TAGS, matcher: TagMatcher = MATCHER, **more: Any) -> FewLabels:
    without = {tag: count for tag, count in tags.items() if not matcher.match(tag).labels}
    few = few_labels(sum(tags.values()), sum(tags.values()) - sum(without.values()), without, matcher, reading, **more)
    assert few is not None
    return few


@pytest.mark.parametrize(
    ("separator", "given_so"),
    [(";", "';'"), ("|", "'|'"), ("/", "/"), ("\t", "'\\t'"), (" ", "' '"), ("、", "'、'"), ("，", "'，'")],
)
def test_a_missed_separator_is_found(separator: str, given_so: str) -> None:
    few = found({separator.join(["cat", "sofa", "instagood"]): 3, separator.join(["dog", "beach"]): 5, "xyzzy": 1})
    assert few.cause == "separator" and few.remedy == f"give --tags-separator {given_so}"
    assert few.unmatched[0].tags == 5 and separator in few.unmatched[0].written


@pytest.mark.parametrize(
    ("tags", "reading", "cause", "remedy"),
    [
        (
            ["a photo of my cat on the sofa", "the dog is at the beach"],
            TAGS,
            "captions",
            "--caption-column tags --caption-nouns",
        ),
        (
            ["my cat #cute #cat", "look at this #dog"],
            TAGS,
            "captions",
            "--caption-column tags in place of --tags-column",
        ),
        (["4711", "#17", "3"], TAGS, "numbers", "--tags-column"),
        (["xyzzy", "blorb", "barackobama"], TAGS, "words", "--translations or --aliases"),
        (["barackobama", "eiffeltower"], TAGS, "rules", "--instances"),
        (["tv", "ox", "me"], TAGS, "rules", "--short-tokens"),
        (["猫", "собака"], TAGS, "words", "--translations"),
        (["instagood", "tbt"], TAGS, "words", "--aliases"),
        ([], TAGS, "no_tags", "--tags-column"),
        ([], Reading(), "no_tags", "--tags-column"),
        ([], Reading("tags", plain=True), "no_tags", "a column of tags"),
        ([], Reading(caption_column="TEXT"), "no_tags", "--caption-nouns, or name a column of tags by --tags-column"),
        ([], Reading(caption_column="TEXT", caption_nouns=True), "no_tags", "name a column of tags by --tags-column"),
        ([], Reading("tags", folders=True), "no_tags", "--tags-from-folder"),
    ],
)
def test_the_likely_cause(tags: list[str], reading: Reading, cause: str, remedy: str) -> None:
    few = found(dict.fromkeys(tags, 2), reading)
    assert few.cause == cause and remedy in few.remedy
    assert few.why in few.message and few.remedy in few.message and "\n" not in few.message


def test_the_excluding_rule_is_named(tmp_path: Any) -> None:
    (tmp_path / "stop").write_text("cat\ndog\n")
    few = found({"#cat": 3, "Dog": 1}, matcher=TagMatcher(MatchRules(stop=str(tmp_path / "stop"))))
    assert few.cause == "rules" and "--stop" in few.remedy and few.unmatched[0].token == "cat"
    few = found({"#cat": 3}, matcher=TagMatcher(MatchRules(lexfiles=("food",))))
    assert few.cause == "rules" and "--lexfiles" in few.why


def test_folders_whose_names_are_labels() -> None:
    for tags in ({}, {"4711": 3, "4712": 2}):
        few = found(tags, folders={"brown_bear": 900, "misc": 100})
        assert few.cause == "folders" and few.remedy == "give --tags-from-folder" and "brown_bear" in few.why
    assert found({}, folders={"0001": 5, "dcim_2": 4}).cause == "no_tags"


def test_enough_labels_give_no_warning() -> None:
    assert few_labels(100, 5, {"xyzzy": 95}, MATCHER, TAGS) is None
    assert few_labels(100, 4, {"xyzzy": 96}, MATCHER, TAGS) is not None
    assert few_labels(0, 0, {}, MATCHER, TAGS) is not None


@given(
    st.dictionaries(st.text(max_size=30).map(clip_tag), st.integers(1, 9), max_size=20),
    st.dictionaries(st.text(max_size=9), st.integers(1, 9), max_size=3),
    st.builds(Reading, st.none() | st.text(), st.none() | st.text(), st.booleans(), st.booleans(), st.booleans()),
)
def test_any_tags_have_a_cause_that_survives_the_report(
    tags: dict[str, int], folders: dict[str, int], reading: Reading
) -> None:
    without = {tag: count for tag, count in tags.items() if not MATCHER.match(tag).labels}
    total, bare = sum(tags.values()), sum(without.values())
    few = few_labels(total, total - bare, without, MATCHER, reading, folders)
    assert (few is None) == (total > 0 and total - bare >= MIN_LABEL_SHARE * total)
    if few:
        assert FewLabels.of(asdict(few)) == few and len(few.unmatched) <= UNMATCHED_REPORTED
        assert [each.tags for each in few.unmatched] == sorted(without.values(), reverse=True)[:UNMATCHED_REPORTED]
        assert "\n" not in few.message.replace(few.why, "")


def test_joined_tags_are_reported_where_most_tags_match() -> None:
    def said(without: dict[str, int], tags: int) -> str | None:
        return find_joined_tags(tags, without, MATCHER)

    told = said({"cat;dog": 2, "xyzzy": 3}, 40)
    assert told is not None and told.startswith("5.0% of 40 tags, such as 'cat;dog'") and "';'" in told
    assert said({"cat;dog": 1, "xyzzy": 3}, 51) is None  # so few may be a person's slip
    assert said({"cat &amp; dog": 9, "cat;xyzzy": 9, "hot dog bun": 9}, 40) is None
    assert said({}, 0) is None
