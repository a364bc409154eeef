"""Locality-sensitive hashing (LSH) by bit sampling: tables of sampled bits, and the recall that given tables should have.

A table is a set of k of the 256 bits of a PDQ hash; two images meet in it if they agree on all k (Indyk and Motwani,
"Approximate nearest neighbors", STOC 1998). At distance d one table finds C(256 - k, d) / C(256, d) of the pairs.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

BITS = 256  # bits of a PDQ hash
MAX_DISTANCE = 64  # distance in bits up to which recall is predicted and pairs are compared
TARGET_DISTANCE = 16  # distance in bits at which, by default, ...
TARGET_RECALL = 0.96  # ... this share of the pairs is found
FEW_BITS = 18  # bits of a table; up to these (half a million images) more tables cost little
TARGET_DISTANCE_FEW = 31  # the target distance for tables of at most FEW_BITS
_MIN_BITS = 8
_MAX_BITS = 48
_TRIALS = 1 << 16  # simulated pairs
_BATCH = 1 << 12  # of these, at a time
MAX_TABLES = 64
_TRIED = (8, 16, 32, MAX_TABLES)  # how many tables are simulated until the recall is reached
GROUP = 4  # consecutive tables that share some bits, by which their hashes are partitioned once for all
_UNSHARED_BITS = 23  # bits of a table up to which it shares none with its group
_MAX_SHARED_BITS = 8  # most bits that the tables of a group have in common
_SEED = 0x7461676D  # seed of the simulation: equal tables get equal predictions


@dataclass(frozen=True)
class LshTables:
    """The LSH tables, in the order in which they run."""

    bits: int
    masks: npt.NDArray[np.uint64]  # [tables, 4], the words of a hash, the most significant first
    shared: npt.NDArray[np.uint64]  # [groups, 4], the bits that GROUP tables have in common; few or none

    def predicted(self) -> list[float]:
        """Returns the share of pairs that at least one of these tables finds, by distance 0 to MAX_DISTANCE."""
        return list(_predicted(self.masks.tobytes()))


@lru_cache(maxsize=16)  # a simulation of a tenth of a second, which every run in one process needs
def _predicted(words: bytes) -> tuple[float, ...]:
    """Returns the prediction for the words of masks."""
    masks = np.frombuffer(words, np.uint64).reshape(-1, 4)
    return tuple(
        round(float(share), 4) for share in _recall(_distances_until_missed(masks, _TRIALS, len(masks) - 1))[0]
    )


def _distances_until_missed(masks: npt.NDArray[np.uint64], trials: int, first: int = 0) -> npt.NDArray[np.uint16]:
    """Simulates, [tables, trials], how many bits differ before none of the first 1, 2, ... tables finds a pair any more.

    Bits differ in random order, and a table finds the pair until the first of its own bits differs. The result begins at
    table `first`.
    """
    rng = np.random.default_rng(_SEED)
    lasts = np.zeros((len(masks) - first, trials), np.uint16)
    for start in range(0, trials, _BATCH):
        order = rng.random((BITS, _BATCH), np.float32)
        last = np.zeros(_BATCH, np.float32)
        for number, mask in enumerate(masks):
            bits = np.flatnonzero(_bits_of(mask))
            last = np.maximum(last, order[bits].min(axis=0) if len(bits) else 2.0)
            if number >= first:
                lasts[number - first, start : start + _BATCH] = (order < last).sum(axis=0, dtype=np.uint16)
    return lasts


def _recall(lasts: npt.NDArray[np.uint16]) -> npt.NDArray[np.float64]:
    """Returns, [tables, distances 0 to MAX_DISTANCE], the share of trials in which that many bits may differ."""
    counts = np.stack([np.bincount(last, minlength=BITS + 1) for last in lasts])
    return np.asarray(counts[:, ::-1].cumsum(axis=1)[:, ::-1][:, : MAX_DISTANCE + 1] / lasts.shape[1])


def default_bits(rows: int) -> int:
    """Returns the bits of a table for so many hashes, which keep the chance matches per hash about constant."""
    return min(max(math.ceil(math.log2(max(rows, 1))) - 1, _MIN_BITS), _MAX_BITS)


@lru_cache(maxsize=16)
def default_tables(bits: int, seed: int) -> int:
    """Returns the fewest tables of this seed that reach TARGET_RECALL at the target distance; at most MAX_TABLES."""
    distance = TARGET_DISTANCE_FEW if bits <= FEW_BITS else TARGET_DISTANCE
    masks, tried = draw_lsh_tables(bits, MAX_TABLES, seed).masks, 0
    for tables in _TRIED:  # small lists need few, and a simulation of all takes longer than they do
        found = _recall(_distances_until_missed(masks[:tables], 2 * _BATCH, tried))[:, distance] >= TARGET_RECALL
        if found.any():
            return tried + int(found.argmax()) + 1
        tried = tables
    return MAX_TABLES


def draw_lsh_tables(bits: int, tables: int, seed: int) -> LshTables:
    """Draws random tables. Consecutive ones share no bit while bits are left, which finds slightly more pairs.

    With very many hashes, a table is partitioned before its buckets are compared. To partition once for GROUP tables,
    these share their first bits: as many as give partitions of about ten million hashes. That finds slightly fewer
    pairs.
    """
    rng = np.random.default_rng([seed & (1 << 64) - 1, bits])
    left = np.zeros(0, np.int64)  # bits that the current permutation still offers
    masks = np.zeros((tables, 4), np.uint64)
    shared = np.zeros((-(-tables // GROUP), 4), np.uint64)
    common = np.zeros(0, np.int64)  # bits of the current group
    number = min(max(bits - _UNSHARED_BITS, 0), _MAX_SHARED_BITS)

    def take(count: int) -> npt.NDArray[np.int64]:
        nonlocal left
        if len(left) < count:
            left = rng.permutation(BITS)
            left = left[~np.isin(left, common)]
        taken = left[:count]
        left = left[count:]
        return taken

    for table, mask in enumerate(masks):
        if table % GROUP == 0:
            common = common[:0]
            common = take(number)
            shared[table // GROUP] = _mask_of(common)
        mask[:] = _mask_of(np.concatenate([common, take(bits - number)]))
    return LshTables(bits, masks, shared)


def partition_numbers(pdq: npt.NDArray[np.uint64], shared: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint16]:
    """Returns the bits of hashes [n, 4] at a mask [4] of at most 16 bits, as numbers [n]."""
    numbers = np.zeros(len(pdq), np.uint16)
    for position in np.flatnonzero(_bits_of(shared)).tolist():
        word, bit = divmod(position, 64)
        numbers <<= np.uint16(1)
        numbers |= (pdq[:, word] >> np.uint64(63 - bit)).astype(np.uint16) & np.uint16(1)
    return numbers


def _mask_of(positions: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    flags = np.zeros(BITS, np.uint8)
    flags[positions] = 1
    return np.packbits(flags).view(">u8").astype(np.uint64)


def _bits_of(mask: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    return np.unpackbits(mask.astype(">u8").view(np.uint8))
