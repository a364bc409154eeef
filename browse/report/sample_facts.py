"""What a report shows of samples: labels and how often a view repeats them, sizes, and where chosen samples are."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from tagmill.browse.report.repeats import shard_repeats
from tagmill.browse.report.shard_choice import MAX_SHARDS, choose
from tagmill.shards import Corpus, ShardReader, TagmillError, View
from tagmill.shards.arrays import Int32s, Int64s
from tagmill.shards.formats.shard_index import INDEX

EXAMPLES_OF_LABEL = 4
SIZE_BINS = tuple(1 << power for power in range(4, 14))  # pixels of the short side from which a bin begins
_FOUND = np.dtype([("label", "<i4"), ("order", "<u8"), ("shard", "<i8"), ("ordinal", "<i8")])


@dataclass(frozen=True, order=True)
class Place:
    """Where a sample is: the number of its shard in the corpus order, and its number in the shard."""

    shard: int
    ordinal: int


@dataclass
class SampleFacts:
    """What the chosen shards have; samples that are taken down are counted in nothing here."""

    shards: int = 0  # that were read
    of_shards: int = 0
    samples: int = 0
    train_samples: int = 0
    before: Int64s = field(default_factory=lambda: np.zeros(0, np.int64))  # training images of each label
    after: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))  # the same in an epoch of the view
    original: Int64s = field(default_factory=lambda: np.zeros(len(SIZE_BINS), np.int64))  # images by short side
    stored: Int64s = field(default_factory=lambda: np.zeros(len(SIZE_BINS), np.int64))
    labelled: dict[int, list[Place]] = field(default_factory=dict)  # some samples of each label
    places: dict[str, Place] = field(default_factory=dict)  # of wanted keys
    faults: list[str] = field(default_factory=list)  # shards that could not be read, with the reason


def sample_facts(corpus: Corpus, view: View | None, wanted: Iterable[str]) -> SampleFacts:
    """Reads the facts of chosen shards; looks for the samples with the keys `wanted` among them."""
    names = corpus.table["name"].to_pylist()
    found, labels = SampleFacts(of_shards=len(names)), 0 if view is None else len(view.vocabulary)
    found.before, found.after = np.zeros(labels, np.int64), np.zeros(labels)
    keys, examples = set(wanted), [np.zeros(0, _FOUND)]
    for number in choose(names, MAX_SHARDS):
        try:
            examples.append(_add_shard(found, corpus, view, number, keys))
            found.shards += 1
        except (TagmillError, OSError, ValueError, KeyError) as error:
            found.faults.append(f"{names[number]}: {error}")
        if len(examples) > 8:
            examples = [_fewest(np.concatenate(examples))]
    for row in _fewest(np.concatenate(examples)):
        found.labelled.setdefault(int(row["label"]), []).append(Place(int(row["shard"]), int(row["ordinal"])))
    return found


def _add_shard(
    found: SampleFacts, corpus: Corpus, view: View | None, number: int, wanted: set[str]
) -> npt.NDArray[np.void]:
    entry = corpus.entry(number)
    index = ShardReader.of(corpus, entry).index(0, entry.samples)
    shown = np.ones(entry.samples, np.bool_)
    shown[corpus.takedown.ordinals(entry.name)] = False
    original = _original_sizes(corpus, entry.name)
    labels = None if view is None else view.labels(number, 0, entry.samples)
    repeats = None if view is None else shard_repeats(view, number)
    # Nothing is added before all of it is read, so that a shard that cannot be read is not counted in part.
    found.samples += int(shown.sum())
    found.original += _binned(original[shown])
    found.stored += _binned(np.minimum(index["width"], index["height"])[shown].astype(np.int64))
    keys = index["key"].tobytes().hex()
    for ordinal in np.flatnonzero(shown).tolist() if wanted else ():
        key = keys[32 * ordinal : 32 * ordinal + 32]
        if key in wanted:
            found.places.setdefault(key, Place(number, ordinal))
    if labels is None or repeats is None:
        return np.zeros(0, _FOUND)
    kept = np.where(shown[:, None], labels, -1)
    if entry.split == "train":
        found.train_samples += int(shown.sum())
        rows, columns = np.nonzero(kept >= 0)
        ids = kept[rows, columns]
        found.before += np.bincount(ids, minlength=len(found.before))
        found.after += np.bincount(ids, repeats[rows] / 65536, minlength=len(found.after))
    return _fewest(_examples(kept, index, number))


def _examples(labels: Int32s, index: npt.NDArray[np.void], shard: int) -> npt.NDArray[np.void]:
    ordinals, columns = np.nonzero(labels >= 0)
    rows = np.zeros(len(ordinals), _FOUND)
    assert index.dtype == INDEX
    order = np.ascontiguousarray(index["key"][:, :8]).view(">u8")[:, 0]
    rows["label"], rows["order"] = labels[ordinals, columns], order[ordinals]
    rows["shard"], rows["ordinal"] = shard, ordinals
    return rows


def _fewest(rows: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """Returns of each label the EXAMPLES_OF_LABEL samples with the smallest keys, which are hashes of their bytes."""
    rows = rows[np.lexsort([rows["ordinal"], rows["shard"], rows["order"], rows["label"]])]
    starts = np.flatnonzero(np.diff(rows["label"], prepend=-1))
    rank = np.arange(len(rows)) - np.repeat(starts, np.diff(starts, append=len(rows)))
    return rows[rank < EXAMPLES_OF_LABEL]


def _original_sizes(corpus: Corpus, name: str) -> Int64s:
    with corpus.store.open(f"shards/{name}.parquet") as file:
        columns = ["original_width", "original_height"]
        table = pq.ParquetFile(file, pre_buffer=False).read(columns, use_threads=False)
    sides = [table[column].to_numpy().astype(np.int64) for column in columns]
    shorter: Int64s = np.minimum(*sides)
    return shorter


def _binned(short_sides: Int64s) -> Int64s:
    bins = np.clip(np.searchsorted(SIZE_BINS, short_sides, side="right") - 1, 0, None)
    counts: Int64s = np.bincount(bins, minlength=len(SIZE_BINS)).astype(np.int64)
    return counts
