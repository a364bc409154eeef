"""Exact search within a Hamming distance: all listed hashes near an image's, for evaluation sets, blocklists and takedowns.

Two hashes that differ in at most t bits differ in at most r bits in one of t // (r + 1) + 1 blocks (pigeonhole;
Norouzi, Punjani and Fleet, "Fast search in Hamming space with multi-index hashing", CVPR 2012). So each block is looked
up exactly, with all values within r bits of it put either into the table or into the query.
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
_MAX_WIDTH = 24  # most bits of a block that index a table
MAX_ENTRIES = 1 << 24  # most entries of the table of a block
FEW_PAIRS = 1 << 14  # below this number of pairs, comparing all is faster than looking up
_COMPARE_BATCH = 256  # listed hashes that are compared with all rows at a time
_BATCH = 1 << 20  # candidate pairs at a time


@dataclass(frozen=True)
class Scheme:
    """How hashes are cut into blocks."""

    blocks: int
    radius: int
    width: int  # bits of a block

    @property
    def flips(self) -> Numbers:
        """The XOR masks that turn a value into all values within the radius, [neighbours]."""
        bits_of_block = range(self.width)
        several = [bits for count in range(self.radius + 1) for bits in combinations(bits_of_block, count)]
        return np.array([sum(1 << bit for bit in bits) for bits in several], np.uint32)

    def candidates(self, listed: int) -> float:
        """Returns the average number of table entries that a query meets, for a list of `listed` hashes."""
        return self.blocks * listed * self.neighbours / float(1 << self.width)

    @property
    def neighbours(self) -> int:
        return sum(math.comb(self.width, count) for count in range(self.radius + 1))

    @property
    def table_bytes(self) -> int:
        """Bytes of the table of a block, without its entries."""
        return 4 << self.width


def scheme_of(threshold: int, radius: int) -> Scheme:
    """Returns the scheme with as many blocks as completeness needs; where bits are left over, blocks are narrower."""
    blocks = min(threshold // (radius + 1) + 1, BITS)
    width = min(BITS // blocks, _MAX_WIDTH)
    return Scheme(blocks, min(radius, width), width)


def choose_scheme(threshold: int, listed: int, questions: int) -> Scheme:
    """Returns the cheapest scheme for `questions` hashes, with tables that hold the neighbours and serve them only."""

    def cost(scheme: Scheme) -> float:
        entries = listed * scheme.neighbours
        if entries > max(MAX_ENTRIES, listed):
            return math.inf
        making = scheme.blocks * ((1 << scheme.width) + 16 * entries)
        return making + questions * (scheme.blocks + 2 * scheme.candidates(listed))

    return min((scheme_of(threshold, radius) for radius in range(3)), key=cost)


class BlockTable:
    """The listed hashes by the value of one block."""

    def __init__(self, listed: Words, scheme: Scheme, block: int, flips: Numbers) -> None:
        """Indexes each hash by its own value XOR each of `flips`; [0] alone indexes the value itself."""
        self._scheme = scheme
        self._block = block
        values = (self.values(listed)[:, None] ^ flips).ravel().astype(np.uint64) << np.uint64(32)
        values |= np.repeat(np.arange(len(listed), dtype=np.uint64), len(flips))
        values.sort()
        self._numbers = values.astype(np.uint32)  # keeps the lower 32 bits
        counts = np.bincount((values >> np.uint64(32)).astype(np.int64), minlength=1 << scheme.width)
        self._starts = np.zeros(len(counts) + 1, np.uint32)
        np.cumsum(counts, out=self._starts[1:])

    def values(self, pdq: Words) -> Numbers:
        """Returns the bits of this block, [n], of hashes [n, 4]."""
        first = self._block * BITS // self._scheme.blocks
        word, offset, width = first // 64, first % 64, self._scheme.width
        bits = pdq[:, word] << np.uint64(offset)
        if offset + width > 64:
            bits = bits | pdq[:, word + 1] >> np.uint64(64 - offset)
        return (bits >> np.uint64(64 - width)).astype(np.uint32)

    def lookups(self, values: Numbers) -> "tuple[Positions, Positions]":
        """Returns where the entries of each value begin, [n], and their number, [n]."""
        starts = self._starts.take(values).astype(np.int64)
        return starts, self._starts.take(values + np.uint32(1)) - starts

    def entries(self, starts: Positions, counts: Positions) -> tuple[Positions, Positions]:
        """Returns (index of the lookup, index of the listed hash) of each entry."""
        asked = np.repeat(np.arange(len(starts)), counts)
        ends = counts.cumsum()
        positions = np.arange(len(asked)) + np.repeat(starts - ends + counts, counts)
        return asked, self._numbers.take(positions).astype(np.int64)


class HammingIndex:
    """Finds all pairs of queries and listed hashes within the threshold."""

    def __init__(
        self, listed: Words, threshold: int, scheme: Scheme, *, wide: bool, blocks: range | None = None
    ) -> None:
        """`wide` puts neighbours into the tables, for many queries; else they go into the queries, and tables stay small.

        `blocks` restricts the index to some blocks; the pairs of all blocks together are complete.
        """
        self._listed = np.ascontiguousarray(listed)
        self._threshold = threshold
        flips, own = scheme.flips, np.zeros(1, np.uint32)
        self._asked = own if wide else flips
        chosen = range(scheme.blocks) if blocks is None else blocks
        self._tables = [BlockTable(self._listed, scheme, block, flips if wide else own) for block in chosen]

    def pairs(self, questions: Words) -> tuple[Positions, Positions, npt.NDArray[np.uint16]]:
        """Returns (index of the query, index in the list, distance in bits) of each pair, each once."""
        found: dict[str, list[npt.NDArray[np.int64]]] = {"asked": [], "listed": [], "apart": []}
        for table in self._tables:
            values = (table.values(questions)[:, None] ^ self._asked).ravel()
            starts, counts = table.lookups(values)
            many = np.flatnonzero(counts)
            owners, starts, counts = many // len(self._asked), starts[many], counts[many]
            for part in _batches(counts):
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
    """A list of hashes, each with the distance in bits within which another hash counts as the same image."""

    def __init__(self, entries: Iterable[tuple[str, int]]) -> None:
        """`entries` are (64 hex digits, distance in bits)."""
        by_distance = defaultdict[int, list[str]](list)
        for digits, distance in sorted(entries):
            by_distance[distance].append(digits)
        self._lists = [(_words(digits), distance) for distance, digits in sorted(by_distance.items())]
        self._matchers: dict[int, HammingIndex] = {}

    def near(self, words: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Returns which PDQ hashes, int64 [n, 4], are near a hash of the list, [n]."""
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
    """Returns which rows are near a hash of the list, [n], by comparing all pairs."""
    found = np.zeros(len(rows), np.bool_)
    for start in range(0, len(listed), _COMPARE_BATCH):
        apart = np.bitwise_count(rows[:, None] ^ listed[None, start : start + _COMPARE_BATCH]).sum(
            axis=2, dtype=np.uint16
        )
        found |= (apart <= distance).any(axis=1)
    return found


def _batches(counts: Positions) -> list[slice]:
    """Splits lookups into consecutive slices with about _BATCH entries each."""
    ends = counts.cumsum()
    total = int(ends[-1]) if len(ends) else 0
    cuts = np.unique(np.searchsorted(ends, np.arange(_BATCH, total, _BATCH), "right"))
    edges = [0, *cuts.tolist(), len(counts)]
    return [slice(first, last) for first, last in pairwise(edges) if last > first]
