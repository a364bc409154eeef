"""`tagmill corpus info`, `vocabulary` and `lint`: what a corpus holds, for people and, with --json, for programs."""

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table

from tagmill.shards.lint import lint_corpus
from tagmill.shards.manifest import Corpus
from tagmill.shards.progress.protocol import Silent
from tagmill.shards.progress.shown import progress_shown
from tagmill.shards.settings.options import CommandLine, JsonOutput
from tagmill.shards.settings.ranges import Count
from tagmill.shards.terminal.advice import RARE_IMAGES, given, on_labels, on_no_label, on_shard_size, on_unpurged
from tagmill.shards.terminal.lines import Figure, columns, figure_lines, print_lines, warning_lines, width_of, wrapped
from tagmill.shards.terminal.safe_text import safe_cell, safe_text
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
    corpus, console = Corpus.open(chosen.corpus), Console()
    view = View.open(corpus, part.view)
    if shown.json:
        console.print_json(view.vocabulary.json().decode())
    else:
        samples = sum(entry.samples for entry in corpus.entries if entry.split == "train")
        show_vocabulary(console, view, part.top, samples)


def lint_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill corpus lint` command line."""
    chosen, shown = LINT_COMMAND.parse(arguments)
    corpus, console = Corpus.open(chosen.corpus), Console()
    with nullcontext(Silent()) if shown.json else progress_shown() as progress:
        lint_corpus(corpus, progress)
    taken = {"taken_down": corpus.takedown.num_samples, "purged": corpus.takedown.num_purged}
    result = {"shards": len(corpus.entries), "views": len(corpus.file.views), "altered": 0, **taken}
    if shown.json:
        console.print_json(json.dumps(result))
        return
    width = width_of(console)
    lines = ["no errors: every byte as written", "", *figure_lines(lint_figures(result), width)]
    advice = on_unpurged(taken["taken_down"], taken["purged"])
    print_lines([*lines, *warning_lines(given(advice), width)], console)


def lint_figures(result: Mapping[str, int]) -> list[Figure]:
    """Returns what was compared, from the numbers that `--json` prints."""
    return [
        Figure("shards", f"{result['shards']:,}", "Tars, indexes and tables, whole, with the digests of the manifest."),
        Figure("views", f"{result['views']:,}", "Labellings, with the labels and factors of every shard."),
        Figure("altered", f"{result['altered']:,}", "Lint ends at the first difference, so here it is always 0."),
        Figure("taken down", f"{result['taken_down']:,}", "Samples that readers skip."),
        Figure("purged", f"{result['purged']:,}", "Those of them whose bytes are deleted."),
    ]


def info(corpus: Corpus) -> dict[str, Any]:
    """Returns the content of `corpus.json`, with samples and bytes by split and each view's totals."""
    facts = asdict(corpus.file)
    # By columns: a large corpus has hundreds of thousands of shards, and an object for each takes seconds.
    sums = corpus.table.group_by("split").aggregate([("samples", "count"), ("samples", "sum"), ("bytes", "sum")])
    rows = sorted(sums.to_pylist(), key=lambda row: str(row["split"]), reverse=True)
    facts["splits"] = {
        row["split"]: {"shards": row["samples_count"], "samples": row["samples_sum"], "bytes": row["bytes_sum"]}
        for row in rows
    }
    facts["taken_down"], facts["purged"] = corpus.takedown.num_samples, corpus.takedown.num_purged
    facts["views"] = {name: View.open(corpus, name).file.totals for name in corpus.file.views}
    return facts


def show_info(console: Console, facts: dict[str, Any]) -> None:
    """Prints `info` as two small tables with their legend, and advice."""
    width = width_of(console)
    head = f"{facts['name']}  format {facts['format']}  seed {facts['seed']}  {facts['code_version']}"
    lines = [safe_text(head, 400)]
    if facts["image_policy"]:
        policy = {"restart_interval": 0} | facts["image_policy"]  # absent where images have no restart markers
        lines += wrapped(
            safe_text("images: " + ", ".join(f"{name} {value}" for name, value in policy.items()), 400), width
        )
    rows = [
        (safe_text(split, 20), f"{row['shards']:,}", f"{row['samples']:,}", f"{row['bytes'] / 1e6:,.1f}")
        for split, row in facts["splits"].items()
    ]
    lines += ["", *columns([("split", "shards", "samples", "MB"), *rows], (1, 2, 3))]
    if facts["taken_down"]:
        lines.append(f"{facts['taken_down']:,} samples taken down, {facts['purged']:,} of them purged")
    titles = list(dict.fromkeys([*TOTALS, *(name for totals in facts["views"].values() for name in totals)]))
    named = [
        (safe_text(view, 30), *(f"{totals.get(name, 0):,}" for name in titles))
        for view, totals in facts["views"].items()
    ]
    head_row = ("view", *(safe_text(title, 20) for title in titles))
    lines += ["", *columns([head_row, *named], range(1, len(head_row))), "", *figure_lines(INFO_LEGEND, width)]
    shards, size = (sum(row[what] for row in facts["splits"].values()) for what in ("shards", "bytes"))
    samples = sum(row["samples"] for row in facts["splits"].values())
    unlabelled = [on_no_label(totals["labels"], samples) for totals in facts["views"].values() if "labels" in totals]
    print_lines([*lines, *warning_lines(given(on_shard_size(size, shards), *unlabelled[:1]), width)], console)


TOTALS = ("samples", "selected", "copies", "labels")  # of a view, in this order
INFO_LEGEND = [
    Figure("shards", "tar files; on average 0.1 to 4 GB each are good"),
    Figure("MB", "millions of bytes of these tars"),
    Figure("selected", "samples of the view that an epoch has at least once"),
    Figure("copies", "whole copies of training samples in an epoch; more than selected where a view repeats some"),
    Figure("labels", "classes of the view; a training needs at least one"),
]


def show_vocabulary(console: Console, view: View, top: int, samples: int) -> None:
    """Prints the most and least frequent labels of a view with their tokens, labels with several meanings, and the most
    frequent tokens and labels that were dropped, so that a person can judge the vocabulary; then a legend, and advice for a
    corpus with `samples` in its train split."""
    labels = sorted(view.vocabulary.labels, key=lambda label: -label.images)
    shown = labels if len(labels) <= 2 * top else [*labels[:top], *labels[-top:]]
    console.print(_labels(shown, f"{len(labels)} labels"))
    if ambiguous := [label for label in labels if len(label.synsets) > 1]:
        share = sum(label.images for label in ambiguous) / max(1, sum(label.images for label in labels))
        title = f"{len(ambiguous)} labels have several meanings: {share:.0%} of all that images carry"
        console.print(_labels(ambiguous[:top], title))
    source = view.vocabulary.source
    for kind, names in DROPPED.items():
        if rows := source.get(kind, [])[:top]:
            table = Table(*names, title=kind.replace("_", " "), box=None)
            for row in rows:
                table.add_row(
                    *(f"{row[name]:,}" if isinstance(row[name], int) else safe_cell(row[name]) for name in names)
                )
            console.print(table)
    width = width_of(console)
    advice = on_labels([(label.name, label.images) for label in labels], samples)
    print_lines(["", *figure_lines(VOCABULARY_LEGEND, width), *warning_lines(advice, width)], console)


VOCABULARY_LEGEND = [
    Figure("words", "what WordNet calls the meaning of a label"),
    Figure("images", f"of the train split; with fewer than {RARE_IMAGES} a label is hard to learn"),
    Figure("synsets", "meanings in WordNet; with several a label is ambiguous"),
    Figure("tokens", "hashtags that led to the label, with their images"),
    Figure("tags at least", "how often a dropped token was found; its cause is beside it"),
]


# Columns of what a view dropped, by the key in its vocabulary.json.
DROPPED = {"dropped_tokens": ("token", "tags_at_least", "why"), "dropped_labels": ("label", "images")}


def _labels(labels: Sequence[Label], title: str) -> Table:
    table = Table("id", "label", "words", "images", "synsets", "tokens", title=title, box=None)
    for label in labels:
        tokens = sorted(label.tokens.items(), key=lambda item: -item[1])
        shown = ", ".join(f"{safe_text(token, 40)} {count:,}" for token, count in tokens[:5])
        words, synsets = safe_cell(", ".join(label.lemmas[:4]), 200), safe_cell(" ".join(label.synsets[:3]))
        table.add_row(str(label.id), safe_cell(label.name), words, f"{label.images:,}", synsets, safe_cell(shown, 300))
    return table
