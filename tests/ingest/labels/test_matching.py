"""Tags lead to labels by the rules; user files are checked line by line and identified by their content."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.labels import matching
from tagmill.ingest.labels.hashtags import clean
from tagmill.ingest.labels.matching import MatchRules, TagMatcher, splits
from tagmill.ingest.labels.synsets import LEXFILES, MIN_TOKEN_CHARS, SenseRule, SynsetSet, WordNet, labels_of
from tagmill.shards.errors import ConfigError, TagmillError
from tagmill.shards.storage.store import Store

NOUNS = WordNet.load()
DOG, CRANE_BIRD, CRANE_MACHINE = "n02084071", "n02012849", "n03126707"
PLAIN = TagMatcher(MatchRules())
COMPOUNDS = TagMatcher(MatchRules(compounds=True))
ALL_OFF = {
    "rule": "merge",
    "instances": False,
    "lexfiles": [],
    "compounds": False,
    "aliases": None,
    "translations": None,
    "stop": None,
}
any_text = st.text(st.characters()) | st.sampled_from(sorted(NOUNS.forms)).map("#{}s".format)  # surrogates too


def labels(tag: str, **rules: Any) -> tuple[SynsetSet, ...]:
    return TagMatcher(MatchRules(**rules)).match(tag).labels


def file(folder: Path, content: str | bytes, name: str = "words.tsv") -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


@given(any_text, st.sampled_from(["merge", "first", "all"]), st.booleans())
def test_without_options_a_tag_has_the_labels_of_its_token(tag: str, rule: SenseRule, instances: bool) -> None:
    match = TagMatcher(MatchRules(rule, instances)).match(tag)
    assert match == (clean(tag), labels_of(clean(tag), rule, instances=instances))


@pytest.mark.parametrize("matcher", [PLAIN, COMPOUNDS])
@pytest.mark.parametrize("tag", ["", "#", "\ud800", "\0", "a" * 1_000_000, "\u0300" * 500_000, "🐶" * 100_000])
def test_any_text_is_matched(matcher: TagMatcher, tag: str) -> None:
    assert matcher.match(tag).labels == ()
    assert matcher.no_match_reason(clean(tag)) in ("too_short", "not_a_noun")


@given(any_text, st.sets(st.sampled_from(sorted(LEXFILES)), min_size=1, max_size=3), st.booleans())
def test_synsets_of_other_files_are_removed_before_merging(tag: str, names: set[str], instances: bool) -> None:
    rules = MatchRules(lexfiles=tuple(names), instances=instances)
    numbers = {LEXFILES[name] for name in names}
    kept = [synset for synset in NOUNS.lookup(clean(tag), instances=instances) if NOUNS.lexfile(synset) in numbers]
    assert TagMatcher(rules).match(tag).labels == ((tuple(kept),) if kept else ())


def test_a_filter_decides_what_is_one_label() -> None:
    assert labels("#cranes") == ((CRANE_BIRD, CRANE_MACHINE),)
    assert labels("#cranes", lexfiles=("animal",)) == ((CRANE_BIRD,),)
    assert labels("#crane", lexfiles=("animal",), rule="first") == ((CRANE_BIRD,),), "the commonest of those that stay"
    assert labels("#animal", lexfiles=("animal",)) == (), "the heads of files have a file of their own"
    assert labels("#animal", lexfiles=("animal", "tops")) == (NOUNS.lookup("animal"),)


def test_compounds_have_the_labels_of_both_halves() -> None:
    sunset, beach, beaches = (labels_of(word)[0] for word in ("sunset", "beach", "beaches"))
    assert labels("#SunsetBeach") == ()
    assert labels("#SunsetBeach", compounds=True) == (sunset, beach)
    assert labels("#sunset_beaches", compounds=True) == (sunset, beaches)
    assert labels("#sunsetsunset", compounds=True) == (sunset,), "no label twice"
    assert labels("#canada", compounds=True) == (), "a named entity is no can of Ada"
    assert labels("#hotdog", compounds=True) == labels("#hotdog") != (), "a noun is not split"
    assert len(labels("#sunsetcrane", compounds=True, rule="all")) == len(sunset) + 2
    assert labels("#photocat", compounds=True, lexfiles=("animal",)) == (), "both halves must have a label"


def test_a_compound_with_several_splits_takes_the_longest_last_word() -> None:
    assert labels_of("cats") and labels_of("tar")
    assert labels("#catstar", compounds=True) == labels_of("cat") + labels_of("star")


@given(st.text("abc0é", max_size=12))
def test_splits_are_all_of_them_the_longest_last_word_first(token: str) -> None:
    found = list(splits(token))
    assert all(first + last == token for first, last in found)
    assert [len(last) for _, last in found] == list(range(len(token) - MIN_TOKEN_CHARS, MIN_TOKEN_CHARS - 1, -1))
    assert all(len(half) >= MIN_TOKEN_CHARS for halves in found for half in halves)


@given(any_text)
def test_only_what_means_nothing_is_split(tag: str) -> None:
    plain, split = PLAIN.match(tag), COMPOUNDS.match(tag)
    if NOUNS.lookup(plain.token, instances=True):
        assert split == plain
    halves = {label for parts in splits(plain.token) for part in parts for label in PLAIN.match(part).labels}
    assert set(split.labels) <= set(plain.labels) | halves


def test_an_alias_is_read_as_its_noun(tmp_path: Path) -> None:
    text = f"#GSD\tgerman shepherd\nox\tox_herd\npuppers\t{DOG}\ncrane\tbear\nkitty\tcats\nmunich\tmunich\n"
    with pytest.raises(ConfigError, match=r"'ox_herd' is no noun.*words\.tsv, line 2.*give a noun"):
        MatchRules(aliases=file(tmp_path, text))
    aliases = file(tmp_path, text.replace("ox_herd", "cattle"))
    assert labels("gsd", aliases=aliases) == labels_of("germanshepherd") != ()
    assert labels("#ox", aliases=aliases) == labels_of("cattle"), "short tokens may have meanings"
    assert labels("#puppers", aliases=aliases) == ((DOG,),)
    assert labels("#crane", aliases=aliases) == labels_of("bear"), "and not as itself"
    assert labels("#kitty", aliases=aliases) == labels_of("cat")
    assert labels("#munich", aliases=aliases) == ()
    assert len(labels("#munich", aliases=aliases, instances=True)) == 1
    assert labels("#crane", aliases=aliases, rule="first") == labels_of("bear", "first")
    assert labels("#gsdbeach", aliases=aliases, compounds=True) == labels_of("germanshepherd") + labels_of("beach")


def test_a_translation_is_used_only_where_the_plain_match_finds_nothing(tmp_path: Path) -> None:
    translations = file(tmp_path, "\ufeffKöter\tcur\r\n犬,\tdog\n\nessen\tfood\nroble,oak\tn12268246\nchat\tcat\n")
    assert labels("#köter", translations=translations) == labels_of("cur")
    assert labels("#犬", translations=translations) == labels_of("dog")
    assert labels("#roble-oak", translations=translations) == (("n12268246",),)
    assert labels("#chat", translations=translations) == labels_of("chat")
    assert labels("#essen", translations=translations) == labels_of("food"), "the city is no label"
    assert len(labels("#essen", translations=translations, instances=True)[0]) == 1
    compounds = file(tmp_path, "sunsetbeach\tdog\n", "more.tsv")
    assert labels("#sunsetbeach", translations=compounds, compounds=True) == labels_of("dog")


def test_stopped_tokens_lead_to_nothing(tmp_path: Path) -> None:
    stop = file(tmp_path, "\n#Beach\nDOG  \nlove\r\n", "stop.txt")
    aliases = file(tmp_path, "dog\tcat\n")
    for tag in ("#beach", "BEACH", "#dog", "#love"):
        assert labels(tag, stop=stop, aliases=aliases, compounds=True) == ()
    assert labels("#beaches", stop=stop) == labels_of("beach"), "a plural is another token"
    assert labels("#sunsetbeach", stop=stop, compounds=True) == ()


def test_csv_files_have_commas_and_quotes(tmp_path: Path) -> None:
    path = file(tmp_path, 'gsd,german shepherd\n"good, boy",dog\n', "words.CSV")
    assert labels("#goodboy", aliases=path) == labels_of("dog")
    assert labels("#gsd", aliases=path) == labels_of("germanshepherd")


def test_files_are_read_through_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store("memory://matching").put("words.tsv", b"gsd\tdog\n")
    assert labels("#gsd", aliases="memory://matching/words.tsv") == labels_of("dog")
    file(tmp_path, "gsd\tcat\n")
    monkeypatch.chdir(tmp_path)
    assert labels("#gsd", aliases="words.tsv") == labels_of("cat")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"cat\tdog\n\ngsd\tdog\n\xff\tdog\n", r"not text in UTF-8 .*line 4"),
        (b"\xef\xbb\xbfcat\tdog\n\xff\tdog\n", r"not text in UTF-8 .*line 2"),
        ("gsd\tdog\ncat\n", r"1 columns where two .*line 2"),
        ("gsd\tdog\tcat\n", r"3 columns where two .*line 1"),
        ("gsd\tn02084072\n", r"'n02084072' is no noun .*line 1"),
        ("gsd\t\n", r"'' is no noun .*line 1"),
        ("gsd\tdog\n#\tdog\n", r"'#' is no token .*line 2"),
        (f"gsd\tdog\n{'a' * 65}\tdog\n", r"is no token .*line 2"),
        ("gsd\tdog\n\nGSD\tcat\n", r"'gsd' appears twice .*line 3 and line 1"),
        ("gsd\tdog\n" + "a" * 200_000 + "\tdog\n", r"cannot be read: field larger .*line 2"),
    ],
)
@pytest.mark.parametrize("name", ["aliases", "translations"])
def test_errors_in_word_files_name_the_line(tmp_path: Path, name: str, content: str | bytes, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as raised:
        MatchRules(**{name: file(tmp_path, content)})
    assert "words.tsv" in raised.value.where and raised.value.remedy


def test_equal_repeated_lines_are_no_error(tmp_path: Path) -> None:
    assert labels("#gsd", aliases=file(tmp_path, "gsd\tdog\n#GSD\tdogs\n")) == labels_of("dog")


def test_errors_in_stop_files_name_the_line(tmp_path: Path) -> None:
    for content, says in ((b"cat\n\xff\n", "UTF-8 .*line 2"), (b"cat\n...\n", r"'\.\.\.' is no token .*line 2")):
        with pytest.raises(ConfigError, match=says):
            MatchRules(stop=file(tmp_path, content))


def test_files_that_are_missing_or_too_large_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("aliases", "translations", "stop"):
        with pytest.raises(ConfigError, match=r"no such file.*nothing"):
            MatchRules(**{name: str(tmp_path / "nothing")})
        with pytest.raises(TagmillError, match="a folder, where a file is wanted"):
            MatchRules(**{name: str(tmp_path)})
    path = file(tmp_path, "gsd\tdog\n")
    monkeypatch.setattr(matching, "MAX_FILE_BYTES", 8)
    assert labels("#gsd", aliases=path)
    monkeypatch.setattr(matching, "MAX_FILE_BYTES", 7)
    with pytest.raises(ConfigError, match="give a shorter list"):
        MatchRules(aliases=path)


def test_unknown_rules_and_files_of_nouns_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"no rule 'best' .*merge, first, all"):
        MatchRules(rule="best")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"no file of nouns 'beast' .*animal"):
        MatchRules(lexfiles=("animal", "beast"))


def test_the_recipe_is_what_labels_depend_on(tmp_path: Path) -> None:
    assert MatchRules().recipe() == ALL_OFF
    words = file(tmp_path, "gsd\tdog\n")
    rules = MatchRules("all", True, ("food", "animal", "food"), True, words, words, words)
    recipe = json.loads(json.dumps(rules.recipe()))
    assert recipe.keys() == ALL_OFF.keys() and recipe["lexfiles"] == ["animal", "food"]
    elsewhere = file(tmp_path, "gsd\tdog\n", "elsewhere.tsv")
    moved = MatchRules("all", True, ("animal", "food"), True, elsewhere, elsewhere, elsewhere)
    assert moved.recipe() == recipe, "paths do not matter"
    for name in ("aliases", "translations", "stop"):
        other = file(tmp_path, "gsd\tcat\n" if name != "stop" else "gsd\n", "other.tsv")
        assert MatchRules(**{name: other}).recipe()[name] not in (None, recipe[name])


def test_rules_with_a_changed_file_are_not_equal(tmp_path: Path) -> None:
    path = file(tmp_path, "gsd\tdog\n")
    before, same = MatchRules(aliases=path), MatchRules(aliases=path)
    assert before == same and hash(before) == hash(same)
    file(tmp_path, "gsd\tcat\n")
    assert MatchRules(aliases=path) != before
    with pytest.raises(ConfigError, match="changed since the rules were made"):
        TagMatcher(before)


def test_a_matcher_is_pickled_as_its_rules(tmp_path: Path) -> None:
    rules = MatchRules(
        "first",
        lexfiles=("animal",),
        aliases=file(tmp_path, "gsd\tdog\n"),
        stop=file(tmp_path, "cat\n", "stop"),
    )
    packed = pickle.dumps(TagMatcher(rules))
    assert len(packed) < 1_000
    again = pickle.loads(packed)  # noqa: S301
    for tag in ("#gsd", "#cat", "#crane", "#instagood"):
        assert again.match(tag) == TagMatcher(rules).match(tag)


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("love", "stopped"),
        ("ox", "too_short"),
        ("", "too_short"),
        ("instagood", "not_a_noun"),
        ("кошка", "not_a_noun"),
        ("eiffeltower", "named_entity"),
        ("happiness", "other_file"),
        ("gsd", "other_file"),
        ("xxmunich", "named_entity"),
        ("hund", "other_file"),
        ("dog", None),
        ("cranes", None),
    ],
)
def test_why_a_token_has_no_label(tmp_path: Path, token: str, why: str | None) -> None:
    rules = MatchRules(
        lexfiles=("animal", "location"),
        stop=file(tmp_path, "love", "stop.txt"),
        aliases=file(tmp_path, "gsd\tfurniture\nxxmunich\tmunich\n"),
        translations=file(tmp_path, "hund\tfurniture\n", "hund.tsv"),
    )
    assert TagMatcher(rules).no_match_reason(token) == why
    assert bool(TagMatcher(rules).match(token).labels) == (why is None)


@given(any_text, st.booleans(), st.sampled_from([(), ("animal",), ("artifact", "tops")]))
def test_a_reason_is_given_if_and_only_if_there_is_no_label(
    tag: str, instances: bool, lexfiles: tuple[str, ...]
) -> None:
    matcher = TagMatcher(MatchRules(instances=instances, lexfiles=lexfiles))
    match = matcher.match(tag)
    why = matcher.no_match_reason(match.token)
    assert (why is None) == bool(match.labels)
    assert why != "stopped" and (why != "other_file" or lexfiles) and (why != "named_entity" or not instances)


def test_short_tokens_lead_to_labels_where_they_are_read() -> None:
    assert labels("#tv") == labels("#OX") == () and TagMatcher(MatchRules()).no_match_reason("tv") == "too_short"
    assert labels("#tv", short_tokens=True) == (("n04405907", "n06277280"),)
    assert "n02403003" in labels("#OX", short_tokens=True)[0]
    assert TagMatcher(MatchRules(short_tokens=True)).no_match_reason("qq") == "not_a_noun"
    assert labels("#tvbox", short_tokens=True, compounds=True) == ()  # halves have three letters still


def test_entities_of_a_vocabulary_stay() -> None:
    sun = "n09450163"
    rules = MatchRules(entities=(sun,))
    assert sun in TagMatcher(rules).match("#sun").labels[0] and sun not in labels("#sun")[0]
    assert TagMatcher(rules).match("#paris") == TagMatcher(MatchRules()).match("#paris")
    assert sun in TagMatcher(MatchRules(entities=(sun,), lexfiles=("object",))).match("#sun").labels[0]
    assert MatchRules(entities=(sun,), instances=True) == MatchRules(instances=True)


def test_options_that_are_off_are_not_in_the_recipe() -> None:
    """Recipes name the folders of views: older ones keep their digest."""
    plain = {"rule": "merge", "instances": False, "lexfiles": [], "compounds": False}
    assert MatchRules().recipe() == {**plain, "aliases": None, "translations": None, "stop": None}
    assert MatchRules(short_tokens=True).recipe()["short_tokens"] is True
    assert MatchRules(entities=("n09450163",)).recipe().keys() - MatchRules().recipe().keys() == {"entities"}
