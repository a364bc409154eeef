"""Later passes of a view, over what the first one left: label ids, who is in the view, noise, and then repeats. A shard is a
task in each."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tagmill.ingest.views.count import counted
from tagmill.ingest.views.keyed_random import Keys, in_subset
from tagmill.ingest.views.label_noise import noisy
from tagmill.ingest.views.resampling import rarest_of
from tagmill.shards.arrays import Bools, Int32s, Int64s
from tagmill.shards.manifest import ShardEntry
from tagmill.shards.storage.store import Store
from tagmill.shards.view import ONE, ViewShard, put_shard_labels
from tagmill.shards.vocabulary import Vocabulary


@dataclass(frozen=True)
class AssignTask:
    """One shard, and what decides its labels and who is in the view."""

    entry: ShardEntry
    spool: Path
    max_labels: int
    seed: int
    noise: float
    subset: float
    taken_down: tuple[int, ...] = ()  # ordinals


@dataclass
class Assigned:
    """What a shard's labels count up to."""

    frequencies: Int64s  # [L] images of each label in the view, of the train split
    unlabelled: int = 0  # samples without a label
    cut: int = 0  # labels that samples lost to max_labels
    left_out: int = 0  # labelled samples that are excluded, outside the subset or taken down
    replaced: int = 0  # labels that became noise
    merged: int = 0  # of these, those that met another of their image


def assigned(spool: Path, shard: str) -> Path:
    """The file of a shard's labels and members, which the next pass reads."""
    return spool / f"labels-{shard}.npz"


def write_ids(spool: Path, vocabulary: Vocabulary, excluded: Keys) -> None:
    """Tells the passes the vocabulary, and the keys [x, 16] of the samples that are excluded."""
    sets = np.frombuffer(json.dumps(["+".join(label.synsets) for label in vocabulary.labels]).encode(), np.uint8)
    images = np.array([label.images for label in vocabulary.labels], np.int64)
    with (spool / "ids.npz").open("wb") as file:
        np.savez(file, sets=sets, images=images, excluded=np.sort(_words(excluded)))


def assign(task: AssignTask) -> Assigned:
    """Label ids of one shard's samples, noise among them, and which samples are in the view."""
    ids, images, excluded = _ids(task.spool)
    with np.load(counted(task.spool, task.entry.name)) as file:
        samples, labels, keys = file["samples"].astype(np.int64), file["labels"], file["keys"].reshape(-1, 16)
        number_of = np.array([ids.get(text, -1) for text in json.loads(file["sets"].tobytes())], np.int64)
    found = number_of[labels] if len(labels) else np.zeros(0, np.int64)
    rows, cut = rarest(samples[found >= 0], found[found >= 0], task.entry.samples, task.max_labels, images)
    has = (rows >= 0).any(axis=1)
    member = has & in_subset(task.seed, keys, task.subset) & ~_among(_words(keys), excluded)
    member[list(task.taken_down)] = False
    result = Assigned(np.zeros(len(ids), np.int64), int((~has).sum()), cut, int((has & ~member).sum()))
    if task.entry.split == "train":
        if task.noise:
            rows, counts = noisy(rows, keys, images, task.noise, task.seed)
            result.replaced, result.merged = counts.replaced, counts.merged
        chosen = rows[member]
        result.frequencies = np.bincount(chosen[chosen >= 0], minlength=len(ids)).astype(np.int64)
    with assigned(task.spool, task.entry.name).open("wb") as file:
        np.savez(file, labels=rows, member=member)
    return result


@dataclass(frozen=True)
class RepeatTask:
    """One shard, to be written to a view's folder."""

    store: Store
    folder: str
    entry: ShardEntry
    spool: Path


def count_rarest(task: RepeatTask) -> Int64s:
    """How many train samples of a shard have each label as their rarest, [L]."""
    frequencies = _frequencies(task.spool)
    if task.entry.split != "train":
        return np.zeros(len(frequencies), np.int64)
    labels, member = _assigned(task)
    return np.bincount(rarest_of(labels[member], frequencies), minlength=len(frequencies)).astype(np.int64)


def put_labels(task: RepeatTask) -> ViewShard:
    """Writes a shard's labels and repeats: of the train split those of the sample's rarest label, of others one."""
    labels, member = _assigned(task)
    repeats = np.where(member, ONE, 0).astype(np.int64)
    of_label = _repeats(task.spool)
    if of_label is not None and task.entry.split == "train" and len(of_label):
        repeats[member] = of_label[rarest_of(labels[member], _frequencies(task.spool))]
    return put_shard_labels(task.store, task.folder, task.entry, labels, repeats)


def write_frequencies(spool: Path, frequencies: Int64s) -> None:
    """Tells the passes how many images of the view have each label."""
    np.save(spool / "frequencies.npy", frequencies)


def write_repeats(spool: Path, repeats: Int64s) -> None:
    """Tells the last pass the repeat of an image by its rarest label, in units of 2^-16."""
    np.save(spool / "repeats.npy", repeats)


def rarest(samples: Int64s, ids: Int64s, num_samples: int, most: int, images: Int64s) -> tuple[Int32s, int]:
    """Pairs (sample, id), by sample, as labels int32 [num_samples, most], ascending and padded with -1; and how many did not
    fit. The rarest by `images` [L] stay, of equal ones those with the higher ids."""
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


def _words(keys: Keys) -> npt.NDArray[np.void]:
    """Keys as single values that sort and compare byte by byte."""
    return np.ascontiguousarray(keys).view("V16").ravel()


def _among(keys: npt.NDArray[np.void], known: npt.NDArray[np.void]) -> Bools:
    if not len(known):
        return np.zeros(len(keys), np.bool_)
    places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.asarray(known[places] == keys)


def _assigned(task: RepeatTask) -> tuple[Int32s, Bools]:
    with np.load(assigned(task.spool, task.entry.name)) as file:
        return file["labels"], file["member"]


# A worker serves one view: what all shards share is read once. A spool folder is new for every view.
@functools.lru_cache(maxsize=1)
def _ids(spool: Path) -> tuple[dict[str, int], Int64s, npt.NDArray[np.void]]:
    with np.load(spool / "ids.npz") as file:
        sets = json.loads(file["sets"].tobytes())
        return {text: number for number, text in enumerate(sets)}, file["images"], file["excluded"]


@functools.lru_cache(maxsize=1)
def _frequencies(spool: Path) -> Int64s:
    found: Int64s = np.load(spool / "frequencies.npy")
    return found


@functools.lru_cache(maxsize=1)
def _repeats(spool: Path) -> Int64s | None:
    path = spool / "repeats.npy"
    return np.load(path) if path.exists() else None
