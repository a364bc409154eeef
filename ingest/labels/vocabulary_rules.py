"""Vocabularies: which of the labels that a corpus carries become classes, and the order of their ids."""

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
from tagmill.shards.settings.ranges import Count, check_fields
from tagmill.shards.vocabulary import Label, Vocabulary, classes_sha256

VOCABULARY_KINDS = ("nouns", "in1k", "in21k")
MAX_VOCABULARY_BYTES = 1 << 30  # limit of a vocabulary file
LabelNames = dict[SynsetSet, str]  # labels in the order of their ids -> name; "" for a label without a name


@dataclass(frozen=True)
class VocabularyCounts:
    """What a corpus carries, counted over the samples of its train split."""

    images: Mapping[str, int]  # by the text of a label's set
    tokens: Mapping[str, Tokens]  # by the same text, the tokens that led to the label


@dataclass(frozen=True)
class VocabularyRules:
    """Which labels become classes. Raises ConfigError for invalid values.

    `nouns`: all labels; `in1k`, `in21k`: labels with a synset among the classes of ImageNet; else a file: one label a
    line by its synsets (`n02132136`, or several with + between), or the vocabulary.json of another view, whose ids and
    names are kept even if the corpus lacks them. `min_count` and `top_k` cut the first three by images. `after` is a
    vocabulary.json whose labels keep their ids and names; new labels get the ids after them, up to `top_k`.
    """

    vocabulary: str = "nouns"
    min_count: Count = 1
    top_k: Count | None = None
    after: str | None = None

    def __post_init__(self) -> None:
        check_fields(self, "vocabulary")
        if self.vocabulary not in VOCABULARY_KINDS and (self.min_count != 1 or self.top_k is not None):
            remedy = "its labels are classes whatever their counts: leave min_count and top_k alone"
            raise ConfigError("a vocabulary file and a cut by images", self.vocabulary, remedy)

    def file_labels(self) -> tuple[SynsetSet, ...] | None:
        """Returns the labels of a file in the order of their ids; None for the other kinds.

        Raises ConfigError for a bad file.
        """
        return None if self.vocabulary in VOCABULARY_KINDS else tuple(self._file_labels)

    def earlier_labels(self) -> tuple[SynsetSet, ...]:
        """Returns the labels that keep their ids, in the order of these."""
        return () if self.after is None else tuple(self._file_labels)

    def names(self) -> dict[SynsetSet, str]:
        """Returns the names that labels already have, in the file or the earlier vocabulary."""
        return {label: name for label, name in self._file_labels.items() if name}

    def entities(self) -> tuple[str, ...]:
        """Returns the named entities among the wanted synsets, ascending; empty for `nouns`."""
        wordnet = WordNet.load()
        wanted = imagenet(self.vocabulary) if self.vocabulary in VOCABULARY_KINDS[1:] else ()
        found = wanted or {synset for label in self.file_labels() or () for synset in label}
        return tuple(sorted(synset for synset in found if wordnet.is_instance(synset)))

    def recipe(self) -> dict[str, Any]:
        """Returns everything that the choice depends on besides the counts."""
        names = {"named_by": "token"}
        if fixed := self.names():
            names["names"] = sha256_hex(json.dumps([[*pair] for pair in fixed.items()]).encode())
        if (listed := self.file_labels()) is not None:
            return {"kind": "file", "labels": classes_sha256(listed), **names}
        after = {"after": classes_sha256(self.earlier_labels())} if self.after else {}
        return {"kind": self.vocabulary, "min_count": self.min_count, "top_k": self.top_k, **after, **names}

    @cached_property
    def _file_labels(self) -> LabelNames:
        """The labels of the file."""
        if self.vocabulary not in VOCABULARY_KINDS:
            return _labels_in(self.vocabulary, WordNet.load())
        return _labels_in(self.after, WordNet.load(), least=0) if self.after else {}


def choose(
    counts: VocabularyCounts, rules: VocabularyRules, rule: str, wordnet: WordNet
) -> tuple[Vocabulary, dict[str, int]]:
    """Returns the vocabulary, and the labels that are left out with their images.

    Ids are in the order of falling count and then name; a file keeps its own order, and labels of an earlier vocabulary
    come first, unchanged.
    """
    if (listed := rules.file_labels()) is not None:
        order = [*listed]
    else:
        wanted = frozenset(imagenet(rules.vocabulary)) if rules.vocabulary != "nouns" else None
        common = {text: parse_set(text) for text, images in counts.images.items() if images >= rules.min_count}
        order = [*rules.earlier_labels()]
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


def _labels_in(path: str, wordnet: WordNet, least: int = 1) -> LabelNames:
    """Reads the labels of a file with their names; a name that equals the label's synsets counts as none."""
    text = text_of(
        read_list(path, MAX_VOCABULARY_BYTES, f"give {', '.join(VOCABULARY_KINDS)}, or a file of labels"), path
    )
    if text.lstrip().startswith("{"):
        given = _of_json(text, path)
    else:
        lines = ((f"line {number}", line.strip()) for number, line in enumerate(text.splitlines(), 1))
        given = [(where, line, "") for where, line in lines if line and not line.startswith("#")]
    names: LabelNames = {}
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
            raise ConfigError(f"label {label} appears twice", f"{path}, {where} and {seen[synsets]}", "remove one")
        seen[synsets] = where
        names[synsets] = "" if name == label else name
    if len(names) < least:
        raise ConfigError("a vocabulary without labels", path, "write a label a line")
    return names


def _of_json(text: str, path: str) -> list[tuple[str, str, str]]:
    """Returns (where, synsets, name) of the labels in a vocabulary.json."""
    try:
        labels = [(each["id"], "+".join(each["synsets"]), each["name"]) for each in json.loads(text)["labels"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"not a vocabulary.json: {error}", path, "give one that a view has") from error
    if odd := [number for number, _, name in labels if not isinstance(name, str)]:
        raise ConfigError(
            f"not a vocabulary.json: the name of label {odd[0]} is no text", path, "give one that a view has"
        )
    return [(f"label {number}", label, name) for number, label, name in labels]
