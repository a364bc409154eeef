"""The order of an epoch by direct enumeration, with lists and integers: slow and plain. It is part of the order's
definition."""

import hashlib
import struct
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from tagmill.pipeline.order.epoch_space import EpochSpace
from tagmill.pipeline.order.plan import Plan

ONE = 1 << 16
MANIFEST, VIEW = hashlib.sha256(b"manifest").digest(), hashlib.sha256(b"view").digest()
Sample = tuple[int, int, int]  # shard, ordinal, copy (-1 for an extra)


def key(seed: int, epoch: int, purpose: int, block: int = 0, stream: int = 0, view: bytes = VIEW) -> int:
    text = struct.pack("<q32s32sqqqqq", 1, MANIFEST, view, seed, epoch, purpose, block, stream)
    return struct.unpack("<Q", hashlib.sha256(text).digest()[:8])[0]


def shuffled(n: int, key: int) -> list[int]:
    """Returns a list whose entry i is the image of i under the keyed permutation of 0..n-1."""
    half = 1
    while 4**half < n:
        half += 1

    def once(number: int) -> int:
        left, right = divmod(number, 2**half)
        for r in range(8):
            mixed = right ^ key ^ (0x9E3779B97F4A7C15 * (2 * r + 1) % 2**64)
            mixed = mixed * 0x9E3779B97F4A7C15 % 2**64
            mixed = (mixed ^ mixed // 2**32) * 0xBB67AE8584CAA73B % 2**64
            left, right = right, left ^ mixed // 2 ** (64 - half)
        return left * 2**half + right

    found = []
    for item in range(n):
        item = once(item)
        while item >= n:
            item = once(item)
        found.append(item)
    return found


@dataclass(frozen=True)
class Case:
    """A small corpus and the arguments of its order."""

    repeats: list[list[int]]  # of each sample of each shard, in units of 2^-16
    seed: int
    epoch: int
    streams: int
    window: int
    chunk: int

    def plan(self) -> Plan:
        return Plan(self.space(), MANIFEST, VIEW, self.seed, self.epoch, self.streams, self.window, self.chunk)

    def counts(self) -> npt.NDArray[np.int64]:
        """[copies, shards] samples with at least j + 1 whole copies."""
        copies = max((repeat // ONE for shard in self.repeats for repeat in shard), default=0)
        counts = [[sum(r // ONE > copy for r in shard) for shard in self.repeats] for copy in range(copies)]
        return np.array(counts, np.int64).reshape(copies, len(self.repeats))

    def space(self) -> EpochSpace:
        fractions = np.cumsum([0, *(sum(r % ONE for r in shard) for shard in self.repeats)])
        return EpochSpace.of_counts(0, self.counts(), fractions, self.seed)

    def samples(self) -> list[Sample]:
        """Returns the epoch space: the sample at each position."""
        found = []
        for copy in range(max((r // ONE for shard in self.repeats for r in shard), default=0)):
            for s, shard in enumerate(self.repeats):
                found += [(s, i, copy) for i, repeat in enumerate(shard) if repeat // ONE > copy]
        first = hashlib.sha256(struct.pack("<q", self.seed)).digest()
        total = (first[0] * 256 + first[1] + 40503 * self.epoch) % ONE
        for s, shard in enumerate(self.repeats):
            for i, repeat in enumerate(shard):
                if (total + repeat % ONE) // ONE > total // ONE:
                    found.append((s, i, -1))
                total += repeat % ONE
        return found

    def order(self) -> list[int]:
        """Returns the position at each turn."""
        positions = list(range(len(self.samples())))
        chunks = [positions[i : i + self.chunk] for i in range(0, len(positions), self.chunk)]
        short = chunks.pop() if chunks and len(chunks[-1]) < self.chunk else []
        pile = [chunks[i] for i in shuffled(len(chunks), key(self.seed, self.epoch, 0))]
        turns, block = [], 0
        while len(pile) >= self.streams * self.window:
            windows = []
            for stream in range(self.streams):
                members = [p for _ in range(self.window) for p in pile.pop(0)]
                deal = shuffled(len(members), key(self.seed, self.epoch, 1, block, stream))
                windows.append([members[i] for i in deal])
            turns += [window[item] for item in range(self.window * self.chunk) for window in windows]
            block += 1
        tail = [p for chunk in [*pile, short] for p in chunk]
        return turns + [tail[i] for i in shuffled(len(tail), key(self.seed, self.epoch, 2))]

    def at_epoch(self, epoch: int) -> "Case":
        return replace(self, epoch=epoch)


REPEATS = st.one_of(st.just(ONE), st.sampled_from([0, 1, ONE - 1, 2 * ONE, 7 * ONE]), st.integers(0, 4 * ONE))
STRETCHES = st.lists(st.tuples(REPEATS, st.integers(0, 25)), max_size=4)  # (repeat, consecutive samples that have it)
SHARDS = STRETCHES.map(lambda stretches: [repeat for repeat, length in stretches for _ in range(length)])
CASES = st.builds(
    Case,
    repeats=st.lists(SHARDS, min_size=1, max_size=5),
    seed=st.integers(0, 2**63 - 1),
    epoch=st.integers(0, 9),
    streams=st.integers(1, 18),
    window=st.integers(1, 3),
    chunk=st.integers(1, 6),
)
