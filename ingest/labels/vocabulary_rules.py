"""Vocabularies: which of the labels that a corpus carries become classes, and in which order they get their ids."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tagmill.ingest.labels.label_names import Tokens, lemmas_of, names_of
from tagmill.ingest.labels.synsets import SynsetSet, WordNet, parse_set
from tagmill.ingest.labels.wordnet.imagenet import imagenet
from tagmill.ingest.text.text_files import read_list, text_of
from tagmill.shards.errors import ConfigError, TagmillError
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.vocabulary import Label, Vocabulary, classes_sha256

VOCABULARY_KINDS = ("nouns", "in1k", "in21k")
MAX_BYTES = 1 << 30  # of a vocabulary file
Named = dict[SynsetSet, str]  # labels in the order of their ids; "" is a label without a name


@dataclass(frozen=True)
class VocabularyCounts:
    """What a corpus carries, counted over the samples of its train split."""

    images: Mapping[str, int]  # by the text of a label's set
    tokens: Mapping[str, Tokens]  # by the same, the tokens that led to the label


@dataclass(frozen=True)
class VocabularyRules:
    """Which labels become classes. Raises ConfigError for what cannot be right.

    `nouns`: all of them; `in1k`, `in21k`: those whose set of synsets meets the classes of ImageNet; else a file, of labels one
    a line by their synsets (`n02132136`, or several with + between) or another view's vocabulary.json, whose ids and names
    are kept, whatever is carried. `min_count` and `top_k` cut the first three by images. `after` is a vocabulary.json whose
    labels keep their ids and names, whatever is carried: new ones get the ids after them, as long as `top_k` has room.
    """

    vocabulary: str = "nouns"
    min_count: int = 1
    top_k: int | None = None
    after: str | None = None

    def __post_init__(self) -> None:
        if self.min_count < 1 or (self.top_k is not None and self.top_k < 1):
            raise ConfigError("a cut below 1", "min_count, top_k", "give whole numbers of at least 1")
        if self.vocabulary not in VOCABULARY_KINDS and (self.min_count != 1 or self.top_k is not None):
            remedy = "its labels are classes whatever their counts: leave min_count and top_k alone"
            raise ConfigError("a vocabulary file and a cut by images", self.vocabulary, remedy)

    def listed(self) -> tuple[SynsetSet, ...] | None:
        """The labels of a file in the order of their ids; None for the other kinds. Raises ConfigError naming what is wrong."""
        return None if self.vocabulary in VOCABULARY_KINDS else tuple(self._given)

    def earlier(self) -> tuple[SynsetSet, ...]:
        """The labels that keep their ids, in the order of these."""
        return () if self.after is None else tuple(self._given)

    def names(self) -> dict[SynsetSet, str]:
        """The names that labels have got already, of the file or of the earlier vocabulary."""
        return {label: name for label, name in self._given.items() if name}

    def entities(self) -> tuple[str, ...]:
        """The named entities among the synsets that are wanted, ascending; `nouns` wants none."""
        wordnet = WordNet.load()
        wanted = imagenet(self.vocabulary) if self.vocabulary in VOCABULARY_KINDS[1:] else ()
        found = wanted or {synset for label in self.listed() or () for synset in label}
        return tuple(sorted(synset for synset in found if wordnet.is_instance(synset)))

    def recipe(self) -> dict[str, Any]:
        """All that the choice depends on besides the counts."""
        names = {"named_by": "token"}
        if fixed := self.names():
            names["names"] = sha256_hex(json.dumps([[*pair] for pair in fixed.items()]).encode())
        if (listed := self.listed()) is not None:
            return {"kind": "file", "labels": classes_sha256(listed), **names}
        after = {"after": classes_sha256(self.earlier())} if self.after else {}
        return {"kind": self.vocabulary, "min_count": self.min_count, "top_k": self.top_k, **after, **names}

    @cached_property
    def _given(self) -> Named:
        """The labels of a file."""
        if self.vocabulary not in VOCABULARY_KINDS:
            return _labels_in(self.vocabulary, WordNet.load())
        return _labels_in(self.after, WordNet.load(), least=0) if self.after else {}


def choose(
    counts: VocabularyCounts, rules: VocabularyRules, rule: str, wordnet: WordNet
) -> tuple[Vocabulary, dict[str, int]]:
    """The vocabulary, ids by falling count and then by name (of a file: its own; labels of an earlier vocabulary first, as
    they were); and the labels that are left out."""
    if (listed := rules.listed()) is not None:
        order = [*listed]
    else:
        wanted = frozenset(imagenet(rules.vocabulary)) if rules.vocabulary != "nouns" else None
        common = {text: parse_set(text) for text, images in counts.images.items() if images >= rules.min_count}
        order = [*rules.earlier()]
        known = set(order)
        texts = [
            text
            for text, label in common.items()
            if label not in known and (wanted is None or not wanted.isdisjoint(label))
        ]
        new = [common[text] for text in sorted(texts, key=lambda text: (-counts.images[text], text))]
        order += new if rules.top_k is None else new[: max(0, rules.top_k - len(order))]
    names = names_of(order, counts.tokens, rules.names(), wordnet)
    labels = tuple(_label(number, *each, counts, wordnet) for number, each in enumerate(zip(order, names, strict=True)))
    left = counts.images.keys() - set(map("+".join, order))
    source = {"wordnet": "3.0", **rules.recipe(), "counted_on": "train"}
    return Vocabulary(labels, rule, source), {text: counts.images[text] for text in sorted(left)}


def _label(number: int, synsets: SynsetSet, name: str, counts: VocabularyCounts, wordnet: WordNet) -> Label:
    text = "+".join(synsets)
    tokens = dict(sorted(counts.tokens.get(text, {}).items()))
    return Label(number, name, synsets, lemmas_of(synsets, name, wordnet), tokens, counts.images.get(text, 0))


def _labels_in(path: str, wordnet: WordNet, least: int = 1) -> Named:
    """The labels of a file with the names that it has for them; a name that is the label's synsets is none yet."""
    text = text_of(read_list(path, MAX_BYTES, f"give {', '.join(VOCABULARY_KINDS)}, or a file of labels"), path)
    if text.lstrip().startswith("{"):
        given = _of_json(text, path)
    else:
        lines = ((f"line {number}", line.strip()) for number, line in enumerate(text.splitlines(), 1))
        given = [(where, line, "") for where, line in lines if line and not line.startswith("#")]
    names: Named = {}
    seen: dict[SynsetSet, str] = {}
    for where, label, name in given:
        try:
            synsets = parse_set(label)
            unknown = [synset for synset in synsets if synset not in wordnet]
        except TagmillError as error:
            raise ConfigError(error.what, f"{path}, {where}", error.remedy) from error
        if unknown:
            raise ConfigError(f"no noun synset {unknown[0]} in WordNet 3.0", f"{path}, {where}", "mend or remove it")
        if synsets in names:
            raise ConfigError(f"label {label} stands twice", f"{path}, {where} and {seen[synsets]}", "remove one")
        seen[synsets] = where
        names[synsets] = "" if name == label else name
    if len(names) < least:
        raise ConfigError("a vocabulary without labels", path, "write a label a line")
    return names


def _of_json(text: str, path: str) -> list[tuple[str, str, str]]:
    """(where, synsets, name) of a vocabulary.json's labels."""
    try:
        labels = [(each["id"], "+".join(each["synsets"]), each["name"]) for each in json.loads(text)["labels"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"not a vocabulary.json: {error}", path, "give one that a view has") from error
    if odd := [number for number, _, name in labels if not isinstance(name, str)]:
        raise ConfigError(
            f"not a vocabulary.json: the name of label {odd[0]} is no text", path, "give one that a view has"
        )
    return [(f"label {number}", label, name) for number, label, name in labels]
