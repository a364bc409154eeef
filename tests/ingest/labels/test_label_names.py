"""Labels are named by the commonest token, followed by the synsets where two names would be equal."""

from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.labels.label_names import lemmas_of, names_of, word_of
from tagmill.ingest.labels.synsets import SynsetSet, WordNet, set_text
from tagmill.ingest.labels.wordnet.imagenet import imagenet

NOUNS = WordNet.load()
CAT, BIRD, MACHINE = NOUNS.lookup("cat"), ("n02012849",), ("n03126707",)
synset_sets = st.sets(st.sampled_from(imagenet("in1k")), min_size=1, max_size=2).map(lambda found: tuple(sorted(found)))
word = st.sampled_from(["cat", "cats", "crane", "n02012849", "crane n02012849"])


def test_the_commonest_token_is_the_name_and_the_words_follow_what_it_means() -> None:
    assert word_of(CAT, {"cat": 5, "cats": 5, "kitty": 1, "n02121620": 99}, NOUNS) == "cat"
    assert word_of(CAT, {"cats": 6, "cat": 5}, NOUNS) == "cats"
    assert lemmas_of(CAT, "cat", NOUNS)[:3] == ("cat", "true_cat", "guy")
    assert set(lemmas_of(CAT, "elsewhere", NOUNS)) == set(lemmas_of(CAT, "cat", NOUNS))


def test_a_label_without_a_word_is_named_by_a_lemma() -> None:
    assert word_of(CAT, {}, NOUNS) == "cat" and word_of(("n02132136",), {"n02132136": 7}, NOUNS) == "brownbear"


def test_equal_names_get_their_synsets_appended() -> None:
    tokens = {set_text(BIRD): {"crane": 3}, set_text(MACHINE): {"crane": 3}, set_text(CAT): {"cat": 1}}
    names = names_of([BIRD, CAT, MACHINE], tokens, {}, NOUNS)
    assert names == ["crane n02012849", "cat", "crane n03126707"]
    assert names_of([MACHINE, BIRD], tokens, {BIRD: "crane"}, NOUNS) == ["crane n03126707", "crane"]


@given(
    st.lists(synset_sets, unique=True, max_size=6),
    st.lists(st.dictionaries(word, st.integers(1, 3), max_size=3), min_size=6, max_size=6),
    st.lists(st.none() | word, min_size=6, max_size=6),
)
def test_names_differ_and_fixed_ones_stay(
    labels: list[SynsetSet], tokens: list[dict[str, int]], given: list[str | None]
) -> None:
    by_set = {set_text(label): each for label, each in zip(labels, tokens, strict=False)}
    fixed = {label: name for label, name in zip(labels, dict.fromkeys(given), strict=False) if name}
    names = names_of(labels, by_set, fixed, NOUNS)
    assert len(set(names)) == len(labels)
    for label, name in zip(labels, names, strict=True):
        assert (
            name == fixed[label] if label in fixed else name.startswith(word_of(label, by_set[set_text(label)], NOUNS))
        )
    assert names == names_of(labels, by_set, fixed, NOUNS)
    assert dict(zip(labels, names, strict=True)) | fixed == dict(zip(labels, names, strict=True))


@given(st.lists(synset_sets, unique=True, max_size=5), word)
def test_a_file_that_has_a_name_twice_is_mended(labels: list[SynsetSet], name: str) -> None:
    names = names_of(labels, {}, dict.fromkeys(labels, name), NOUNS)
    assert len(set(names)) == len(labels) and names[:1] == [name][: len(labels)]
