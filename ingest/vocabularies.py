"""Vocabularies: which of the labels that a corpus carries become classes, and in which order they get their ids."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tagmill.ingest.lists import read_list, text_of
from tagmill.ingest.synsets import SynsetSet, WordNet, parse_label
from tagmill.ingest.wordnet.imagenet import imagenet
from tagmill.shards.errors import ConfigError, TagmillError
from tagmill.shards.record import sha256_hex
from tagmill.shards.vocabulary import Label, Vocabulary

KINDS = ("nouns", "in1k", "in21k")
MAX_BYTES = 1 << 30  # of a vocabulary file


@dataclass(frozen=True)
class Counts:
    """What a corpus carries, counted over the samples of its train split."""

    images: Mapping[str, int]  # by name of a label
    tokens: Mapping[str, Mapping[str, int]]  # by name of a label, the tokens that led to it


@dataclass(frozen=True)
class VocabularyRules:
    """Which labels become classes. Raises ConfigError for what cannot be right.

    `nouns`: all of them; `in1k`, `in21k`: those whose set of synsets meets the classes of ImageNet; else a file, of labels one
    a line by name (`n02132136`, or several synsets with + between) or another view's vocabulary.json, whose ids are kept,
    whatever is carried. `min_count` and `top_k` cut the first three by images. `after` is a vocabulary.json whose labels keep
    their ids, whatever is carried: new ones get the ids after them, as long as `top_k` has room.
    """

    vocabulary: str = "nouns"
    min_count: int = 1
    top_k: int | None = None
    after: str | None = None

    def __post_init__(self) -> None:
        if self.min_count < 1 or (self.top_k is not None and self.top_k < 1):
            raise ConfigError("a cut below 1", "min_count, top_k", "give whole numbers of at least 1")
        if self.vocabulary not in KINDS and (self.min_count != 1 or self.top_k is not None):
            remedy = "its labels are classes whatever their counts: leave min_count and top_k alone"
            raise ConfigError("a vocabulary file and a cut by images", self.vocabulary, remedy)

    def listed(self) -> tuple[SynsetSet, ...] | None:
        """The labels of a file in the order of their ids; None for the other kinds. Raises ConfigError naming what is wrong."""
        return None if self.vocabulary in KINDS else _listed(self.vocabulary, WordNet.load())

    def recipe(self) -> dict[str, Any]:
        """All that the choice depends on besides the counts."""
        if (listed := self.listed()) is None:
            after = {"after": _digest(self.earlier())} if self.after else {}
            return {"kind": self.vocabulary, "min_count": self.min_count, "top_k": self.top_k, **after}
        return {"kind": "file", "labels": _digest(listed)}

    def earlier(self) -> tuple[SynsetSet, ...]:
        """The labels that keep their ids, in the order of these."""
        return _listed(self.after, WordNet.load(), least=0) if self.after else ()


def _digest(labels: Iterable[SynsetSet]) -> str:
    return sha256_hex("\n".join(map("+".join, labels)).encode())


def choose(counts: Counts, rules: VocabularyRules, rule: str, wordnet: WordNet) -> tuple[Vocabulary, dict[str, int]]:
    """The vocabulary, ids by falling count and then by name (of a file: its own; labels of an earlier vocabulary first, as
    they were); and the labels that are left out."""
    listed = rules.listed()
    if listed is not None:
        order = ["+".join(synsets) for synsets in listed]
    else:
        wanted = frozenset(imagenet(rules.vocabulary)) if rules.vocabulary != "nouns" else None
        common = [name for name, images in counts.images.items() if images >= rules.min_count]
        if wanted is not None:
            common = [name for name in common if not wanted.isdisjoint(parse_label(name))]
        order = list(map("+".join, rules.earlier()))
        new = sorted(set(common).difference(order), key=lambda name: (-counts.images[name], name))
        order += new if rules.top_k is None else new[: max(0, rules.top_k - len(order))]
    labels = tuple(
        _label(number, name, counts.tokens.get(name, {}), counts.images.get(name, 0), wordnet)
        for number, name in enumerate(order)
    )
    left = counts.images.keys() - set(order)
    source = {"wordnet": "3.0", **rules.recipe(), "counted_on": "train"}
    return Vocabulary(labels, rule, source), {name: counts.images[name] for name in sorted(left)}


def _label(number: int, name: str, tokens: Mapping[str, int], images: int, wordnet: WordNet) -> Label:
    synsets = parse_label(name)
    words = dict.fromkeys(word for synset in synsets for word in wordnet.lemmas(synset))
    return Label(number, name, synsets, tuple(words), dict(sorted(tokens.items())), images)


def _listed(path: str, wordnet: WordNet, least: int = 1) -> tuple[SynsetSet, ...]:
    text = text_of(read_list(path, MAX_BYTES, f"give {', '.join(KINDS)}, or a file of labels"), path)
    if text.lstrip().startswith("{"):
        names: Iterable[tuple[str, str]] = _of_json(text, path)
    else:
        lines = ((f"line {number}", line.strip()) for number, line in enumerate(text.splitlines(), 1))
        names = [(where, line) for where, line in lines if line and not line.startswith("#")]
    seen: dict[SynsetSet, str] = {}
    for where, label in names:
        try:
            synsets = parse_label(label)
            unknown = [synset for synset in synsets if synset not in wordnet]
        except TagmillError as error:
            raise ConfigError(f"{label!r} is not the name of a label", f"{path}, {where}", error.remedy) from error
        if unknown:
            raise ConfigError(f"no noun synset {unknown[0]} in WordNet 3.0", f"{path}, {where}", "mend or remove it")
        if synsets in seen:
            raise ConfigError(f"label {label} stands twice", f"{path}, {where} and {seen[synsets]}", "remove one")
        seen[synsets] = where
    if len(seen) < least:
        raise ConfigError("a vocabulary without labels", path, "write a label a line")
    return tuple(seen)


def _of_json(text: str, path: str) -> list[tuple[str, str]]:
    try:
        return [(f"label {label['id']}", label["name"]) for label in json.loads(text)["labels"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"not a vocabulary.json: {error}", path, "give one that a view has") from error
