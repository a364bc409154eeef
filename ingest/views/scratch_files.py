"""Scratch files of a view: what a pass leaves on the local disk for later ones. They are no part of the corpus format.

All are in the spool folder of one view, which is new and empty when the view begins. SHARD is the name of a shard.

    file                 written by             read by                   content
    union-SHARD.parquet  tag_union.tag_union    count.count_tags          tags of duplicates, schema `tag_union.UNION`
    table-SHARD.parquet  label_rows.label_rows  count_rows.count_rows     schema `label_rows.SHARD_LABELS`
    classes.txt          build.make_view        count_rows.count_rows     labels that a table's ids mean
    tally-SHARD.npz      count_tags, count_rows assign.assign             `SampleLabels`
    ids.npz              build.make_view        assign.assign             `LabelIds`
    labels-SHARD.npz     assign.assign          count_rarest, put_labels  label ids of all samples, and members
    frequencies.npy      build.make_view        count_rarest, put_labels  int64 [L], images of each label in the view
    repeats.npy          build.make_view        put_labels                int64 [L], missing for natural resampling

Readers of what all shards share keep it: a worker process serves one view.
"""

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tagmill.ingest.views.keyed_random import Keys
from tagmill.shards.arrays import Bools, Int32s, Int64s
from tagmill.shards.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class SampleLabels:
    """The distinct pairs (sample, label) of a shard with n samples, whether or not the vocabulary will have the label."""

    samples: Int32s  # [P] ordinals in the shard, ascending
    labels: Int32s  # [P] indexes into `sets`
    sets: list[str]  # the labels, by the text of their synset sets
    keys: Keys  # [n, 16] of the samples


@dataclass(frozen=True, eq=False)
class LabelIds:
    """The chosen vocabulary of L labels, and the excluded samples."""

    numbers: dict[str, int]  # label id by the text of its synset set
    images: Int64s  # [L] training images of each label
    excluded: npt.NDArray[np.void]  # [x] keys as single values (`key_values`), ascending


def write_sample_labels(spool: Path, shard: str, found: SampleLabels) -> None:
    """Writes the pairs of a shard."""
    with (spool / f"tally-{shard}.npz").open("wb") as file:
        np.savez(file, samples=found.samples, labels=found.labels, sets=_text(found.sets), keys=found.keys.ravel())


def read_sample_labels(spool: Path, shard: str) -> SampleLabels:
    """Reads the pairs of a shard."""
    with np.load(spool / f"tally-{shard}.npz") as file:
        sets: list[str] = json.loads(file["sets"].tobytes())
        return SampleLabels(file["samples"], file["labels"], sets, file["keys"].reshape(-1, 16))


def write_ids(spool: Path, vocabulary: Vocabulary, excluded: Keys) -> None:
    """Writes the vocabulary, and the keys [x, 16] of the samples that are excluded."""
    sets = _text(["+".join(label.synsets) for label in vocabulary.labels])
    images = np.array([label.images for label in vocabulary.labels], np.int64)
    with (spool / "ids.npz").open("wb") as file:
        np.savez(file, sets=sets, images=images, excluded=np.sort(key_values(excluded)))


@functools.lru_cache(maxsize=1)
def read_ids(spool: Path) -> LabelIds:
    """Reads the vocabulary and the excluded keys."""
    with np.load(spool / "ids.npz") as file:
        numbers = {text: number for number, text in enumerate(json.loads(file["sets"].tobytes()))}
        return LabelIds(numbers, file["images"], file["excluded"])


def write_labels(spool: Path, shard: str, labels: Int32s, member: Bools) -> None:
    """Writes label ids [n, max_labels] (-1 padded) and membership [n] of a shard's samples."""
    with (spool / f"labels-{shard}.npz").open("wb") as file:
        np.savez(file, labels=labels, member=member)


def read_labels(spool: Path, shard: str) -> tuple[Int32s, Bools]:
    """Reads label ids [n, max_labels] (-1 padded) and membership [n] of a shard's samples."""
    with np.load(spool / f"labels-{shard}.npz") as file:
        return file["labels"], file["member"]


def write_frequencies(spool: Path, frequencies: Int64s) -> None:
    """Writes how many images of the view have each label, [L]."""
    np.save(spool / "frequencies.npy", frequencies)


@functools.lru_cache(maxsize=1)
def read_frequencies(spool: Path) -> Int64s:
    """Reads how many images of the view have each label, [L]."""
    found: Int64s = np.load(spool / "frequencies.npy")
    return found


def write_repeats(spool: Path, repeats: Int64s) -> None:
    """Writes the repeat of an image by its rarest label, [L] in units of 2^-16."""
    np.save(spool / "repeats.npy", repeats)


@functools.lru_cache(maxsize=1)
def read_repeats(spool: Path) -> Int64s | None:
    """Reads the repeat of an image by its rarest label, [L] in units of 2^-16; None: every image comes once."""
    path = spool / "repeats.npy"
    return np.load(path) if path.exists() else None


def key_values(keys: Keys) -> npt.NDArray[np.void]:
    """Returns keys [n, 16] as single values [n] that sort and compare byte by byte."""
    return np.ascontiguousarray(keys).view("V16").ravel()


def _text(texts: list[str]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(json.dumps(texts).encode(), np.uint8)
