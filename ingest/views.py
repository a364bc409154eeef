"""The default view: tags to tokens to labels, the vocabulary by count, and every shard's label ids."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from tagmill.ingest.engine import Engine
from tagmill.ingest.hashtags import clean
from tagmill.ingest.synsets import Rule, SynsetSet, WordNet, label_name, labels_of
from tagmill.shards.errors import CorpusError
from tagmill.shards.manifest import Named, ShardEntry
from tagmill.shards.store import Store
from tagmill.shards.view import ONE, Int32s, Int64s, ViewShard, put_shard_labels, put_view, recipe_folder
from tagmill.shards.vocabulary import Label, Vocabulary

NAME = "default"
MAX_TAGS = 1_000  # tags of a key, after the union
MATCHED = pa.schema([("tag", pa.string()), ("token", pa.int32()), ("label", pa.int32())])


@dataclass(frozen=True)
class LabelRules:
    """How tags become labels; with the manifest and the rejects all that a view is a function of."""

    rule: Rule = "merge"
    min_count: int = 1  # training pictures that a label needs
    top_k: int | None = None  # labels at most, the commonest
    max_labels: int = 16  # labels a sample at most, the rarest


@dataclass
class Labelled:
    """A finished view and what there is to say about it."""

    view: Named
    vocabulary: Vocabulary
    tags: int = 0  # over samples, after the union
    tags_matched: int = 0  # of these, those that led to a label, whether or not the vocabulary holds it
    unlabelled: int = 0  # samples without a label
    labels_cut: int = 0  # labels that samples lost to max_labels


def make_view(
    engine: Engine,
    store: Store,
    facts: ds.Dataset,
    selection: ds.Dataset,
    manifest: Named,
    entries: list[ShardEntry],
    rules: LabelRules,
    *,
    seed: int,
    rejects_sha256: str,
    spool: Path,
) -> Labelled:
    """Labels a packed corpus and puts the view `default` into its store: natural, every labelled sample once.

    `entries` are the manifest's, in its order; `rejects_sha256` is a digest of the rejects, whose tags count too.
    """
    engine.bind("facts", facts)
    engine.bind("selection", selection)
    engine.keep("tags", "tags", max_tags=MAX_TAGS)
    matching = _Matching(rules.rule)
    engine.bind("matched", matching.match(engine, spool))
    engine.keep("carried", "carried")
    vocabulary, number_of = _vocabulary(engine, matching, rules)
    engine.bind("vocabulary", number_of)
    recipe: dict[str, Any] = {
        "manifest": manifest.sha256,
        "rejects": rejects_sha256,
        "rule": rules.rule,
        "min_count": rules.min_count,
        "top_k": rules.top_k,
        "max_labels": rules.max_labels,
        "repeats": "natural",
        "seed": seed,
    }
    labelled = Labelled(Named("", ""), vocabulary, matching.tags, matching.tags_matched)
    shards = list(_label_shards(engine, store, recipe_folder(NAME, recipe), entries, rules, labelled))
    labelled.view = put_view(store, NAME, recipe, manifest, vocabulary, shards, max_labels=rules.max_labels, seed=seed)
    return labelled


class _Matching:
    """Tags matched to WordNet. Tokens and labels get numbers as they come; only names ever leave this file.

    There are no more of them than WordNet has words; tags, of which there are many more, are streamed to disk.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule, self._wordnet = rule, WordNet.load()
        self.tokens: dict[str, int] = {}
        self.labels: dict[SynsetSet, int] = {}
        self.tags = self.tags_matched = 0

    def match(self, engine: Engine, spool: Path) -> ds.Dataset:
        """The table of (tag, token, label), a row for every label of a tag, for tags that have one."""
        path = spool / "matched.parquet"
        with pq.ParquetWriter(path, MATCHED) as writer:
            for batch in engine.run("distinct_tags"):
                lines: list[tuple[str, int, int]] = []
                for tag, samples in zip(batch["tag"].to_pylist(), batch["samples"].to_pylist(), strict=True):
                    found = list(self._lines(tag))
                    self.tags += samples
                    self.tags_matched += samples if found else 0
                    lines += found
                columns = list(zip(*lines, strict=True)) or [(), (), ()]
                writer.write_table(pa.table(dict(zip(MATCHED.names, map(list, columns), strict=True)), MATCHED))
        return ds.dataset(path, schema=MATCHED)

    def _lines(self, tag: str) -> Iterator[tuple[str, int, int]]:
        token = clean(tag)
        for synsets in labels_of(token, self._rule, wordnet=self._wordnet):
            number = self.tokens.setdefault(token, len(self.tokens))
            yield tag, number, self.labels.setdefault(synsets, len(self.labels))

    def label(self, ordinal: int, synsets: SynsetSet, tokens: dict[str, int], images: int) -> Label:
        words = dict.fromkeys(word for synset in synsets for word in self._wordnet.lemmas(synset))
        return Label(ordinal, label_name(synsets), synsets, tuple(words), dict(sorted(tokens.items())), images)


def _vocabulary(engine: Engine, matching: _Matching, rules: LabelRules) -> tuple[Vocabulary, pa.Table]:
    """The vocabulary, ids by falling count and then by name, and the table (label, id) of our numbers to its ids."""
    tokens, synsets_of = list(matching.tokens), list(matching.labels)
    by_label: dict[int, dict[str, int]] = {}
    for row in _pylist(engine, "token_counts"):
        by_label.setdefault(row["label"], {})[tokens[row["token"]]] = row["images"]
    counts = Counter({row["label"]: row["images"] for row in _pylist(engine, "label_counts")})
    common = [number for number, images in counts.items() if images >= rules.min_count]
    order = sorted(common, key=lambda number: (-counts[number], label_name(synsets_of[number])))[: rules.top_k]
    labels = (
        matching.label(ordinal, synsets_of[number], by_label[number], counts[number])
        for ordinal, number in enumerate(order)
    )
    source = {"wordnet": "3.0", "min_count": rules.min_count, "top_k": rules.top_k, "counted_on": "train"}
    ids = pa.table({"label": pa.array(order, pa.int32()), "id": pa.array(range(len(order)), pa.int32())})
    return Vocabulary(tuple(labels), rules.rule, source), ids


def _pylist(engine: Engine, statement: str) -> Iterator[dict[str, Any]]:
    for batch in engine.run(statement):
        yield from batch.to_pylist()


def _label_shards(
    engine: Engine, store: Store, folder: str, entries: list[ShardEntry], rules: LabelRules, labelled: Labelled
) -> Iterator[ViewShard]:
    """Puts the labels of shard after shard, from one stream in the order of the corpus."""
    sizes = [entry.samples for entry in entries]
    for entry, (samples, ids) in zip(entries, by_shard(engine.run("labels"), sizes), strict=True):
        labels, cut = rarest(samples, ids, entry.samples, rules.max_labels)
        repeats: Int64s = np.where((labels >= 0).any(axis=1), ONE, 0).astype(np.int64)
        labelled.unlabelled += int((repeats == 0).sum())
        labelled.labels_cut += cut
        yield put_shard_labels(store, folder, entry, labels, repeats)


def by_shard(batches: pa.RecordBatchReader, sizes: list[int]) -> Iterator[tuple[Int64s, Int64s]]:
    """Cuts rows (part, place, id or null), a sample's rows adjacent, into shards of `sizes` samples each.

    Yields for each shard the ordinals of the samples inside it and the ids that go with them, nulls left out. Raises
    CorpusError where the stream has not exactly as many samples as the shards.
    """
    held = [np.empty((2, 0), np.int64)]
    start = seen = 0
    last: tuple[int, int] | None = None
    wanted = iter(sizes)
    size = next(wanted, None)
    for batch in batches:
        if not batch.num_rows:
            continue
        part, place = batch["part"].to_numpy(), batch["place"].to_numpy()
        new = np.ones(len(part), bool)
        new[1:] = (part[1:] != part[:-1]) | (place[1:] != place[:-1])
        new[0] = last != (int(part[0]), int(place[0]))
        last = int(part[-1]), int(place[-1])
        ordinals = seen - 1 + np.cumsum(new)
        seen = int(ordinals[-1]) + 1
        held.append(np.stack([ordinals, batch["id"].fill_null(-1).to_numpy()]).astype(np.int64))
        while size is not None and seen > start + size:
            rows = np.concatenate(held, axis=1)
            cut = int(np.searchsorted(rows[0], start + size))
            yield _shard(rows[:, :cut], start)
            held = [rows[:, cut:]]
            start += size
            size = next(wanted, None)
    if size is not None and seen == start + size:
        yield _shard(np.concatenate(held, axis=1), start)
        start, size = start + size, next(wanted, None)
    if size is not None or seen != start:
        raise CorpusError(f"{seen} samples to label, {sum(sizes)} in the shards", "labels", "remove parts/, start over")


def _shard(rows: npt.NDArray[np.int64], start: int) -> tuple[Int64s, Int64s]:
    ordinals, ids = rows[:, rows[1] >= 0]
    return ordinals - start, ids


def rarest(samples: Int64s, ids: Int64s, num_samples: int, most: int) -> tuple[Int32s, int]:
    """Rows (sample, id), ascending, as labels int32 [num_samples, most], padded with -1; and how many did not fit.

    Ids go by falling count, so the rarest labels of a sample are its highest ids; those stay.
    """
    counts = np.bincount(samples, minlength=num_samples)
    first = np.cumsum(counts) - counts
    column = np.arange(len(samples)) - first[samples] - np.maximum(counts - most, 0)[samples]
    labels = np.full((num_samples, most), -1, np.int32)
    stays = column >= 0
    labels[samples[stays], column[stays]] = ids[stays]
    return labels, int((~stays).sum())
