"""Groups of near duplicates in a set, so that a split has no image in one part and its copy in another."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from tagmill.ingest.dedup.near_duplicates import NearFound, NearRules, find_near
from tagmill.ingest.images.fingerprint import pdq_of
from tagmill.ingest.images.prepare import prepare
from tagmill.ingest.images.rejected import Rejected
from tagmill.ingest.similarity.hash_files import RECORD, HashFile
from tagmill.shards.many_requests import in_order
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.set_image_policy import IMAGE_POLICY

_Pairs = npt.NDArray[np.int64]
_BATCH = 64  # images that a thread has in memory
_MEMORY = 1 << 30  # bytes for the search


@dataclass(frozen=True)
class NearGroups:
    """What a search for near duplicates found in a set of n images."""

    groups: tuple[
        str, ...
    ]  # [n], for `Example.group`: near duplicates and images of one group before share one; '' is alone
    joined: int  # images that are in a group with a near duplicate
    low_quality: int  # images with too little detail to be compared
    unreadable: int  # images that are missing or cannot be decoded


def near_groups(
    labelled: LabelledSet, rules: NearRules | None = None, seed: int = 0, threads: int | None = None
) -> NearGroups:
    """Decodes all images of a set, and returns groups of near duplicates: images joined by chains of pairs that an ingest would
    call near duplicates, PDQ hashes of which at most `rules.threshold` of 256 bits differ. A group is named by its first key.
    `threads`: that decode; None: the cores of this process. What is found does not depend on them.

    Raises StoreError, and TagmillError where the disk for temporary files is full.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rules, threads = rules or NearRules(), threads or len(os.sched_getaffinity(0))
    hashes, unreadable = _hashes(labelled, threads)
    with tempfile.TemporaryDirectory(prefix="tagmill-near-") as folder:
        file = HashFile(Path(folder, "set.hashes"))
        file.append(hashes)
        gone = np.empty(0, np.int64)
        found = find_near(
            file, rules, gone=gone, seed=seed, memory=_MEMORY, threads=threads, spool=Path(folder, "spool")
        )
        near = _pairs(found)
    pairs = np.concatenate([near, _of_groups([example.group for example in labelled.examples])])
    size = len(labelled)
    links = coo_array((np.ones(len(pairs), np.bool_), (pairs[:, 0], pairs[:, 1])), shape=(size, size))
    _, component = connected_components(links, directed=False)
    keys = [example.key for example in labelled.examples]
    order = sorted(range(size), key=keys.__getitem__)
    first, members = dict[int, str](), np.bincount(component, minlength=1)
    for place in order:
        first.setdefault(int(component[place]), keys[place])
    named = tuple(first[each] if members[each] > 1 else "" for each in component.tolist())
    return NearGroups(named, len(np.unique(near)), found.counts.low_quality, unreadable)


def _hashes(labelled: LabelledSet, threads: int) -> tuple[npt.NDArray[np.void], int]:
    """Returns a record of each image that can be decoded, whose row_id is its place, and the number of the others."""
    batches = (range(start, min(start + _BATCH, len(labelled))) for start in range(0, len(labelled), _BATCH))
    records = np.concatenate([np.empty(0, RECORD), *in_order(partial(_records, labelled), batches, threads)])
    return records, len(labelled) - len(records)


def _records(labelled: LabelledSet, places: range) -> npt.NDArray[np.void]:
    records, rows = np.zeros(len(places), RECORD), 0
    for place, body in zip(places, labelled.read(places), strict=True):
        made = None if body is None else prepare(body, IMAGE_POLICY)
        if made is None or isinstance(made, Rejected):
            continue
        words, quality = pdq_of(made.thumbnail)
        pixels = made.original_width * made.original_height
        # The weight is that of ingest's records: pixels, then quality in the lowest 7 bits.
        records[rows] = (place, pixels << 7 | quality, np.array(words, np.int64).view(np.uint64))
        rows += 1
    return records[:rows]


def _pairs(found: NearFound) -> _Pairs:
    """Returns the places of each pair that was found, [pairs, 2]."""
    pairs = [np.empty((0, 2), np.int64)]
    for files, columns in ((found.edges, ["row_a", "row_b"]), (found.alike, ["row_id", "head"])):
        for path in files.paths:
            table = pq.read_table(path, columns=columns)
            pairs.append(np.stack([table[column].to_numpy() for column in columns], axis=1))
    return np.concatenate(pairs)


def _of_groups(groups: Sequence[str]) -> _Pairs:
    """Returns a pair of each image of a group and the group's first, [pairs, 2]."""
    first = dict[str, int]()
    pairs = [(first.setdefault(group, place), place) for place, group in enumerate(groups) if group]
    return np.array(pairs, np.int64).reshape(-1, 2)
