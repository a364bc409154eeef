"""`tagmill corpus`: what a corpus holds, for people and, with --json, for machines."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from tagmill.shards.lint import lint_shard, lint_view
from tagmill.shards.manifest import Corpus
from tagmill.shards.view import View
from tagmill.shards.vocabulary import Label


@dataclass(frozen=True)
class Info:
    """Name, format, totals, splits, views."""

    corpus: tyro.conf.Positional[str]
    json: bool = False


@dataclass(frozen=True)
class Words:
    """The labels of a view by number of images: head and tail, and the tokens that led to them."""

    corpus: tyro.conf.Positional[str]
    view: str = "default"
    top: int = 20
    json: bool = False


@dataclass(frozen=True)
class Lint:
    """Reads every byte of the shards and views and holds it against the digests. Status 1 at the first that differs."""

    corpus: tyro.conf.Positional[str]
    json: bool = False


Commands = (
    Annotated[Info, tyro.conf.subcommand("info")]
    | Annotated[Words, tyro.conf.subcommand("vocabulary")]
    | Annotated[Lint, tyro.conf.subcommand("lint")]
)


def corpus_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill corpus` command line."""
    chosen: Info | Words | Lint = tyro.cli(Commands, args=list(arguments), prog="tagmill corpus")
    corpus = Corpus.open(chosen.corpus)
    console = Console()
    match chosen:
        case Info():
            facts = info(corpus)
            console.print_json(json.dumps(facts)) if chosen.json else show_info(console, facts)
        case Words():
            view = View.open(corpus, chosen.view)
            if chosen.json:
                console.print_json(view.vocabulary.json().decode())
            else:
                show_vocabulary(console, view, chosen.top)
        case Lint():
            for entry in track(corpus.entries, "shards", console=Console(stderr=True), disable=chosen.json):
                lint_shard(corpus, entry)
            for name in corpus.file.views:
                lint_view(corpus, name)
            taken = {"taken_down": corpus.takedown.num_samples, "purged": corpus.takedown.num_purged}
            result = {"shards": len(corpus.entries), "views": len(corpus.file.views), "altered": 0, **taken}
            whole = f"whole: {result['shards']} shards, {result['views']} views, every byte as written"
            whole += f"; {taken['taken_down']:,} samples taken down, {taken['purged']:,} of them purged"
            console.print_json(json.dumps(result)) if chosen.json else console.print(whole)


def info(corpus: Corpus) -> dict[str, Any]:
    """The facts of `corpus.json`, with samples and bytes by split and each view's totals."""
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
    """Prints the most and least frequent labels of a view with what led to them, those of several meanings, and what was
    dropped with the largest counts, so that a person can judge the vocabulary."""
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


# What a view that was made here tells of what it has not.
DROPPED = {"dropped_tokens": ("token", "tags_at_least", "why"), "dropped_labels": ("label", "images")}


def _labels(labels: Sequence[Label], title: str) -> Table:
    table = Table("id", "label", "words", "images", "synsets", "tokens", title=title, box=None)
    for label in labels:
        tokens = sorted(label.tokens.items(), key=lambda item: -item[1])
        told = ", ".join(f"{token} {count:,}" for token, count in tokens[:5])
        words, synsets = ", ".join(label.lemmas[:4]), " ".join(label.synsets[:3])
        table.add_row(str(label.id), escape(label.name), words, f"{label.images:,}", synsets, escape(told))
    return table
