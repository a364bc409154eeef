"""`tagmill corpus under`: lists the labels of a view below a synset, such as all dogs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import tyro
from rich.console import Console
from rich.table import Table

from tagmill.ingest.labels.hashtags import clean
from tagmill.ingest.labels.synsets import WordNet, is_synset
from tagmill.shards.errors import TagmillError
from tagmill.shards.manifest import Corpus
from tagmill.shards.settings.options import CommandLine, JsonOutput
from tagmill.shards.terminal.lines import Figure, figure_lines, print_lines, width_of
from tagmill.shards.terminal.safe_text import safe_cell
from tagmill.shards.view import View
from tagmill.shards.vocabulary import Label, Vocabulary


class Under(NamedTuple):
    """A label with at least one synset below another; `wholly` if all of its synsets are."""

    label: Label
    wholly: bool


@dataclass(frozen=True)
class UnderConfig:
    """Which labels are listed."""

    corpus: tyro.conf.Positional[str]
    """Folder or bucket prefix of the corpus."""
    synset: tyro.conf.Positional[str]
    """WordNet id such as n02084071, or a noun with a single meaning."""
    view: str = "default"
    """View whose labels are listed."""


UNDER_LEGEND = [
    Figure("words", "what WordNet calls the meaning of a label"),
    Figure("images", "of the train split that have the label"),
]
PARTLY = Figure("partly", "the label has other meanings too, which are not below the synset")
UNDER_COMMAND = CommandLine(
    "tagmill corpus under",
    "List the labels of a view below a WordNet synset, such as all dogs.",
    (UnderConfig, JsonOutput),
)


def below_of(wordnet: WordNet, synset: str) -> frozenset[str]:
    """Returns the synset and all below it, including named entities. Raises TagmillError for an id that WordNet lacks."""
    found, todo = {synset}, [synset]
    while todo:
        fresh = set(wordnet.hyponyms(todo.pop())) - found  # a synset can be reached on several paths
        found |= fresh
        todo += fresh
    return frozenset(found)


def labels_under(vocabulary: Vocabulary, synset: str, wordnet: WordNet | None = None) -> list[Under]:
    """Returns the labels with any synset in `below_of`, ordered by id. Default: the shipped table."""
    inside = below_of(wordnet or WordNet.load(), synset)
    return [
        Under(label, inside.issuperset(label.synsets))
        for label in vocabulary.labels
        if not inside.isdisjoint(label.synsets)
    ]


def synset_of(wordnet: WordNet, word: str) -> str:
    """Returns the synset of an id, or of a noun with one meaning. Raises TagmillError, which lists the meanings of others."""
    if is_synset(word):
        wordnet.lemmas(word)  # raises for an unknown id
        return word
    senses = wordnet.senses(clean(word), instances=True, short=True)
    if not senses:
        remedy = "give a noun, or an id such as n02084071"
        raise TagmillError(f"{word!r} is no noun of WordNet 3.0", "synset", remedy)
    if len(senses) > 1:
        meanings = "; ".join(f"{sense} {', '.join(wordnet.lemmas(sense))}" for sense in senses)
        raise TagmillError(f"{word!r} has {len(senses)} meanings", "synset", f"give the id of one: {meanings}")
    return senses[0]


def under_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill corpus under` command line."""
    config, shown = UNDER_COMMAND.parse(arguments)
    wordnet = WordNet.load()
    synset = synset_of(wordnet, config.synset)
    found = labels_under(View.open(Corpus.open(config.corpus), config.view).vocabulary, synset, wordnet)
    console = Console()
    if shown.json:
        labels = [
            {"id": label.id, "name": label.name, "synsets": label.synsets, "images": label.images, "wholly": wholly}
            for label, wholly in found
        ]
        facts = {"synset": synset, "lemmas": wordnet.lemmas(synset), "labels": labels}
        console.print_json(json.dumps(facts))
        return
    words = ", ".join(wordnet.lemmas(synset))
    title = f"{len(found)} labels under {synset} ({words})"
    table = Table("id", "label", "words", "images", "synsets", "", title=title, box=None)
    for label, wholly in found:
        words, synsets = ", ".join(label.lemmas[:4]), " ".join(label.synsets[:3])
        shown = map(safe_cell, (label.name, words, f"{label.images:,}", synsets))
        table.add_row(str(label.id), *shown, "" if wholly else "partly")
    console.print(table)
    legend = UNDER_LEGEND if all(wholly for _, wholly in found) else [*UNDER_LEGEND, PARTLY]
    print_lines(["", *figure_lines(legend, width_of(console))], console)
