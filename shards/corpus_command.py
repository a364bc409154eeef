"""`tagmill corpus info`, `vocabulary` and `lint`: what a corpus holds, for people and, with --json, for programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import tyro
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from tagmill.shards.lint import lint_inputs, lint_shard, lint_view
from tagmill.shards.manifest import Corpus
from tagmill.shards.settings.options import CommandLine, JsonOutput
from tagmill.shards.settings.ranges import Count
from tagmill.shards.view import View
from tagmill.shards.vocabulary import Label


@dataclass(frozen=True)
class CorpusName:
    """Which corpus."""

    corpus: tyro.conf.Positional[str]
    """Folder or bucket prefix of the corpus."""


@dataclass(frozen=True)
class VocabularyShown:
    """What is shown of a vocabulary."""

    view: str = "default"
    """View whose labels are shown."""
    top: Count = 20
    """Number of labels to show from each end: the most and the least frequent."""


INFO_COMMAND = CommandLine(
    "tagmill corpus info", "Show name, format, samples per split and views of a corpus.", (CorpusName, JsonOutput)
)
VOCABULARY_COMMAND = CommandLine(
    "tagmill corpus vocabulary",
    "Show the most and least frequent labels of a view and the tokens that led to them.",
    (CorpusName, VocabularyShown, JsonOutput),
)
LINT_COMMAND = CommandLine(
    "tagmill corpus lint",
    "Compare every byte of shards and views with the digests; status 1 at the first difference.",
    (CorpusName, JsonOutput),
)


def info_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill corpus info` command line."""
    chosen, shown = INFO_COMMAND.parse(arguments)
    facts, console = info(Corpus.open(chosen.corpus)), Console()
    console.print_json(json.dumps(facts)) if shown.json else show_info(console, facts)


def vocabulary_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill corpus vocabulary` command line."""
    chosen, part, shown = VOCABULARY_COMMAND.parse(arguments)
    view, console = View.open(Corpus.open(chosen.corpus), part.view), Console()
    if shown.json:
        console.print_json(view.vocabulary.json().decode())
    else:
        show_vocabulary(console, view, part.top)


def lint_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill corpus lint` command line."""
    chosen, shown = LINT_COMMAND.parse(arguments)
    corpus, console = Corpus.open(chosen.corpus), Console()
    for entry in track(corpus.entries, "shards", console=Console(stderr=True), disable=shown.json):
        lint_shard(corpus, entry)
    for name in corpus.file.views:
        lint_view(corpus, name)
    lint_inputs(corpus)
    taken = {"taken_down": corpus.takedown.num_samples, "purged": corpus.takedown.num_purged}
    result = {"shards": len(corpus.entries), "views": len(corpus.file.views), "altered": 0, **taken}
    whole = f"no errors: {result['shards']} shards, {result['views']} views, every byte as written"
    whole += f"; {taken['taken_down']:,} samples taken down, {taken['purged']:,} of them purged"
    console.print_json(json.dumps(result)) if shown.json else console.print(whole)


def info(corpus: Corpus) -> dict[str, Any]:
    """Returns the content of `corpus.json`, with samples and bytes by split and each view's totals."""
    facts = asdict(corpus.file)
    facts["splits"] = {
        split: {
            "shards": sum(entry.split == split for entry in corpus.entries),
            "samples": sum(entry.samples for entry in corpus.entries if entry.split == split),
            "bytes": sum(entry.bytes for entry in corpus.entries if entry.split == split),
        }
        for split in sorted({entry.split for entry in corpus.entries}, reverse=True)
    }
    facts["taken_down"], facts["purged"] = corpus.takedown.num_samples, corpus.takedown.num_purged
    facts["views"] = {name: View.open(corpus, name).file.totals for name in corpus.file.views}
    return facts


def show_info(console: Console, facts: dict[str, Any]) -> None:
    """Prints `info` as two small tables."""
    console.print(
        f"[bold]{facts['name']}[/bold]  format {facts['format']}  seed {facts['seed']}  {facts['code_version']}"
    )
    if facts["image_policy"]:
        policy = {"restart_interval": 0} | facts["image_policy"]  # absent where images have no restart markers
        console.print(escape("images: " + ", ".join(f"{name} {value}" for name, value in policy.items())))
    table = Table("split", "shards", "samples", "MB", box=None)
    for split, row in facts["splits"].items():
        table.add_row(split, f"{row['shards']:,}", f"{row['samples']:,}", f"{row['bytes'] / 1e6:,.1f}")
    console.print(table)
    if facts["taken_down"]:
        console.print(f"{facts['taken_down']:,} samples taken down, {facts['purged']:,} of them purged")
    table = Table("view", *next(iter(facts["views"].values()), {}), box=None)
    for name, totals in facts["views"].items():
        table.add_row(name, *(f"{value:,}" for value in totals.values()))
    console.print(table)


def show_vocabulary(console: Console, view: View, top: int) -> None:
    """Prints the most and least frequent labels of a view with their tokens, labels with several meanings, and the most
    frequent tokens and labels that were dropped, so that a person can judge the vocabulary."""
    labels = sorted(view.vocabulary.labels, key=lambda label: -label.images)
    shown = labels if len(labels) <= 2 * top else [*labels[:top], *labels[-top:]]
    console.print(_labels(shown, f"{len(labels)} labels"))
    if ambiguous := [label for label in labels if len(label.synsets) > 1]:
        share = sum(label.images for label in ambiguous) / max(1, sum(label.images for label in labels))
        title = f"{len(ambiguous)} labels have several meanings: {share:.0%} of all that images carry"
        console.print(_labels(ambiguous[:top], title))
    source = view.vocabulary.source
    for kind, columns in DROPPED.items():
        if rows := source.get(kind, [])[:top]:
            table = Table(*columns, title=kind.replace("_", " "), box=None)
            for row in rows:
                table.add_row(
                    *(f"{row[name]:,}" if isinstance(row[name], int) else escape(row[name]) for name in columns)
                )
            console.print(table)


# Columns of what a view dropped, by the key in its vocabulary.json.
DROPPED = {"dropped_tokens": ("token", "tags_at_least", "why"), "dropped_labels": ("label", "images")}


def _labels(labels: Sequence[Label], title: str) -> Table:
    table = Table("id", "label", "words", "images", "synsets", "tokens", title=title, box=None)
    for label in labels:
        tokens = sorted(label.tokens.items(), key=lambda item: -item[1])
        shown = ", ".join(f"{token} {count:,}" for token, count in tokens[:5])
        words, synsets = ", ".join(label.lemmas[:4]), " ".join(label.synsets[:3])
        table.add_row(str(label.id), escape(label.name), words, f"{label.images:,}", synsets, escape(shown))
    return table
