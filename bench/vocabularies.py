"""Counts labels: the figures of docs/how-to/labels.md, on WordNet 3.0 and on ImageNet's classes.

python bench/vocabularies.py

Takes half a minute; the figures depend only on the included tables and the rules, so every machine prints the same.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import get_args

from tagmill.ingest.labels.hashtags import clean
from tagmill.ingest.labels.matching import MatchRules, TagMatcher, splits
from tagmill.ingest.labels.synsets import MIN_TOKEN_CHARS, SenseRule, SynsetSet, WordNet
from tagmill.ingest.labels.vocabulary_rules import VocabularyRules
from tagmill.ingest.labels.wordnet import shipped
from tagmill.ingest.labels.wordnet.imagenet import CLASSES, imagenet
from tagmill.ingest.labels.wordnet.table import text_lines

KINDS = ("animal", "artifact", "food", "plant")


def all_synsets() -> list[str]:
    return [f"n{offset:08d}" for offset in shipped().synsets.tolist()]


def labels_by_token(tokens: Iterable[str], rules: MatchRules) -> dict[str, tuple[SynsetSet, ...]]:
    """Returns the labels of the tokens that have some."""
    matcher = TagMatcher(rules)
    found = {token: matcher.match(token).labels for token in tokens}
    return {token: labels for token, labels in found.items() if labels}


def counts(led: dict[str, tuple[SynsetSet, ...]]) -> dict[str, int]:
    """Counts tokens and labels."""
    labels = {label for each in led.values() for label in each}
    return {
        "tokens with a label": len(led),
        "labels": len(labels),
        "labels of several synsets": sum(len(label) > 1 for label in labels),
        "labels of several tokens": sum(
            n > 1 for n in Counter(label for each in led.values() for label in each).values()
        ),
        "tokens with several labels": sum(len(each) > 1 for each in led.values()),
    }


def classes_counts(led: dict[str, tuple[SynsetSet, ...]], classes: Sequence[str]) -> dict[str, int]:
    """Counts the labels that meet a class, and the classes."""
    wanted = frozenset(classes)
    kept = {token: tuple(label for label in each if not wanted.isdisjoint(label)) for token, each in led.items()}
    labels = {label for each in kept.values() for label in each}
    met: dict[str, list[int]] = defaultdict(list)  # by class, the number of classes that each of its labels meets
    for label in labels:
        for synset in wanted.intersection(label):
            met[synset].append(len(wanted.intersection(label)))
    return counts({token: each for token, each in kept.items() if each}) | {
        "labels with synsets that are no class": sum(not wanted.issuperset(label) for label in labels),
        "classes without a label": len(classes) - len(met),
        "classes that share a label": sum(max(others) > 1 for others in met.values()),
        "classes without a label of their own": sum(1 not in met[synset] for synset in classes),
    }


def rules_table(nouns: WordNet, name: str) -> str:
    """Counts `nouns`, all of them, or the words of `in1k` or `in21k`, by rule."""
    classes = imagenet(name) if name in CLASSES else ()
    tokens = {clean(word) for synset in classes for word in nouns.lemmas(synset)} if classes else set(nouns.forms)
    entities = VocabularyRules(name).entities()
    several = sum(len(nouns.senses(token, entities=frozenset(entities))) > 1 for token in tokens)
    columns = []
    for rule in get_args(SenseRule):
        led = labels_by_token(tokens, MatchRules(rule, entities=entities))
        found = classes_counts(led, classes) if classes else counts(led)
        columns.append({"words": len(tokens), "words of several synsets": several, **found})
    return table(name, get_args(SenseRule), columns)


def options_table(nouns: WordNet) -> None:
    """Counts the effect of options for all forms of nouns, with the rule `merge`."""
    options = {
        "no option": MatchRules(),
        "instances": MatchRules(instances=True),
        **{name: MatchRules(lexfiles=(name,)) for name in KINDS},
        "these four": MatchRules(lexfiles=KINDS),
    }
    columns = [counts(labels_by_token(nouns.forms, rules)) for rules in options.values()]
    print(table("nouns", list(options), columns))
    reasons = Counter(map(TagMatcher(MatchRules()).no_match_reason, nouns.forms))
    print(f"forms without a label: {dict(reasons.most_common())}")
    irregular = [line.split()[0] for line in text_lines(shipped().exceptions)]
    plain = {label for each in labels_by_token(nouns.forms, MatchRules()).values() for label in each}
    plurals = labels_by_token([word for word in irregular if word not in nouns.forms], MatchRules())
    only = {label for labels in plurals.values() for label in labels} - plain
    print(f"irregular plurals that are no forms: {len(plurals):,}, labels that only they lead to: {len(only):,}")
    for length in (3, 4, 5):
        short = [form for form in nouns.forms if len(form) == length and form.isalpha()]
        taken = len(labels_by_token(short, MatchRules()))
        print(f"of {26**length:,} texts of {length} letters a to z, {taken:,} have a label ({taken / 26**length:.1%})")


def compounds_table(nouns: WordNet) -> None:
    """Measures how good the splits of compounds are, if WordNet knows the right one."""
    classes = [synset for synset in all_synsets() if not nouns.is_instance(synset)]
    words = [lemma.replace("-", "_").split("_") for synset in classes for lemma in nouns.lemmas(synset)]
    two = {"".join(pair): pair for pair in ([clean(part) for part in word] for word in words if len(word) == 2)}
    known = {
        form: pair
        for form, pair in two.items()
        if min(map(len, pair)) >= MIN_TOKEN_CHARS and all(map(nouns.lookup, pair))
    }
    firsts = {form: next(ways(nouns, form)) for form in known}
    right = sum(list(first) == known[form] for form, first in firsts.items())
    several = sum(sum(1 for _ in ways(nouns, form)) > 1 for form in known)
    print(f"\ntwo-word nouns: {len(two):,}; of two nouns: {len(known):,}; with several splits: {several:,}")
    print(f"the first split is the right one: {right:,} ({right / len(known):.2%})")
    single = {clean(word[0]) for word in words if len(word) == 1} - two.keys()
    long = [word for word in single if len(word) >= 2 * MIN_TOKEN_CHARS]
    split = sum(any(True for _ in ways(nouns, word)) for word in long)
    print(
        f"one-word nouns of six letters and more: {len(long):,}; that would be split: {split:,} ({split / len(long):.1%})"
    )
    names = [synset for synset in all_synsets() if nouns.is_instance(synset)]
    named = {clean(word) for synset in names for word in nouns.lemmas(synset) if "_" not in word and "-" not in word}
    lost = [name for name in named if not nouns.lookup(name)]
    split = sum(any(True for _ in ways(nouns, name)) for name in lost)
    print(f"names of one word without a label: {len(lost):,}; that would be split, were they not known: {split:,}")


def ways(nouns: WordNet, token: str) -> Iterator[tuple[str, str]]:
    return (halves for halves in splits(token) if all(map(nouns.lookup, halves)))


def table(title: str, heads: Sequence[str], columns: Sequence[dict[str, int]]) -> str:
    """Returns lines of Markdown, without rows of zeros."""
    rows = [row for row in columns[0] if any(column[row] for column in columns)]
    lines = [f"| {row} | {' | '.join(f'{column[row]:,}' for column in columns)} |" for row in rows]
    return "\n".join([f"| {title} | {' | '.join(heads)} |", f"| --- |{' ---: |' * len(heads)}", *lines]) + "\n"


if __name__ == "__main__":
    wordnet = WordNet.load()
    for vocabulary in ("nouns", *CLASSES):
        print(rules_table(wordnet, vocabulary))
    options_table(wordnet)
    compounds_table(wordnet)
