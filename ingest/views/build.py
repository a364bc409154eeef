"""Views of a corpus: tags to labels, the vocabulary, who is in the view and how often, all from tables; images are not read.

Passes, each shard after shard in worker processes, and what lies between them:

    tag union (SQL) -> tally -> vocabulary -> assign (ids, subset, noise) -> count the rarest labels -> t -> put

Only counts by label and token are held; what a shard carries waits on the local disk for the next pass.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tagmill.ingest.engines.engine import Engine
from tagmill.ingest.labels.coverage import TRIED, FewLabels, Reading, few_labels
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
from tagmill.ingest.views.tag_union import tag_union
from tagmill.ingest.workers.pool import Workers
from tagmill.shards.arrays import Int64s
from tagmill.shards.manifest import Corpus, Named, ShardEntry
from tagmill.shards.side_tables import num_runs
from tagmill.shards.storage.store import Store
from tagmill.shards.view import put_view, recipe_folder
from tagmill.shards.vocabulary import Vocabulary

DEFAULT_VIEW = "default"
DROPPED_REPORTED = 30  # of what was dropped, told in the vocabulary
UNMATCHED_KEPT = 1 << 17  # tokens without a label that are counted; of more the rarest are forgotten


@dataclass
class Labelled:
    """A finished view and what there is to say about it."""

    view: Named
    vocabulary: Vocabulary
    tags: int = 0  # over samples, after the union
    tags_matched: int = 0  # of these, those that led to a label, whether or not the vocabulary holds it
    unlabelled: int = 0  # samples without a label
    labels_cut: int = 0  # labels that samples lost to max_labels
    left_out: int = 0  # labelled samples that are excluded, outside the subset, or taken down
    labels_replaced: int = 0  # by noise
    labels_merged: int = 0  # of these, those that met another of their image
    t: float | None = None  # of the resampling
    epoch_samples: int = 0  # of the train split, in whole samples of an epoch
    few_labels: FewLabels | None = None  # what is likely to be wrong, where hardly any tag led to a label


@dataclass(frozen=True)
class CorpusSource:
    """The corpus that is labelled, and where the work is done."""

    store: Store
    manifest: Named
    entries: list[ShardEntry]  # the manifest's, in its order
    spool: Path  # a local folder, new and empty
    processes: int = 1
    taken_down: Mapping[str, Sequence[int]] = field(default_factory=dict)  # ordinals by shard
    takedown: str | None = None  # digest of the list that they are from
    runs: int = 1  # that made the corpus

    @classmethod
    def of(cls, corpus: Corpus, spool: Path, processes: int) -> "CorpusSource":
        """A corpus that is there, with what its takedown list keeps out of views."""
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


def make_view(
    engine: Engine,
    source: CorpusSource,
    name: str,
    rules: ViewRules,
    *,
    seed: int,
    reading: Reading | None = None,
    note: Callable[[str], None] = lambda folder: None,
) -> Labelled:
    """Labels a packed corpus and puts the view `name` into its store; the caller makes it visible by a commit. `note` is
    told the view's folder before anything is written there."""
    store, spool, entries = source.store, source.spool, source.entries
    excluded = rules.members.keys()  # what is wrong is found before the work
    union = tag_union(engine, store, source.manifest, entries, spool, source.runs)
    tasks = [CountTask(store, entry, rules.match, union.files.get(entry.name), spool) for entry in entries]
    folder = recipe_folder(name, recipe := _recipe(source, rules, union.sha256, seed))
    note(folder)
    counted = _CorpusCounts()
    with Workers(source.processes, "making a view") as workers:
        for found in workers.each(count_tags, tasks):
            counted.add(found)
        vocabulary, left = choose(counted.counts(), rules.vocabulary, rules.match.rule, WordNet.load())
        matcher = TagMatcher(rules.match)
        vocabulary = _with_dropped(vocabulary, left, counted, matcher)
        write_ids(spool, vocabulary, excluded)
        labelled = Labelled(Named("", ""), vocabulary, counted.tags, counted.tags_matched)
        frequencies = _assign(workers, source, rules, seed, labelled)
        repeats = [RepeatTask(store, folder, entry, spool) for entry in entries]
        _resample(workers, repeats, source, rules.members, frequencies, labelled)
        shards = list(workers.each(put_labels, repeats))
    samples = sum(entry.samples for entry in entries)
    if samples:
        labelled.few_labels = few_labels(
            counted.tags, counted.tags_matched, counted.unmatched, matcher, reading or Reading()
        ) or _no_label(labelled, samples, left, rules.vocabulary)
    keep_files(store, folder, rules)
    labelled.view = put_view(
        store, name, recipe, source.manifest, vocabulary, shards, max_labels=rules.max_labels, seed=seed
    )
    return labelled


def _recipe(source: CorpusSource, rules: ViewRules, union_sha256: str, seed: int) -> dict[str, Any]:
    return {
        "manifest": source.manifest.sha256,
        "union": union_sha256,
        "match": rules.match.recipe(),
        "vocabulary": rules.vocabulary.recipe(),
        "max_labels": rules.max_labels,
        **rules.members.recipe(),
        "takedown": source.takedown,
        "seed": seed,
    }


class _CorpusCounts:
    """Sums of the shards' tallies, added in the order of the corpus."""

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
        if len(self.unmatched) > 2 * TRIED:
            self.unmatched = Counter(dict(_largest(self.unmatched, TRIED)))
        if found.split != "train":
            return
        self.images.update(found.labels)
        for token, images in found.tokens.items():
            for label in found.led_to[token]:
                self.tokens.setdefault(label, Counter())[token] += images
        self.dropped.update(found.dropped)
        if len(self.dropped) > 2 * UNMATCHED_KEPT:
            self.dropped = Counter(dict(_largest(self.dropped, UNMATCHED_KEPT)))

    def counts(self) -> VocabularyCounts:
        return VocabularyCounts(self.images, self.tokens)


def _with_dropped(
    vocabulary: Vocabulary, left: Mapping[str, int], counted: _CorpusCounts, matcher: TagMatcher
) -> Vocabulary:
    """The vocabulary that also says what was dropped with the largest counts, for a person to judge."""
    tokens = [
        {"token": token, "tags_at_least": count, "why": matcher.why_not(token)}
        for token, count in _largest(counted.dropped, DROPPED_REPORTED)
    ]
    labels = [
        {"label": word_of(parse_set(text), counted.tokens[text], WordNet.load()), "synsets": text, "images": images}
        for text, images in _largest(left, DROPPED_REPORTED)
    ]
    source = {**vocabulary.source, "dropped_tokens": tokens, "dropped_labels": labels, "labels_left_out": len(left)}
    return Vocabulary(vocabulary.labels, vocabulary.rule, source)


def _no_label(labelled: Labelled, samples: int, left: Mapping[str, int], rules: VocabularyRules) -> FewLabels | None:
    """Where tags lead to labels, but the vocabulary has none of them."""
    if labelled.unlabelled < samples:
        return None
    why = f"no sample has a label of the vocabulary {rules.vocabulary!r}"
    if left:
        why += f"; {len(left):,} other labels are carried, the commonest by {max(left.values()):,} images"
    remedy = "give another --vocabulary" if rules.vocabulary != "nouns" else "give a smaller --min-count"
    return FewLabels("vocabulary", why, remedy, labelled.tags, labelled.tags_matched)


def _largest(counts: Mapping[str, int], most: int) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]


def _assign(workers: Workers, source: CorpusSource, rules: ViewRules, seed: int, labelled: Labelled) -> Int64s:
    """Gives every sample its ids; returns how many images of the view have each label."""
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
    for found in workers.each(assign, tasks):
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
    workers: Workers,
    tasks: list[RepeatTask],
    source: CorpusSource,
    members: Members,
    frequencies: Int64s,
    labelled: Labelled,
) -> None:
    """Solves for t, and tells the last pass the repeats."""
    write_frequencies(source.spool, frequencies)
    counts = np.zeros(len(frequencies), np.int64)
    for found in workers.each(count_rarest, tasks):
        counts += found
    if members.resample == "natural":
        labelled.epoch_samples = int(counts.sum())
        return
    solved = solve(frequencies, counts, members.resample, members.epoch_samples, members.max_repeat)
    write_repeats(source.spool, solved.repeats)
    labelled.t, labelled.epoch_samples = solved.t, solved.reached
