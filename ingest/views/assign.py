"""Later passes of a view, one task per shard: label ids, membership in the view, label noise, and repeats."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tagmill.ingest.views.keyed_random import in_subset
from tagmill.ingest.views.label_noise import add_noise
from tagmill.ingest.views.resampling import rarest_of
from tagmill.ingest.views.scratch_files import (
    key_values,
    read_frequencies,
    read_ids,
    read_labels,
    read_repeats,
    read_sample_labels,
    write_labels,
)
from tagmill.shards.arrays import Bools, Int32s, Int64s
from tagmill.shards.manifest import ShardEntry
from tagmill.shards.reader import whole_index
from tagmill.shards.storage.store import Store
from tagmill.shards.view import ONE, ViewShard, put_shard_labels


@dataclass(frozen=True)
class AssignTask:
    """One shard, and what determines its labels and members."""

    entry: ShardEntry
    spool: Path
    max_labels: int
    seed: int
    noise: float
    subset: float
    taken_down: tuple[int, ...] = ()  # ordinals in the shard


@dataclass
class Assigned:
    """Counts over the samples of one shard."""

    frequencies: Int64s  # [L] images of each label in the view, of the train split
    unlabelled: int = 0  # samples without a label
    cut: int = 0  # labels that samples lost to max_labels
    left_out: int = 0  # labelled samples that are excluded, outside the subset or taken down
    replaced: int = 0  # labels that became noise
    merged: int = 0  # of these, those equal to another label of their image


def assign(task: AssignTask) -> Assigned:
    """Determines the label ids of one shard's samples, including noise, and which samples are in the view."""
    ids = read_ids(task.spool)
    pairs = read_sample_labels(task.spool, task.entry.name)
    samples = pairs.samples.astype(np.int64)
    id_of_set = np.array([ids.numbers.get(text, -1) for text in pairs.sets], np.int64)
    found = id_of_set[pairs.labels] if len(pairs.labels) else np.zeros(0, np.int64)
    rows, cut = keep_rarest(samples[found >= 0], found[found >= 0], task.entry.samples, task.max_labels, ids.images)
    has = (rows >= 0).any(axis=1)
    member = has & in_subset(task.seed, pairs.keys, task.subset) & ~_contains(key_values(pairs.keys), ids.excluded)
    member[list(task.taken_down)] = False
    result = Assigned(np.zeros(len(ids.images), np.int64), int((~has).sum()), cut, int((has & ~member).sum()))
    if task.entry.split == "train":
        if task.noise:
            rows, counts = add_noise(rows, pairs.keys, ids.images, task.noise, task.seed)
            result.replaced, result.merged = counts.replaced, counts.merged
        chosen = rows[member]
        result.frequencies = np.bincount(chosen[chosen >= 0], minlength=len(ids.images)).astype(np.int64)
    write_labels(task.spool, task.entry.name, rows, member)
    return result


@dataclass(frozen=True)
class RepeatTask:
    """One shard, to be written to the folder of a view."""

    store: Store
    folder: str
    entry: ShardEntry
    spool: Path


def count_rarest(task: RepeatTask) -> Int64s:
    """Returns how many train samples of a shard have each label as their rarest, [L]."""
    frequencies = read_frequencies(task.spool)
    if task.entry.split != "train":
        return np.zeros(len(frequencies), np.int64)
    labels, member = read_labels(task.spool, task.entry.name)
    return np.bincount(rarest_of(labels[member], frequencies), minlength=len(frequencies)).astype(np.int64)


def put_labels(task: RepeatTask) -> ViewShard:
    """Writes a shard's labels, repeats and facts. A repeat is that of the sample's rarest label in the train split, and
    one elsewhere."""
    labels, member = read_labels(task.spool, task.entry.name)
    repeats = np.where(member, ONE, 0).astype(np.int64)
    of_label = read_repeats(task.spool)
    if of_label is not None and task.entry.split == "train" and len(of_label):
        repeats[member] = of_label[rarest_of(labels[member], read_frequencies(task.spool))]
    index = whole_index(task.store, task.entry)
    return put_shard_labels(task.store, task.folder, task.entry, labels, repeats, index)


def keep_rarest(samples: Int64s, ids: Int64s, num_samples: int, most: int, images: Int64s) -> tuple[Int32s, int]:
    """Turns pairs (sample, id) into labels, int32 [num_samples, most], and keeps the rarest ids of samples with too many.

    Rows are ascending and padded with -1. Rarest means fewest `images` [L], of equal ones the higher id. Also returns
    how many ids did not fit.
    """
    rank = np.empty(len(images), np.int64)
    rank[np.lexsort((np.arange(len(images)), -images))] = np.arange(len(images))
    order = np.lexsort((rank[ids], samples))
    samples, ids = samples[order], ids[order]
    counts = np.bincount(samples, minlength=num_samples)
    first = np.cumsum(counts) - counts
    column = np.arange(len(samples)) - first[samples] - np.maximum(counts - most, 0)[samples]
    labels = np.full((num_samples, most), np.iinfo(np.int32).max, np.int32)
    stays = column >= 0
    labels[samples[stays], column[stays]] = ids[stays]
    labels.sort(axis=1)
    labels[labels == np.iinfo(np.int32).max] = -1
    return labels, int((~stays).sum())


def _contains(keys: npt.NDArray[np.void], known: npt.NDArray[np.void]) -> Bools:
    if not len(known):
        return np.zeros(len(keys), np.bool_)
    found = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.asarray(known[found] == keys)
