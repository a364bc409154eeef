"""Names labels by the token that most images use. Names are for people; a label's identity is its synsets."""

from collections import Counter
from collections.abc import Mapping, Sequence

from tagmill.ingest.labels.hashtags import clean
from tagmill.ingest.labels.synsets import SynsetSet, WordNet, is_synset

Tokens = Mapping[str, int]  # tokens that lead to a label -> images


def names_of(
    labels: Sequence[SynsetSet], tokens: Mapping[str, Tokens], fixed: Mapping[SynsetSet, str], wordnet: WordNet
) -> list[str]:
    """Returns distinct names of labels, in order: those in `fixed` unchanged, others by their tokens.

    `tokens` is keyed by `synsets.set_text`. Where two new names would be equal, or one is taken, the synsets are
    appended: `crane n02012849`.
    """
    words = [fixed.get(label) or word_of(label, tokens.get("+".join(label), {}), wordnet) for label in labels]
    alike = Counter(word for label, word in zip(labels, words, strict=True) if label not in fixed)
    taken: set[str] = set()
    names = dict[SynsetSet, str]()
    for label, word in sorted(
        zip(labels, words, strict=True), key=lambda pair: pair[0] not in fixed
    ):  # fixed names first
        name = f"{word} {'+'.join(label)}" if label not in fixed and alike[word] > 1 else word
        while name in taken:
            name = f"{name} {'+'.join(label)}"
        taken.add(name)
        names[label] = name
    return [names[label] for label in labels]


def word_of(label: SynsetSet, tokens: Tokens, wordnet: WordNet) -> str:
    """Returns the token with the most images, of equal ones the first by name.

    Synset ids, as in ImageNet's folder names, are no words. A label that no word led to gets the lemma that most of its
    synsets have.
    """
    used = [(-images, token) for token, images in tokens.items() if not is_synset(token)]
    if used:
        return min(used)[1]
    lemmas = Counter(lemma for synset in label for lemma in dict.fromkeys(map(clean, wordnet.lemmas(synset))))
    return max(lemmas, key=lemmas.__getitem__)  # the first of equally common ones


def lemmas_of(label: SynsetSet, name: str, wordnet: WordNet) -> tuple[str, ...]:
    """Returns the lemmas of a label's synsets; those that the word of `name` commonly means come first."""
    common = wordnet.senses(clean(name.partition(" ")[0]), instances=True, short=True)
    order = dict.fromkeys([*(synset for synset in common if synset in label), *label])
    return tuple(dict.fromkeys(lemma for synset in order for lemma in wordnet.lemmas(synset)))
