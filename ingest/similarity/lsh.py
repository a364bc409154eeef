"""Which bits near duplicates are found by: tables of sampled bits, and the recall that the tables drawn should give.

A table is a set of k of the 256 bits of a PDQ hash; two pictures meet in it if they agree on all k (bit sampling: Indyk and
Motwani, "Approximate nearest neighbors", STOC 1998). At distance d one table finds C(256 - k, d) / C(256, d) of the pairs.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BITS = 256  # of a PDQ hash
FARTHEST = 64  # distance up to which anything is predicted or compared
SURE_AT = 16  # bits of distance at which, by default, ...
SURE = 0.96  # ... this share of the pairs is found
FEW_BITS, SURE_OF_FEW = 18, 31  # up to half a million pictures more tables cost little: they are sure at so many bits
_LEAST_BITS, _MOST_BITS = 8, 48
_TRIALS, _AT_A_TIME = 1 << 16, 1 << 12
MOST_TABLES = 64
GROUP = (
    4  # tables that follow each other and have some bits in common, by which their hashes are dealt out once for all
)
_ALONE, _MOST_SHARED = 23, 8  # bits of a table up to which all are its own; bits that a group has in common
_SEED = 0x7461676D  # of the simulation: it predicts the same for the same tables


@dataclass(frozen=True)
class LshTables:
    """The tables that are run, one after the other."""

    bits: int
    masks: npt.NDArray[np.uint64]  # [tables, 4], the words of a hash, the most significant first
    shared: npt.NDArray[np.uint64]  # [groups, 4], the bits that GROUP tables have in common; a few, or none

    def predicted(self) -> list[float]:
        """The share of pairs that at least one of these very tables finds, by distance 0 to FARTHEST."""
        return [round(float(share), 4) for share in _recall(_last_bits(self.masks, _TRIALS)[-1:])[0]]


def _last_bits(masks: npt.NDArray[np.uint64], trials: int) -> npt.NDArray[np.uint16]:
    """[tables, trials]: how many bits differ before none of the first table, of the first two, ... finds the pair any more.

    Bits differ in a random order, and a table finds the pair until the first of its own bits differs.
    """
    draw, lasts = np.random.default_rng(_SEED), np.zeros((len(masks), trials), np.uint16)
    for start in range(0, trials, _AT_A_TIME):
        turns = draw.random((BITS, _AT_A_TIME), np.float32)
        last = np.zeros(_AT_A_TIME, np.float32)
        for number, mask in enumerate(masks):
            places = np.flatnonzero(_bits_of(mask))
            last = np.maximum(last, turns[places].min(axis=0) if len(places) else 2.0)
            lasts[number, start : start + _AT_A_TIME] = (turns < last).sum(axis=0)
    return lasts


def _recall(lasts: npt.NDArray[np.uint16]) -> npt.NDArray[np.float64]:
    """[tables, distances 0 to FARTHEST]: the share of trials in which that many bits may differ."""
    counts = np.stack([np.bincount(last, minlength=BITS + 1) for last in lasts])
    return np.asarray(counts[:, ::-1].cumsum(axis=1)[:, ::-1][:, : FARTHEST + 1] / lasts.shape[1])


def default_bits(rows: int) -> int:
    """Bits of a table for so many hashes: the number of hashes that agree by chance stays about the same for each."""
    return min(max(math.ceil(math.log2(max(rows, 1))) - 1, _LEAST_BITS), _MOST_BITS)


def default_tables(bits: int, seed: int) -> int:
    """The fewest of the tables of this seed that find SURE of the pairs at SURE_AT or SURE_OF_FEW bits; at most MOST_TABLES."""
    distance = SURE_OF_FEW if bits <= FEW_BITS else SURE_AT
    found = _recall(_last_bits(draw_bands(bits, MOST_TABLES, seed).masks, 2 * _AT_A_TIME))[:, distance] >= SURE
    return int(found.argmax()) + 1 if found.any() else MOST_TABLES


def draw_bands(bits: int, tables: int, seed: int) -> LshTables:
    """Random tables. Those that follow each other share no bit as long as there are bits: that finds a little more.

    Of very many hashes a table is dealt out before its buckets are looked at. So that this is done for GROUP tables at once,
    these have their first bits in common, as many as cut the hashes into cells of some ten million. It finds a little less.
    """
    draw, left = np.random.default_rng([seed & (1 << 64) - 1, bits]), np.zeros(0, np.int64)
    masks, shared = np.zeros((tables, 4), np.uint64), np.zeros((-(-tables // GROUP), 4), np.uint64)
    common, number = np.zeros(0, np.int64), min(max(bits - _ALONE, 0), _MOST_SHARED)

    def dealt(count: int) -> npt.NDArray[np.int64]:
        nonlocal left
        if len(left) < count:
            left = draw.permutation(BITS)
            left = left[~np.isin(left, common)]
        taken, left = left[:count], left[count:]
        return taken

    for table, mask in enumerate(masks):
        if table % GROUP == 0:
            common = common[:0]
            common = dealt(number)
            shared[table // GROUP] = _mask_of(common)
        mask[:] = _mask_of(np.concatenate([common, dealt(bits - number)]))
    return LshTables(bits, masks, shared)


def cells_of(pdq: npt.NDArray[np.uint64], shared: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint16]:
    """What hashes [n, 4] have in the bits of a mask [4] of at most 16, as a number."""
    cells = np.zeros(len(pdq), np.uint16)
    for place in np.flatnonzero(_bits_of(shared)).tolist():
        word, bit = divmod(place, 64)
        cells <<= np.uint16(1)
        cells |= (pdq[:, word] >> np.uint64(63 - bit)).astype(np.uint16) & np.uint16(1)
    return cells


def _mask_of(places: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    flags = np.zeros(BITS, np.uint8)
    flags[places] = 1
    return np.packbits(flags).view(">u8").astype(np.uint64)


def _bits_of(mask: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    return np.unpackbits(mask.astype(">u8").view(np.uint8))
