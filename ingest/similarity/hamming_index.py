"""All hashes of a list within some bits of a picture's, none missed: for evaluation sets, blocklists and takedown lists.

Two hashes that differ in at most t bits differ in at most r bits in one of t // (r + 1) + 1 blocks (pigeonhole; Norouzi,
Punjani and Fleet, "Fast search in Hamming space with multi-index hashing", CVPR 2012). So each block is looked up exactly,
with all values within r bits of it put either into the table or into the question.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

from tagmill.ingest.similarity.hash_files import Words, near_pairs
from tagmill.ingest.similarity.lsh import BITS

Positions = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.uint32]
_WIDEST = 24  # bits of a block that are looked at
MOST_ENTRIES = 1 << 24  # of the table of a block
FEW_PAIRS = 1 << 14  # so few are compared faster than they are looked up
_COMPARED = 256  # hashes of a list that rows are compared with at a time
_AT_A_TIME = 1 << 20  # candidates


@dataclass(frozen=True)
class Scheme:
    """How hashes are cut into blocks."""

    blocks: int
    radius: int
    width: int  # bits of a block

    @property
    def flips(self) -> Numbers:
        """What a value is XORed with to give all values within the radius."""
        places = range(self.width)
        several = [bits for count in range(self.radius + 1) for bits in combinations(places, count)]
        return np.array([sum(1 << bit for bit in bits) for bits in several], np.uint32)

    def candidates(self, listed: int) -> float:
        """Entries that a question meets on average, of a list of so many hashes."""
        return self.blocks * listed * self.neighbours / float(1 << self.width)

    @property
    def neighbours(self) -> int:
        return sum(math.comb(self.width, count) for count in range(self.radius + 1))

    @property
    def table_bytes(self) -> int:
        """Of a block's table, without its entries."""
        return 4 << self.width


def scheme_of(threshold: int, radius: int) -> Scheme:
    """As many blocks as make it complete. Where bits are left over, narrower blocks still are complete."""
    blocks = min(threshold // (radius + 1) + 1, BITS)
    width = min(BITS // blocks, _WIDEST)
    return Scheme(blocks, min(radius, width), width)


def choose_scheme(threshold: int, listed: int, questions: int) -> Scheme:
    """The cheapest for `questions` hashes, where tables are made for them alone and hold the neighbours."""

    def cost(scheme: Scheme) -> float:
        entries = listed * scheme.neighbours
        if entries > max(MOST_ENTRIES, listed):
            return math.inf
        making = scheme.blocks * ((1 << scheme.width) + 16 * entries)
        return making + questions * (scheme.blocks + 2 * scheme.candidates(listed))

    return min((scheme_of(threshold, radius) for radius in range(3)), key=cost)


class BlockTable:
    """The listed hashes by the value of one block."""

    def __init__(self, listed: Words, scheme: Scheme, block: int, flips: Numbers) -> None:
        """With `flips` other than zero, by all values within these of a hash's own."""
        self._scheme, self._block = scheme, block
        values = (self.values(listed)[:, None] ^ flips).ravel().astype(np.uint64) << np.uint64(32)
        values |= np.repeat(np.arange(len(listed), dtype=np.uint64), len(flips))
        values.sort()
        self._numbers = values.astype(np.uint32)  # keeps the lower half
        counts = np.bincount((values >> np.uint64(32)).astype(np.int64), minlength=1 << scheme.width)
        self._starts = np.zeros(len(counts) + 1, np.uint32)
        np.cumsum(counts, out=self._starts[1:])

    def values(self, pdq: Words) -> Numbers:
        """The bits of this block."""
        first = self._block * BITS // self._scheme.blocks
        word, offset, width = first // 64, first % 64, self._scheme.width
        bits = pdq[:, word] << np.uint64(offset)
        if offset + width > 64:
            bits = bits | pdq[:, word + 1] >> np.uint64(64 - offset)
        return (bits >> np.uint64(64 - width)).astype(np.uint32)

    def lookups(self, values: Numbers) -> "tuple[Positions, Positions]":
        """(where the entries of each value begin, how many they are)."""
        starts = self._starts.take(values).astype(np.int64)
        return starts, self._starts.take(values + np.uint32(1)) - starts

    def entries(self, starts: Positions, counts: Positions) -> tuple[Positions, Positions]:
        """(ordinals of the lookups, listed hashes), a pair for each entry."""
        asked = np.repeat(np.arange(len(starts)), counts)
        ends = counts.cumsum()
        places = np.arange(len(asked)) + np.repeat(starts - ends + counts, counts)
        return asked, self._numbers.take(places).astype(np.int64)


class HammingIndex:
    """Pairs of questions and listed hashes within the threshold."""

    def __init__(
        self, listed: Words, threshold: int, scheme: Scheme, *, wide: bool, blocks: range | None = None
    ) -> None:
        """`wide` puts the neighbours into the tables, for many questions; else they are asked for, and tables stay small.

        `blocks` makes a matcher of some of the blocks; the pairs of all together are complete.
        """
        self._listed, self._threshold = np.ascontiguousarray(listed), threshold
        flips, own = scheme.flips, np.zeros(1, np.uint32)
        self._asked = own if wide else flips
        chosen = range(scheme.blocks) if blocks is None else blocks
        self._tables = [BlockTable(self._listed, scheme, block, flips if wide else own) for block in chosen]

    def pairs(self, questions: Words) -> tuple[Positions, Positions, npt.NDArray[np.uint16]]:
        """(ordinals of questions, ordinals in the list, bits of distance), each pair once."""
        found: dict[str, list[npt.NDArray[np.int64]]] = {"asked": [], "listed": [], "apart": []}
        for table in self._tables:
            values = (table.values(questions)[:, None] ^ self._asked).ravel()
            starts, counts = table.lookups(values)
            many = np.flatnonzero(counts)
            owners, starts, counts = many // len(self._asked), starts[many], counts[many]
            for part in _cut(counts):
                asked, listed = table.entries(starts[part], counts[part])
                asked = owners[part].take(asked)
                near, apart = near_pairs(
                    questions.take(asked, axis=0), self._listed.take(listed, axis=0), self._threshold
                )
                found["asked"].append(asked[near])
                found["listed"].append(listed[near])
                found["apart"].append(apart.astype(np.int64))
        if not found["asked"]:
            empty = np.zeros(0, np.int64)
            return empty, empty, empty.astype(np.uint16)
        pairs = np.stack([np.concatenate(parts) for parts in found.values()], axis=1)
        asked, listed, apart = np.unique(pairs, axis=0).T
        return asked, listed, apart.astype(np.uint16)


class NearList:
    """Hashes of a list, each with the bits in which another hash may differ and still count as the same picture."""

    def __init__(self, entries: Iterable[tuple[str, int]]) -> None:
        """`entries` are (64 hex digits, bits)."""
        by_distance = defaultdict[int, list[str]](list)
        for digits, distance in sorted(entries):
            by_distance[distance].append(digits)
        self._lists = [(_words(digits), distance) for distance, digits in sorted(by_distance.items())]
        self._matchers: dict[int, HammingIndex] = {}

    def near(self, words: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which PDQ hashes, int64 [n, 4], are within reach of one of the list."""
        rows, found = np.ascontiguousarray(words).view(np.uint64), np.zeros(len(words), np.bool_)
        for listed, distance in self._lists:
            scheme = scheme_of(distance, 1)
            if len(rows) * len(listed) <= FEW_PAIRS or scheme.candidates(len(listed)) >= len(listed):
                found |= _near_any(rows, listed, distance)
                continue
            if distance not in self._matchers:
                self._matchers[distance] = HammingIndex(listed, distance, scheme, wide=False)
            asked, _, _ = self._matchers[distance].pairs(rows)
            found[asked] = True
        return found


def _words(digits: list[str]) -> Words:
    return np.frombuffer(bytes.fromhex("".join(digits)), ">u8").reshape(-1, 4).astype(np.uint64)


def _near_any(rows: Words, listed: Words, distance: int) -> npt.NDArray[np.bool_]:
    """Which rows are near one of the list, by comparing all with all."""
    found = np.zeros(len(rows), np.bool_)
    for start in range(0, len(listed), _COMPARED):
        apart = np.bitwise_count(rows[:, None] ^ listed[None, start : start + _COMPARED]).sum(axis=2, dtype=np.uint16)
        found |= (apart <= distance).any(axis=1)
    return found


def _cut(counts: Positions) -> list[slice]:
    """Consecutive lookups with about _AT_A_TIME entries together."""
    ends = counts.cumsum()
    total = int(ends[-1]) if len(ends) else 0
    cuts = np.unique(np.searchsorted(ends, np.arange(_AT_A_TIME, total, _AT_A_TIME), "right"))
    edges = [0, *cuts.tolist(), len(counts)]
    return [slice(first, last) for first, last in pairwise(edges) if last > first]
