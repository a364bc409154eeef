"""Builds a view of a corpus: labels, vocabulary, membership and repeats, all from tables; images are not read.

Passes, each over all shards in worker processes (`scratch_files` lists what they leave for each other):

    tags or a table (SQL) -> count -> vocabulary -> assign (ids, subset, noise) -> count the rarest labels -> solve t -> put

Only counts by label and token are held in memory.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from tagmill.ingest.engines.engine import Engine
from tagmill.ingest.labels.coverage import TAGS_EXAMINED, FewLabels, Reading, few_labels
from tagmill.ingest.labels.label_names import word_of
from tagmill.ingest.labels.matching import TagMatcher
from tagmill.ingest.labels.synsets import WordNet, parse_set
from tagmill.ingest.labels.vocabulary_rules import VocabularyCounts, VocabularyRules, choose
from tagmill.ingest.views.assign import (
    Assigned,
    AssignTask,
    RepeatTask,
    assign,
    count_rarest,
    put_labels,
)
from tagmill.ingest.views.count import CountedTags, CountTask, count_tags
from tagmill.ingest.views.recipe import Members, ViewRules, keep_files
from tagmill.ingest.views.resampling import solve
from tagmill.ingest.views.scratch_files import write_frequencies, write_ids, write_repeats
from tagmill.ingest.views.table.count_rows import RowsTask, count_rows
from tagmill.ingest.views.table.label_rows import LabelTable, RowCounts, label_rows
from tagmill.ingest.views.tag_union import tag_union
from tagmill.ingest.workers.pool import WorkerPool
from tagmill.shards.arrays import Int64s
from tagmill.shards.formats.shard_facts import FACTS_VERSION
from tagmill.shards.manifest import Corpus, Named, ShardEntry
from tagmill.shards.progress.counts import counted
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.shards.side_tables import num_runs
from tagmill.shards.storage.store import Store
from tagmill.shards.view import put_view, recipe_folder
from tagmill.shards.vocabulary import Vocabulary

T = TypeVar("T")

DEFAULT_VIEW = "default"
LABEL = "label"  # the stage of progress
DROPPED_REPORTED = 30  # dropped tokens and labels that the vocabulary lists
UNMATCHED_KEPT = 1 << 17  # tokens without a label that are counted; beyond it the rarest are dropped


@dataclass
class Labelled:
    """A finished view with its counts."""

    view: Named
    vocabulary: Vocabulary
    tags: int = 0  # over samples, after the union
    tags_matched: int = 0  # of these, those that lead to a label, whether or not the vocabulary has it
    unlabelled: int = 0  # samples without a label
    labels_cut: int = 0  # labels that samples lost to max_labels
    left_out: int = 0  # labelled samples that are excluded, outside the subset, or taken down
    labels_replaced: int = 0  # by noise
    labels_merged: int = 0  # of these, those equal to another label of their image
    t: float | None = None  # threshold of the resampling
    capped: bool = False  # whether images above the threshold are shown less often, and not those below it more often
    epoch_samples: int = 0  # whole samples in an epoch of the train split
    few_labels: FewLabels | None = None  # the likely cause, where hardly any tag leads to a label
    rows: RowCounts | None = None  # of the table that the labels come from


@dataclass(frozen=True)
class CorpusSource:
    """The corpus to label, and where the work is done."""

    store: Store
    manifest: Named
    entries: list[ShardEntry]  # in manifest order
    spool: Path  # a local folder, new and empty
    processes: int = 1
    taken_down: Mapping[str, Sequence[int]] = field(default_factory=dict)  # ordinals by shard
    takedown: str | None = None  # digest of the takedown list
    runs: int = 1  # number of runs that made the corpus

    @classmethod
    def of(cls, corpus: Corpus, spool: Path, processes: int) -> "CorpusSource":
        """Returns an existing corpus as a source, with the samples that its takedown list excludes from views."""
        taken = corpus.takedown
        file = corpus.file
        ordinals = {shard: found.tolist() for shard, found in taken.shards.items()}
        return cls(
            store=corpus.store,
            manifest=file.manifest,
            entries=corpus.entries,
            spool=spool,
            processes=processes,
            taken_down=ordinals,
            takedown=taken.samples_sha256,
            runs=num_runs(file),
        )


@dataclass(frozen=True)
class _Steps:
    """Shows the passes over the shards."""

    progress: Progress
    shards: int

    def of(self, name: str, results: Iterator[T]) -> Iterator[T]:
        self.progress.stage(f"{LABEL}: {name}", self.shards)
        return counted(self.progress, results)


def make_view(
    engine: Engine,
    source: CorpusSource,
    name: str,
    rules: ViewRules,
    *,
    seed: int,
    reading: Reading | None = None,
    note: Callable[[str], None] = lambda folder: None,
    progress: Progress | None = None,
) -> Labelled:
    """Labels a packed corpus and writes the view `name` to its store; a commit by the caller makes it visible.

    `note` is called with the view's folder before anything is written there.
    """
    steps = _Steps(progress or Silent(), len(source.entries))
    store, spool, entries = source.store, source.spool, source.entries
    excluded = rules.members.keys()  # raises before the work begins
    steps.progress.stage(f"{LABEL}: join")
    joined = _of_tags(engine, source, rules) if rules.table is None else _of_table(engine, source, rules, rules.table)
    folder = recipe_folder(name, recipe := _recipe(source, rules, joined.recipe, seed))
    note(folder)
    counted = CorpusCounts()
    with WorkerPool(source.processes, "making a view") as pool:
        for found in steps.of("count", pool.map(joined.count, joined.tasks)):
            counted.add(found)
        rule = rules.match.rule if rules.table is None else "table"
        vocabulary, left = choose(counted.counts(), rules.vocabulary, rule, WordNet.load())
        matcher = TagMatcher(rules.match) if rules.table is None else None
        if matcher is not None:
            vocabulary = _with_dropped(vocabulary, left, counted, matcher)
        write_ids(spool, vocabulary, excluded)
        labelled = Labelled(Named("", ""), vocabulary, counted.tags, counted.tags_matched, rows=joined.rows)
        frequencies = _assign(pool, source, rules, seed, labelled, steps)
        repeats = [RepeatTask(store, folder, entry, spool) for entry in entries]
        _resample(pool, repeats, source, rules.members, frequencies, labelled, steps)
        shards = list(steps.of("write", pool.map(put_labels, repeats)))
    samples = sum(entry.samples for entry in entries)
    if samples and matcher is not None:
        labelled.few_labels = few_labels(
            counted.tags, counted.tags_matched, counted.unmatched, matcher, reading or Reading()
        ) or no_label(labelled, samples, left, rules.vocabulary)
    keep_files(store, folder, rules)
    labelled.view = put_view(
        store, name, recipe, source.manifest, vocabulary, shards, max_labels=rules.max_labels, seed=seed
    )
    return labelled


@dataclass(frozen=True)
class _Joined:
    """Where the labels come from: what counts those of a shard, and what the recipe has of them."""

    count: Callable[[Any], CountedTags]
    tasks: list[Any]  # one for each shard
    recipe: Mapping[str, Any]
    rows: RowCounts | None = None


def _of_tags(engine: Engine, source: CorpusSource, rules: ViewRules) -> _Joined:
    union = tag_union(engine, source.store, source.manifest, source.entries, source.spool, source.runs)
    tasks = [
        CountTask(source.store, entry, rules.match, union.files.get(entry.name), source.spool)
        for entry in source.entries
    ]
    return _Joined(count_tags, tasks, {"union": union.sha256, "match": rules.match.recipe()})


def _of_table(engine: Engine, source: CorpusSource, rules: ViewRules, table: LabelTable) -> _Joined:
    names = rules.vocabulary.names()
    classes = {label: names.get(label, "") for label in rules.vocabulary.file_labels() or ()}
    found = label_rows(engine, table, source.store, source.manifest, source.entries, classes, source.spool)
    texts = source.spool / "classes.txt"
    texts.write_text("".join(f"{'+'.join(label)}\n" for label in classes), encoding="ascii")
    tasks = [
        RowsTask(source.store, entry, found.files.get(entry.name), texts, source.spool) for entry in source.entries
    ]
    return _Joined(count_rows, tasks, {"labels": {**table.recipe(), "sha256": found.sha256}}, found.counts)


def _recipe(source: CorpusSource, rules: ViewRules, joined: Mapping[str, Any], seed: int) -> dict[str, Any]:
    return {
        "manifest": source.manifest.sha256,
        **joined,
        "vocabulary": rules.vocabulary.recipe(),
        "max_labels": rules.max_labels,
        **rules.members.recipe(),
        "takedown": source.takedown,
        "facts": FACTS_VERSION,
        "seed": seed,
    }


class CorpusCounts:
    """Sums of the counts of all shards, added in corpus order."""

    def __init__(self) -> None:
        self.images: Counter[str] = Counter()
        self.tokens: dict[str, Counter[str]] = {}
        self.dropped: Counter[str] = Counter()
        self.unmatched: Counter[str] = Counter()
        self.tags = 0
        self.tags_matched = 0

    def add(self, found: CountedTags) -> None:
        self.tags += found.tags
        self.tags_matched += found.tags_matched
        self.unmatched.update(found.unmatched)
        if len(self.unmatched) > 2 * TAGS_EXAMINED:
            self.unmatched = Counter(dict(_largest(self.unmatched, TAGS_EXAMINED)))
        if found.split != "train":
            return
        self.images.update(found.labels)
        for token, images in found.tokens.items():
            for label in found.labels_of[token]:
                self.tokens.setdefault(label, Counter())[token] += images
        self.dropped.update(found.dropped)
        if len(self.dropped) > 2 * UNMATCHED_KEPT:
            self.dropped = Counter(dict(_largest(self.dropped, UNMATCHED_KEPT)))

    def counts(self) -> VocabularyCounts:
        return VocabularyCounts(self.images, self.tokens)


def _with_dropped(
    vocabulary: Vocabulary, left: Mapping[str, int], counted: CorpusCounts, matcher: TagMatcher
) -> Vocabulary:
    """Returns the vocabulary with the most frequent dropped tokens and labels in its source, for review by people."""
    tokens = [
        {"token": token, "tags_at_least": count, "why": matcher.no_match_reason(token)}
        for token, count in _largest(counted.dropped, DROPPED_REPORTED)
    ]
    labels = [
        {"label": word_of(parse_set(text), counted.tokens[text], WordNet.load()), "synsets": text, "images": images}
        for text, images in _largest(left, DROPPED_REPORTED)
    ]
    source = {**vocabulary.source, "dropped_tokens": tokens, "dropped_labels": labels, "labels_left_out": len(left)}
    return Vocabulary(vocabulary.labels, vocabulary.rule, source)


def no_label(labelled: Labelled, samples: int, left: Mapping[str, int], rules: VocabularyRules) -> FewLabels | None:
    """Returns a warning where tags lead to labels, but the vocabulary has none of them."""
    if labelled.unlabelled < samples:
        return None
    why = f"no sample has a label of the vocabulary {rules.vocabulary!r}"
    if left:
        why += f"; {len(left):,} other labels are carried, the commonest by {max(left.values()):,} images"
    remedy = "give another --vocabulary" if rules.vocabulary != "nouns" else "give a smaller --min-count"
    return FewLabels("vocabulary", why, remedy, labelled.tags, labelled.tags_matched)


def _largest(counts: Mapping[str, int], most: int) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]


def _assign(
    pool: WorkerPool, source: CorpusSource, rules: ViewRules, seed: int, labelled: Labelled, steps: _Steps
) -> Int64s:
    """Assigns label ids to every sample. Returns how many images of the view have each label, [L]."""
    members = rules.members
    tasks = [
        AssignTask(
            entry=entry,
            spool=source.spool,
            max_labels=rules.max_labels,
            seed=seed,
            noise=members.noise,
            subset=members.subset,
            taken_down=tuple(source.taken_down.get(entry.name, ())),
        )
        for entry in source.entries
    ]
    frequencies = np.zeros(len(labelled.vocabulary), np.int64)
    for found in steps.of("assign", pool.map(assign, tasks)):
        frequencies += found.frequencies
        _add(labelled, found)
    return frequencies


def _add(labelled: Labelled, found: Assigned) -> None:
    labelled.unlabelled += found.unlabelled
    labelled.labels_cut += found.cut
    labelled.left_out += found.left_out
    labelled.labels_replaced += found.replaced
    labelled.labels_merged += found.merged


def _resample(
    pool: WorkerPool,
    tasks: list[RepeatTask],
    source: CorpusSource,
    members: Members,
    frequencies: Int64s,
    labelled: Labelled,
    steps: _Steps,
) -> None:
    """Solves for the threshold t, and writes the repeats for the last pass."""
    write_frequencies(source.spool, frequencies)
    counts = np.zeros(len(frequencies), np.int64)
    for found in steps.of("resample", pool.map(count_rarest, tasks)):
        counts += found
    if members.resample == "natural":
        labelled.epoch_samples = int(counts.sum())
        return
    length, most = members.epoch_samples, members.max_repeat
    solved = solve(frequencies, counts, members.resample, length, most, members.cap_at)
    labelled.capped = members.resample == "cap"
    write_repeats(source.spool, solved.repeats)
    labelled.t, labelled.epoch_samples = solved.t, solved.reached
