"""Measures how well an epoch is shuffled: its batches and neighbours, compared with a global shuffle.

Only the view's files say which image is at an offset of a run, and they are not read: the figures are expectations
computed from the lengths of the runs.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tagmill.pipeline.order.epoch_space import EXTRAS, EpochSpace, Span
from tagmill.pipeline.order.plan import Plan
from tagmill.shards.arrays import Int64s
from tagmill.shards.view import ONE, extra_offset

NEIGHBOURS = 1000  # pairs of consecutive turns that are examined
SLOTS_SEEN = 32_768  # slots of whole batches that are examined, but at least one batch
RANDOM_PAIRS = 100_000  # random pairs of the neighbours' positions, for the distance in a global shuffle


@dataclass(frozen=True)
class ShuffleQuality:
    """How well an epoch is shuffled; fields that end in `_global` are of a global shuffle of the same epoch space."""

    neighbour_distance: (
        float  # median distance of consecutive turns, in samples of corpus order, as a share of a global shuffle's
    )
    same_chunk: float  # share of the pairs in a batch that are from one chunk
    same_chunk_global: float
    same_shard: float
    same_shard_global: float
    duplicates: float  # slots of a batch whose image is in it already
    duplicates_global: float


def measure_shuffle(plan: Plan, samples: Int64s, batch_size: int) -> ShuffleQuality:
    """Measures some batches and neighbours of a non-empty epoch; the same choice in every call.

    `samples` are those of each shard of the split, int64 [S]. Takes seconds, whatever the size of the corpus.
    """
    generator, space, size = np.random.default_rng(0), plan.space, min(batch_size, plan.num_turns)
    starts = np.unique(generator.integers(0, plan.num_turns // size, max(1, SLOTS_SEEN // size))) * size
    chunks, shards, duplicates = [], [], []
    for start in starts.tolist():
        positions = np.sort(plan.positions(np.arange(start, start + size)))
        spans = space.spans_at(plan.epoch, positions)
        chunks.append(share_of_pairs(np.unique(positions // plan.chunk, return_counts=True)[1]))
        by_shard = _by_shard(spans)
        shards.append(share_of_pairs(np.array([sum(copies.values()) for copies in by_shard.values()])))
        duplicates.append(_duplicates(space, by_shard, samples))
    full, short = divmod(plan.num_turns, plan.chunk)
    return ShuffleQuality(
        neighbour_distance=_neighbour_distance(plan, samples, generator),
        same_chunk=float(np.mean(chunks)),
        same_chunk_global=share_of_pairs(np.array([plan.chunk, short]), np.array([full, 1])),
        same_shard=float(np.mean(shards)),
        same_shard_global=share_of_pairs(_turns_of_shards(space, plan.epoch)),
        duplicates=float(np.mean(duplicates)),
        duplicates_global=duplicates_of_global(_multiplicities(space, plan.epoch, int(samples.sum())), size),
    )


def share_of_pairs(members: Int64s, times: Int64s | int = 1) -> float:
    """Returns the share of all pairs that are within one group: `times` groups have each number of members."""
    total = float((members * times).sum())
    return float((members * (members - 1.0) * times).sum()) / (total * (total - 1)) if total > 1 else 0.0


def duplicates_of_global(pictures: Sequence[float], batch_size: int) -> float:
    """Returns the expected number of slots whose image is in the batch already, for a batch drawn at random from all
    copies: images[m] of them have m copies. An image with m of N is not in a batch of B with probability (N - B)(N - B
    - 1).../N(N - 1)..., m factors each."""
    total = sum(copies * number for copies, number in enumerate(pictures))
    absent, expected = 1.0, 0.0
    for copies, number in enumerate(pictures):
        if copies >= 2:  # fewer copies cannot repeat
            expected += number * (copies * batch_size / total - (1 - absent))
        absent *= max(0.0, total - batch_size - copies) / max(1.0, total - copies)
    return expected


def _multiplicities(space: EpochSpace, epoch: int, samples: int) -> list[float]:
    """Returns the number of images that have m copies in an epoch, by m. Which of them has an extra copy is taken as
    random."""
    lengths = dict(zip((runs.copy for runs in space.runs), np.diff(space.copy_ends, prepend=0).tolist(), strict=True))
    most = max(lengths, default=-1)
    at_least = [samples, *(lengths.get(copy, 0) for copy in range(most + 1)), 0]
    whole = np.append(-np.diff(at_least).astype(np.float64), 0.0)
    extra = (space.num_positions(epoch) - space.num_whole) / max(1, samples)
    found: list[float] = ((1 - extra) * whole + extra * np.roll(whole, 1)).tolist()
    return found


def _by_shard(spans: Sequence[Span]) -> Mapping[int, Mapping[int, int]]:
    """Counts the slots of spans by shard and copy number."""
    found = defaultdict[int, dict[int, int]](dict)
    for span in spans:
        copies = found[span.shard]
        copies[span.copy] = copies.get(span.copy, 0) + len(span)
    return found


def _duplicates(space: EpochSpace, by_shard: Mapping[int, Mapping[int, int]], samples: Int64s) -> float:
    """Returns the duplicates expected in a batch. Run j + 1 is a subset of run j: so each image from a higher run is at
    an offset of run j with probability 1 / its length. Extras are taken as a draw from all samples of their shard."""
    expected = 0.0
    for shard, copies in by_shard.items():
        if len(copies) == 1:
            continue
        counts, distinct = _counts_of_shard(space, shard), 0.0
        for copy in sorted(copies, reverse=True):  # extras last
            length = samples[shard - space.first] if copy == EXTRAS else counts[copy]
            distinct += copies[copy] * (1 - distinct / length)
        expected += sum(copies.values()) - distinct
    return expected


def _counts_of_shard(space: EpochSpace, shard: int) -> list[int]:
    counts: list[int] = space.counts[shard - space.first].as_py()
    return counts


def _turns_of_shards(space: EpochSpace, epoch: int) -> Int64s:
    """Returns the number of positions of each shard in an epoch."""
    parts = []
    for chunk in space.counts.chunks:
        offsets = chunk.offsets.to_numpy()
        values = chunk.values.to_numpy()[offsets[0] : offsets[-1]]
        parts.append(np.diff(np.append(0, np.cumsum(values, dtype=np.int64))[offsets - offsets[0]]))
    extras = np.diff((space.fractions + extra_offset(space.view_seed, epoch)) // ONE)
    turns: Int64s = np.concatenate(parts) + extras
    return turns


def _in_corpus(plan: Plan, span: Span, samples: Int64s, before: Int64s) -> npt.NDArray[np.float64]:
    """Returns the approximate offsets of a span's samples in corpus order, as if its run were spread evenly over its
    shard."""
    column, space = span.shard - plan.space.first, plan.space
    if span.copy == EXTRAS:
        length = (span.before + int(space.fractions[column + 1] - space.fractions[column])) // ONE - span.before // ONE
    else:
        length = _counts_of_shard(space, span.shard)[span.copy]
    offsets: npt.NDArray[np.float64] = np.arange(span.start, span.stop, dtype=np.float64) + 0.5
    offsets *= float(samples[column]) / length
    offsets += float(before[column])
    return offsets


def _neighbour_distance(plan: Plan, samples: Int64s, generator: np.random.Generator) -> float:
    """Returns the median distance of consecutive turns as a share of the median distance of random pairs of the same
    positions."""
    if plan.num_turns < 2:
        return 1.0
    first = generator.integers(0, plan.num_turns - 1, NEIGHBOURS)
    positions, inverse = np.unique(plan.positions(np.concatenate([first, first + 1])), return_inverse=True)
    before, spans = np.cumsum(samples) - samples, plan.space.spans_at(plan.epoch, positions)
    offsets = np.concatenate([_in_corpus(plan, span, samples, before) for span in spans])[inverse]
    one = generator.integers(0, len(offsets), RANDOM_PAIRS)
    other = (one + generator.integers(1, len(offsets), RANDOM_PAIRS)) % len(offsets)
    any_two = float(np.median(np.abs(offsets[one] - offsets[other])))
    return float(np.median(np.abs(np.diff(offsets.reshape(2, -1), axis=0)))) / any_two if any_two else 1.0
