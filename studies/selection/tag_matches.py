"""Images with a tag that matches a class, as a table of random scores: the best K of them are K random images."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pyarrow as pa

from tagmill.ingest.engines.engine import GeneratedTable
from tagmill.ingest.labels.synsets import SynsetSet
from tagmill.ingest.views.keyed_random import SELECT, words
from tagmill.ingest.views.sample_locations import hex_keys
from tagmill.shards import ConfigError, Corpus, View
from tagmill.shards.arrays import Int64s
from tagmill.shards.manifest import ShardEntry
from tagmill.shards.reader import whole_index
from tagmill.studies.selection.chosen_rows import SCORED

DRAW_BITS = 16  # as many as a score has, so that both are counted in the same way


def tag_matches(corpus: Corpus, view: View, classes: Sequence[SynsetSet], seed: int) -> GeneratedTable:
    """Returns the table (key, place of the class, random number) of all images with a label of `view` that matches a class.

    A label matches the class with the same synsets; where there is none, every class that shares a synset with it. A
    number depends on seed, sample and class alone. Raises ConfigError where the labels of `view` are not the tags'.
    """
    recipe = view.file.recipe
    if "labels" in recipe or recipe.get("noise"):
        why = "come from a table" if "labels" in recipe else "have noise"
        what = f"the labels of view {view.file.name!r} {why}, so they are not the tags of the images"
        raise ConfigError(what, corpus.store.url, "give --tags-view a view that tags made, such as default")
    matches = label_matches([label.synsets for label in view.vocabulary.labels], classes)
    if not len(matches[1]):
        what = f"no label of view {view.file.name!r} matches a class of the teacher"
        raise ConfigError(what, corpus.store.url, "give --tags-view a view with a wider vocabulary")
    items = [(number, entry) for number, entry in enumerate(corpus.entries) if entry.split == "train"]
    return GeneratedTable(SCORED, items, partial(_rows, corpus, view, matches, len(classes), seed))


def label_matches(labels: Sequence[SynsetSet], classes: Sequence[SynsetSet]) -> tuple[Int64s, Int64s]:
    """Returns for L labels the classes that each matches: where its list begins, [L + 1], and all lists, [m]."""
    places = {own: place for place, own in enumerate(classes)}
    by_synset: dict[str, list[int]] = {}
    for place, own in enumerate(classes):
        for synset in own:
            by_synset.setdefault(synset, []).append(place)
    lists = [
        [places[label]]
        if label in places
        else sorted({place for synset in label for place in by_synset.get(synset, ())})
        for label in labels
    ]
    starts = np.concatenate([[0], np.cumsum([len(each) for each in lists])]).astype(np.int64)
    return starts, np.array([place for each in lists for place in each], np.int64)


def _rows(
    corpus: Corpus,
    view: View,
    matches: tuple[Int64s, Int64s],
    num_classes: int,
    seed: int,
    item: tuple[int, ShardEntry],
) -> Iterator[pa.RecordBatch]:
    number, entry = item
    labels = view.labels(number, 0, entry.samples)
    starts, flat = matches
    rows, columns = np.nonzero(labels >= 0)
    own = labels[rows, columns].astype(np.int64)
    lengths = starts[own + 1] - starts[own]
    ends = np.cumsum(lengths)
    within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
    pairs = np.unique(np.repeat(rows, lengths) * num_classes + flat[np.repeat(starts[own], lengths) + within])
    samples, places = np.divmod(pairs, num_classes)
    keys = np.ascontiguousarray(whole_index(corpus.store, entry)["key"]).view(np.uint8).reshape(-1, 16)[samples]
    drawn = words(seed, SELECT, keys, places) >> np.uint64(64 - DRAW_BITS)
    columns_of = [hex_keys(keys), pa.array(places.astype(np.int32)), pa.array(drawn.astype(np.int32))]
    yield pa.RecordBatch.from_arrays(columns_of, schema=SCORED)
