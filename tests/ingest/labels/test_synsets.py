"""Tokens lead to their synsets by the matching rule, on all of WordNet and on the ImageNet classes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.labels.hashtags import clean
from tagmill.ingest.labels.synsets import (
    LEXFILES,
    MIN_TOKEN_CHARS,
    SenseRule,
    WordNet,
    labels_from,
    labels_of,
    parse_set,
    set_text,
)
from tagmill.ingest.labels.wordnet.imagenet import imagenet
from tagmill.shards.errors import TagmillError

CRANES = ("n02012849", "n03126707")  # the bird, the machine
synset_sets = st.sets(st.from_regex(r"n[0-9]{8}", fullmatch=True), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def nouns() -> WordNet:
    return WordNet.load()


def test_synonyms_lead_to_one_set(nouns: WordNet) -> None:
    assert nouns.lookup("brownbear") == nouns.lookup("ursusarctos") == ("n02132136",)
    assert nouns.lemmas("n02132136") == ("brown_bear", "bruin", "Ursus_arctos")


@pytest.mark.parametrize(
    ("token", "singular"),
    [
        ("brownbears", "brownbear"),
        ("goldenretrievers", "goldenretriever"),
        ("buses", "bus"),
        ("foxes", "fox"),
        ("churches", "church"),
        ("brushes", "brush"),
        ("snowmen", "snowman"),
        ("strawberries", "strawberry"),
        ("jeans", "jean"),
        ("geese", "goose"),  # from the list of irregular plurals
        ("wolves", "wolf"),
    ],
)
def test_plurals_lead_where_the_singular_leads(nouns: WordNet, token: str, singular: str) -> None:
    assert nouns.lookup(token) == nouns.lookup(singular) != ()


def test_the_first_stage_that_hits_decides(nouns: WordNet) -> None:
    assert nouns.lookup("glasses") == ("n04272054",)  # spectacles, although `glass` is a noun too
    assert "n02402425" in nouns.lookup("oxen")  # cattle: a lemma itself, so the list of plurals is not asked
    assert nouns.lookup("glass") == nouns.lookup("glass", instances=True)


def test_a_stage_with_several_base_forms_gives_their_union(nouns: WordNet) -> None:
    axe = nouns.lookup("axe")
    assert axe and set(nouns.lookup("axes")) == set(axe) | set(nouns.lookup("axis"))
    ellipse = nouns.lookup("ellipse")
    assert ellipse and not set(ellipse) & set(nouns.lookup("ellipses"))  # the list says `ellipsis` and decides


def test_named_entities_are_removed_by_default(nouns: WordNet) -> None:
    assert nouns.lookup("crane") == CRANES
    everything = nouns.lookup("crane", instances=True)
    assert len(everything) == 5
    assert {synset for synset in everything if nouns.is_instance(synset)} == set(everything) - set(CRANES)
    assert nouns.lookup("eiffeltower") == ()
    assert len(nouns.lookup("eiffeltower", instances=True)) == 1
    assert nouns.lookup("wales") == ()  # the country, and no plural of `wale`


@pytest.mark.parametrize(
    "token", ["", "he", "or", "ox", "has", "was", "his", "instagood", "кошка", "brown_bear", "\ud800"]
)
def test_tokens_without_synsets(nouns: WordNet, token: str) -> None:
    assert nouns.lookup(token) == nouns.senses(token) == ()
    assert labels_of(token) == labels_of(token, "first") == labels_of(token, "all") == ()


@given(st.text(st.characters()) | st.text("abcmensxzhiy", max_size=8))
def test_lookup_is_total_and_ascending(token: str) -> None:
    nouns = WordNet.load()
    found = nouns.lookup(token)
    assert list(found) == sorted(set(found)) == sorted(nouns.senses(token))
    assert set(found) <= set(nouns.lookup(token, instances=True))
    assert all(synset in nouns and not nouns.is_instance(synset) for synset in found)


def test_every_form_leads_to_the_synsets_that_have_it(nouns: WordNet) -> None:
    for form in list(nouns.forms)[::50]:
        if len(form) >= MIN_TOKEN_CHARS:
            found = nouns.lookup(form, instances=True)
            assert found and all(form in map(clean, nouns.lemmas(synset)) for synset in found)


def words_of_imagenet(nouns: WordNet) -> set[tuple[str, str]]:
    """Yields (form, synset) of every lemma of the ImageNet-21k classes, squashed."""
    return {(clean(lemma), synset) for synset in imagenet("in21k") for lemma in nouns.lemmas(synset)}


def leads_to(token: str, synset: str) -> bool:
    return any(synset in label for label in labels_of(token))


def test_every_word_of_imagenet_21k_leads_to_a_label_with_its_class(nouns: WordNet) -> None:
    """All 36,399 forms of 21,841 classes, except what the rule leaves out: short forms, and four named entities."""
    words = words_of_imagenet(nouns)
    assert (len(words), len({form for form, _ in words})) == (40_204, 36_399)
    short = {(form, synset) for form, synset in words if len(form) < MIN_TOKEN_CHARS}
    named = {(form, synset) for form, synset in words if nouns.is_instance(synset)}
    assert (len(short), len({form for form, _ in short}), len(named)) == (37, 32, 11)
    assert {(form, synset) for form, synset in words if not leads_to(form, synset)} == short | named


def plural(form: str) -> str:
    """Returns the regular English plural, which the endings of morphy undo."""
    if form.endswith("man"):
        return form.removesuffix("man") + "men"
    if form.endswith("y") and form[-2] not in "aeiou":
        return form.removesuffix("y") + "ies"
    return form + ("es" if form.endswith(("s", "x", "z", "ch", "sh")) else "s")


def test_regular_plurals_of_imagenet_21k_lead_to_a_label_with_its_class(nouns: WordNet) -> None:
    """All but three, whose plural WordNet lists as the irregular plural of another word (`syringes`: `syrinx`)."""
    tried = {
        (form, synset)
        for form, synset in words_of_imagenet(nouns)
        if len(form) >= MIN_TOKEN_CHARS and not nouns.is_instance(synset) and plural(form) not in nouns.forms
    }
    missed = {form for form, synset in tried if not leads_to(plural(form), synset)}
    assert len({form for form, _ in tried}) == 36_073
    assert missed == {"syringe", "ellipse", "frijole"}


def test_hypernyms_hyponyms_and_lexicographer_files(nouns: WordNet) -> None:
    assert nouns.hypernyms("n02132136") == ("n02131653",)  # brown bear: bear
    assert nouns.hypernyms("n00001740") == ()  # entity
    assert "n02132136" in nouns.hyponyms("n02131653") and nouns.hyponyms("n02131653") == tuple(
        sorted(synset for synset in imagenet("in21k") if "n02131653" in nouns.hypernyms(synset))
    )
    assert nouns.hyponyms("n02123045") == ()  # tabby
    (tower,) = nouns.lookup("eiffeltower", instances=True)
    assert all(tower in nouns.hyponyms(above) for above in nouns.hypernyms(tower)) and nouns.is_instance(tower)
    assert nouns.lexfile("n02132136") == LEXFILES["animal"] == 5
    assert nouns.lexfile("n03126707") == LEXFILES["artifact"] == 6
    assert nouns.lexfile("n00007846") == LEXFILES["tops"] == 3  # person
    assert LEXFILES["time"] == 28 and len(LEXFILES) == 26


@pytest.mark.parametrize("synset", ["", "n0213213", "n02132137", "02132136", "n99999999", "n02132136\n", "n٠٢١٣٢١٣٦"])
def test_unknown_synsets_are_refused(nouns: WordNet, synset: str) -> None:
    assert synset not in nouns
    with pytest.raises(TagmillError, match="no noun synset"):
        nouns.lemmas(synset)


def test_rules() -> None:
    assert labels_of("crane") == labels_of("cranes") == (CRANES,)
    assert labels_of("crane", "first") == (("n03126707",),)  # the machine is the commoner sense of the two
    assert labels_of("crane", "all") == tuple((synset,) for synset in CRANES)
    assert len(labels_of("crane", "all", instances=True)) == 5
    assert labels_of("brownbear") == labels_of("ursusarctos")


def test_the_commonest_sense_comes_first(nouns: WordNet) -> None:
    assert nouns.senses("dog")[0] == "n02084071"
    assert nouns.senses("hood")[0] in nouns.lookup("hood")
    assert "hood" in nouns.lemmas(nouns.senses("hood")[0])  # and not 'hood, which has the same squashed form


@given(st.sampled_from(sorted(WordNet.load().forms)), st.sampled_from(["merge", "first", "all"]))
def test_rules_agree_on_the_full_set(form: str, rule: SenseRule) -> None:
    full = WordNet.load().lookup(form)
    labels = labels_of(form, rule)
    assert bool(labels) == bool(full)
    assert {synset for label in labels for synset in label} <= set(full)
    if rule != "first":
        assert {synset for label in labels for synset in label} == set(full)


@given(st.lists(st.from_regex(r"n[0-9]{8}", fullmatch=True), unique=True))
def test_labels_from_senses(senses: list[str]) -> None:
    given_senses = tuple(senses)
    assert labels_from(given_senses, "first") == ((given_senses[:1],) if senses else ())
    assert labels_from(given_senses, "merge") == ((tuple(sorted(senses)),) if senses else ())
    assert labels_from(given_senses, "all") == tuple((sense,) for sense in sorted(senses))


@given(synset_sets)
def test_texts_of_sets_round_trip(synsets: set[str]) -> None:
    assert parse_set(set_text(synsets)) == tuple(sorted(synsets))
    assert set_text(parse_set(set_text(synsets))) == set_text(sorted(synsets, reverse=True))


@pytest.mark.parametrize("name", ["", "n1", "+", "n03126707+n02012849", "n02012849+n02012849", "n02012849+", "dog"])
def test_other_texts_are_no_sets(name: str) -> None:
    with pytest.raises(TagmillError, match="not a set of synsets"):
        parse_set(name)


def test_an_empty_set_is_no_label() -> None:
    with pytest.raises(TagmillError, match="not a set of synsets"):
        set_text([])


def test_short_tokens_are_nouns_only_where_they_are_asked_for(nouns: WordNet) -> None:
    assert nouns.senses("tv") == nouns.senses("ox") == nouns.senses("") == ()
    assert set(nouns.senses("tv", short=True)) == {"n04405907", "n06277280"}
    assert "n02403003" in nouns.senses("ox", short=True)
    assert nouns.senses("", short=True) == nouns.senses("#", short=True) == ()
    for word in ("has", "was", "his"):  # the plurals of short words are chatter still
        assert nouns.senses(word, short=True) == nouns.senses(word)
    assert all(
        nouns.senses(form) == nouns.senses(form, short=True) for form in list(nouns.forms)[::97] if len(form) > 2
    )


def test_chosen_named_entities_are_kept(nouns: WordNet) -> None:
    sun = "n09450163"
    assert nouns.is_instance(sun) and sun not in nouns.senses("sun")
    kept = nouns.senses("sun", entities=frozenset([sun]))
    assert kept[0] == sun and set(kept) == {sun, *nouns.senses("sun")}
    assert set(nouns.senses("sun", instances=True)) >= set(kept)
    assert nouns.senses(sun) == () and nouns.senses(sun, entities=frozenset([sun])) == (sun,)


def test_all_lemmas_and_base_forms(nouns: WordNet) -> None:
    lemmas = nouns.all_lemmas()
    assert {"Ursus_arctos", "T-shirt", "dog"} <= set(lemmas)
    assert {*map(clean, lemmas)} == nouns.forms
    assert [*nouns.bases("axes")] == ["ax", "axis"] and [*nouns.bases("dogs")] == ["dog"] and not nouns.bases("tv")
    assert [*nouns.bases("tv", short=True)] == ["tv"]
    assert [*nouns.bases("hands")] == ["hands"] and [*nouns.singulars("hands")] == ["hand"]
