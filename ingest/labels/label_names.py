"""What labels are called: by the token that people used most. A name is for people; what a label is, its synsets say."""

from collections import Counter
from collections.abc import Mapping, Sequence

from tagmill.ingest.labels.hashtags import clean
from tagmill.ingest.labels.synsets import SynsetSet, WordNet, is_synset

Tokens = Mapping[str, int]  # the tokens that led to a label, with their images


def names_of(
    labels: Sequence[SynsetSet], tokens: Mapping[str, Tokens], fixed: Mapping[SynsetSet, str], wordnet: WordNet
) -> list[str]:
    """The names of labels, all different: those of `fixed` as they are, others by their tokens (by `synsets.set_text`).

    Where two new names would be alike, or one is taken, the synsets stand behind it: `crane n02012849`.
    """
    words = [fixed.get(label) or word_of(label, tokens.get("+".join(label), {}), wordnet) for label in labels]
    alike = Counter(word for label, word in zip(labels, words, strict=True) if label not in fixed)
    taken: set[str] = set()
    names = dict[SynsetSet, str]()
    for label, word in sorted(zip(labels, words, strict=True), key=lambda pair: pair[0] not in fixed):  # fixed first
        name = f"{word} {'+'.join(label)}" if label not in fixed and alike[word] > 1 else word
        while name in taken:
            name = f"{name} {'+'.join(label)}"
        taken.add(name)
        names[label] = name
    return [names[label] for label in labels]


def word_of(label: SynsetSet, tokens: Tokens, wordnet: WordNet) -> str:
    """The token with the most images, of equal ones the first by name. Ids of synsets, as ImageNet's folders are called, are
    no words; a label that no word led to is called by the lemma that most of its synsets have."""
    used = [(-images, token) for token, images in tokens.items() if not is_synset(token)]
    if used:
        return min(used)[1]
    lemmas = Counter(lemma for synset in label for lemma in dict.fromkeys(map(clean, wordnet.lemmas(synset))))
    return max(lemmas, key=lemmas.__getitem__)  # of equally common ones the first


def lemmas_of(label: SynsetSet, name: str, wordnet: WordNet) -> tuple[str, ...]:
    """The words of a label's synsets, those first that the name's word commonly means."""
    common = wordnet.senses(clean(name.partition(" ")[0]), instances=True, short=True)
    order = dict.fromkeys([*(synset for synset in common if synset in label), *label])
    return tuple(dict.fromkeys(lemma for synset in order for lemma in wordnet.lemmas(synset)))
