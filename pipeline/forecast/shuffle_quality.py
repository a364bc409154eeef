"""How well an epoch is shuffled: batches and neighbours of its own order, beside what a global shuffle gives.

Which picture stands at a place of a run only the view's files say, and they are not read: from the lengths of the runs the
figures are what is expected of places like these.
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

NEIGHBOURS = 1000  # pairs of consecutive turns that are looked at
PLACES = 32_768  # of whole batches that are looked at, but at least one batch
PAIRS = 100_000  # of the neighbours' places, drawn at random, for the distance in a global shuffle


@dataclass(frozen=True)
class Quality:
    """How well an epoch is shuffled; what ends in `_global` is of a global shuffle of the same epoch space."""

    neighbour_distance: (
        float  # median of consecutive turns, in samples of corpus order, as a share of a global shuffle's
    )
    same_chunk: float  # share of the pairs in a batch that are of one chunk
    same_chunk_global: float
    same_shard: float
    same_shard_global: float
    duplicates: float  # places of a batch whose picture stands in it already
    duplicates_global: float


def quality(plan: Plan, samples: Int64s, batch_size: int) -> Quality:
    """Looks at some batches and neighbours of an epoch that is not empty, the same ones whenever it is asked.

    `samples` are those of each shard of the split. Costs seconds, whatever the corpus.
    """
    generator, space, size = np.random.default_rng(0), plan.space, min(batch_size, plan.num_turns)
    starts = np.unique(generator.integers(0, plan.num_turns // size, max(1, PLACES // size))) * size
    chunks, shards, duplicates = [], [], []
    for start in starts.tolist():
        positions = np.sort(plan.positions(np.arange(start, start + size)))
        spans = space.spans_at(plan.epoch, positions)
        chunks.append(share_of_pairs(np.unique(positions // plan.chunk, return_counts=True)[1]))
        places = _by_shard(spans)
        shards.append(share_of_pairs(np.array([sum(copies.values()) for copies in places.values()])))
        duplicates.append(_duplicates(space, places, samples))
    full, short = divmod(plan.num_turns, plan.chunk)
    return Quality(
        neighbour_distance=_neighbour_distance(plan, samples, generator),
        same_chunk=float(np.mean(chunks)),
        same_chunk_global=share_of_pairs(np.array([plan.chunk, short]), np.array([full, 1])),
        same_shard=float(np.mean(shards)),
        same_shard_global=share_of_pairs(_turns_of_shards(space, plan.epoch)),
        duplicates=float(np.mean(duplicates)),
        duplicates_global=duplicates_of_global(_multiplicities(space, plan.epoch, int(samples.sum())), size),
    )


def share_of_pairs(members: Int64s, times: Int64s | int = 1) -> float:
    """Of all pairs, how many are of one group: of groups with so many members there are `times` each."""
    total = float((members * times).sum())
    return float((members * (members - 1.0) * times).sum()) / (total * (total - 1)) if total > 1 else 0.0


def duplicates_of_global(pictures: Sequence[float], batch_size: int) -> float:
    """Places whose picture stands in the batch already, expected of a batch that is drawn from all copies at random:
    pictures[m] of them have m copies. A picture with m of N is not in a batch of B with chance
    (N - B)(N - B - 1).../N(N - 1)..., m factors each."""
    total = sum(copies * number for copies, number in enumerate(pictures))
    absent, expected = 1.0, 0.0
    for copies, number in enumerate(pictures):
        if copies >= 2:  # fewer are never seen twice
            expected += number * (copies * batch_size / total - (1 - absent))
        absent *= max(0.0, total - batch_size - copies) / max(1.0, total - copies)
    return expected


def _multiplicities(space: EpochSpace, epoch: int, samples: int) -> list[float]:
    """How many pictures have m copies in an epoch, by m. Who of them has an extra one is taken as chance."""
    lengths = dict(zip((runs.copy for runs in space.runs), np.diff(space.copy_ends, prepend=0).tolist(), strict=True))
    most = max(lengths, default=-1)
    at_least = [samples, *(lengths.get(copy, 0) for copy in range(most + 1)), 0]
    whole = np.append(-np.diff(at_least).astype(np.float64), 0.0)
    extra = (space.num_positions(epoch) - space.num_whole) / max(1, samples)
    found: list[float] = ((1 - extra) * whole + extra * np.roll(whole, 1)).tolist()
    return found


def _by_shard(spans: Sequence[Span]) -> Mapping[int, Mapping[int, int]]:
    """How many places of each copy number spans have, by shard."""
    found = defaultdict[int, dict[int, int]](dict)
    for span in spans:
        copies = found[span.shard]
        copies[span.copy] = copies.get(span.copy, 0) + len(span)
    return found


def _duplicates(space: EpochSpace, places: Mapping[int, Mapping[int, int]], samples: Int64s) -> float:
    """Duplicates expected among a batch's places. Run j + 1 is among run j: so of the pictures that higher runs gave, each
    is at a place of run j with chance 1 / its length. Extras are taken as a draw from all samples of their shard."""
    expected = 0.0
    for shard, copies in places.items():
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
    """How many places each shard has in an epoch."""
    parts = []
    for chunk in space.counts.chunks:
        offsets = chunk.offsets.to_numpy()
        values = chunk.values.to_numpy()[offsets[0] : offsets[-1]]
        parts.append(np.diff(np.append(0, np.cumsum(values, dtype=np.int64))[offsets - offsets[0]]))
    extras = np.diff((space.fractions + extra_offset(space.view_seed, epoch)) // ONE)
    turns: Int64s = np.concatenate(parts) + extras
    return turns


def _in_corpus(plan: Plan, span: Span, samples: Int64s, before: Int64s) -> npt.NDArray[np.float64]:
    """About where a span's samples stand in corpus order, were its run spread evenly over its shard."""
    column, space = span.shard - plan.space.first, plan.space
    if span.copy == EXTRAS:
        length = (span.before + int(space.fractions[column + 1] - space.fractions[column])) // ONE - span.before // ONE
    else:
        length = _counts_of_shard(space, span.shard)[span.copy]
    places: npt.NDArray[np.float64] = np.arange(span.start, span.stop, dtype=np.float64) + 0.5
    places *= float(samples[column]) / length
    places += float(before[column])
    return places


def _neighbour_distance(plan: Plan, samples: Int64s, generator: np.random.Generator) -> float:
    """Median distance of consecutive turns as a share of the median distance of any two of the same places."""
    if plan.num_turns < 2:
        return 1.0
    first = generator.integers(0, plan.num_turns - 1, NEIGHBOURS)
    positions, inverse = np.unique(plan.positions(np.concatenate([first, first + 1])), return_inverse=True)
    before, spans = np.cumsum(samples) - samples, plan.space.spans_at(plan.epoch, positions)
    places = np.concatenate([_in_corpus(plan, span, samples, before) for span in spans])[inverse]
    one = generator.integers(0, len(places), PAIRS)
    other = (one + generator.integers(1, len(places), PAIRS)) % len(places)
    any_two = float(np.median(np.abs(places[one] - places[other])))
    return float(np.median(np.abs(np.diff(places.reshape(2, -1), axis=0)))) / any_two if any_two else 1.0
