"""A mixture: several corpora as one stream. Defines the corpus of each turn, and the epochs and order of each corpus."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path

import numpy as np

from tagmill.pipeline.config import World
from tagmill.pipeline.order.epoch_space import EpochSpace
from tagmill.pipeline.order.plan import Plan, Visit, local_counts
from tagmill.pipeline.order.schedule import Step
from tagmill.shards.arrays import Int64s
from tagmill.shards.errors import ConfigError
from tagmill.shards.manifest import Corpus
from tagmill.shards.view import ONE, View, extra_offset
from tagmill.shards.vocabulary import Label

MOST_WEIGHT = 1 << 16  # limit of the sum of all weights: the pattern is a table
PERIOD = ONE  # epochs after which the lengths of a corpus's epochs repeat: u_e takes all 2^16 values


class Mixture:
    """Corpora and their weights: `Mixture((web, 3), (animals, 1))` takes three samples of `web` for one of `animals`.

    A corpus is an open Corpus or its address. Raises ConfigError for weights that are not whole numbers of at least 1,
    or too large.
    """

    def __init__(self, *parts: tuple[str | Path | Corpus, int]) -> None:
        self.corpora = tuple(corpus for corpus, _ in parts)
        self.weights = tuple(weight for _, weight in parts)
        if not parts or any(type(weight) is not int or weight < 1 for weight in self.weights):
            remedy = "give at least one corpus, and each a whole number of at least 1"
            raise ConfigError(f"weights {self.weights}", "mixture", remedy)
        if sum(self.weights) > MOST_WEIGHT:
            what = f"the weights sum to {sum(self.weights):,}"
            raise ConfigError(what, "mixture", f"scale them down: at most {MOST_WEIGHT:,} together")


def check_parts(corpora: Sequence[Corpus], views: Sequence[View | None]) -> None:
    """Raises ConfigError if two parts are the same corpus, whose samples would come twice an epoch, or if the views'
    labels have different meanings: an id must be the same set of synsets everywhere."""
    for one, other in combinations(corpora, 2):
        if one.digest == other.digest:
            what = f"{one.store.url} and {other.store.url} are the same corpus"
            raise ConfigError(what, "mixture", "name it once, with the sum of the weights")
    first, *others = views
    for number, view in enumerate(others, 1):
        if first is None or view is None or first.file.vocabulary_sha256 == view.file.vocabulary_sha256:
            continue
        pairs = zip(first.vocabulary.labels, view.vocabulary.labels, strict=False)
        differs = next((one.id for one, other in pairs if one.synsets != other.synsets), None)
        if differs is None and len(first.vocabulary) == len(view.vocabulary):
            continue  # other names or counts, but the same classes
        labels = [f"{len(found.vocabulary)} labels" for found in (first, view)]
        if differs is not None:
            labels = [_describe(found.vocabulary.labels[differs]) for found in (first, view)]
        what = (
            f"different vocabularies: {labels[0]} in {corpora[0].store.url}, {labels[1]} in {corpora[number].store.url}"
        )
        raise ConfigError(what, "mixture", "make the views of all corpora with the same vocabulary")


def _describe(label: Label) -> str:
    synsets = "+".join(label.synsets)
    return f"label {label.id} = {synsets}" + (f" ({label.name})" if label.name != synsets else "")


@dataclass(frozen=True)
class Pattern:
    """The corpus of every turn: turn q belongs to entry q mod A of a cycle of A = sum of weights entries.

    Corpus i has a_i of them, spread evenly: its entry k (from 0) is at (2k + 1) / (2 a_i) of the cycle, and the cycle
    is sorted by these fractions, equal ones by the corpora's order (the method of A. Sainte-Laguë, 1910, for seats of a
    parliament). After any number of turns, a corpus of n in all is within (1 + n a_i / A) / 2 of its exact share.
    """

    weights: tuple[int, ...]

    @property
    def size(self) -> int:
        """A, the length of the cycle."""
        return sum(self.weights)

    @cached_property
    def entries(self) -> Int64s:
        """The corpus of each entry: int64 [A]."""
        weights = np.array(self.weights, np.int64)
        sources = np.repeat(np.arange(len(weights)), weights)
        nth = np.concatenate([np.arange(weight) for weight in self.weights])
        # Division rounds correctly, so equal fractions are equal here, and different ones with A <= 2^16 stay
        # different.
        return sources[np.lexsort((sources, (2 * nth + 1) / (2 * weights[sources])))].astype(np.int64)

    @cached_property
    def places(self) -> list[Int64s]:
        """The entries of each corpus, ascending: int64 [a_i]."""
        return [np.flatnonzero(self.entries == source).astype(np.int64) for source in range(len(self.weights))]

    @cached_property
    def _before(self) -> Int64s:
        """Earlier entries of the same corpus, for each entry: int64 [A]."""
        before = np.empty(self.size, np.int64)
        for places in self.places:
            before[places] = np.arange(len(places))
        return before

    def own_turns(self, turns: Int64s) -> tuple[Int64s, Int64s]:
        """Returns (corpus, its own turn: the number of its earlier turns) of each turn: int64 [n] each."""
        cycle, entry = np.divmod(turns, self.size)
        sources = self.entries[entry]
        return sources, cycle * np.array(self.weights, np.int64)[sources] + self._before[entry]

    def own_before(self, source: int, turn: int) -> int:
        """Returns the number of turns before `turn` that belong to a corpus."""
        cycle, entry = divmod(turn, self.size)
        return cycle * self.weights[source] + int(np.searchsorted(self.places[source], entry))

    def turn_of(self, source: int, own: int) -> int:
        """Returns the turn at which a corpus has its own turn `own`."""
        cycle, nth = divmod(own, self.weights[source])
        return cycle * self.size + int(self.places[source][nth])


@dataclass(frozen=True, eq=False)
class OwnEpochs:
    """The beginnings of the epochs of one corpus, counted in its own turns, in constant time."""

    space: EpochSpace

    @cached_property
    def _ends(self) -> Int64s:
        """Own turns up to the end of each of the first PERIOD epochs; all later epochs repeat them."""
        first, last = int(self.space.fractions[0]), int(self.space.fractions[-1])
        step = extra_offset(self.space.view_seed, 1) - extra_offset(self.space.view_seed, 0)
        u = (extra_offset(self.space.view_seed, 0) + step * np.arange(PERIOD, dtype=np.int64)) % ONE
        return np.cumsum(self.space.num_whole + (last + u) // ONE - (first + u) // ONE, dtype=np.int64)

    def start(self, epoch: int) -> int:
        """Returns the number of own turns before an epoch."""
        periods, inside = divmod(epoch, PERIOD)
        return periods * int(self._ends[-1]) + (int(self._ends[inside - 1]) if inside else 0)

    def at(self, own: Int64s) -> Int64s:
        """Returns the epoch of each own turn: int64 [n]."""
        periods, inside = np.divmod(own, self._ends[-1])
        epochs: Int64s = periods * PERIOD + np.searchsorted(self._ends, inside, side="right")
        return epochs


@dataclass(frozen=True, eq=False)
class MixturePart:
    """One corpus of a mixture: its epoch space and digests."""

    space: EpochSpace
    manifest_digest: bytes
    view_digest: bytes | None

    @cached_property
    def epochs(self) -> OwnEpochs:
        return OwnEpochs(self.space)


@dataclass(frozen=True, eq=False)
class MixedSchedule:
    """Batches of a mixture, without end: every batch is full, and the epochs of the corpora begin and end inside
    batches.

    A rank owns a corpus's own turn o if (o mod T) mod W is the rank: inside an epoch these are whole streams of its
    plan. Each corpus has its own windows, as large as without a mixture, and the properties of one plan's visits hold
    for each.
    """

    pattern: Pattern
    parts: tuple[MixturePart, ...]
    seed: int
    streams: int
    window: int
    chunk: int
    batch_size: int  # of all ranks together
    world: World

    def plan(self, source: int, epoch: int) -> Plan:
        """Returns the order of one corpus's own epoch."""
        part = self.parts[source]
        return Plan(
            part.space,
            part.manifest_digest,
            part.view_digest,
            self.seed,
            epoch,
            self.streams,
            self.window,
            self.chunk,
            part.epochs.start(epoch),
        )

    def own_epochs(self, turn: int) -> tuple[int, ...]:
        """Returns the epoch of each corpus at a turn."""
        own = [self.pattern.own_before(source, turn) for source in range(len(self.parts))]
        return tuple(int(part.epochs.at(np.array([o]))[0]) for part, o in zip(self.parts, own, strict=True))

    def steps(self, epoch: int, turn: int) -> Iterator[Step]:
        """Yields this rank's batches from a turn on. `epoch` is that of the state: 0, because turns count through all
        epochs."""
        while True:
            yield self._step(turn)
            turn += self.batch_size

    def _step(self, turn: int) -> Step:
        sources, own = self.pattern.own_turns(np.arange(turn, turn + self.batch_size, dtype=np.int64))
        own_rows = own % self.streams % self.world.size == self.world.rank
        sources, own = sources[own_rows], own[own_rows]
        epochs, positions = np.empty_like(own), np.empty_like(own)
        for source in np.unique(sources).tolist():
            rows = np.flatnonzero(sources == source)
            epochs[rows] = self.parts[source].epochs.at(own[rows])
            for epoch in np.unique(epochs[rows]).tolist():
                plan, of_epoch = self.plan(source, epoch), rows[epochs[rows] == epoch]
                positions[of_epoch] = plan.positions(own[of_epoch] - plan.offset)
        place, number = (0, turn), turn // self.batch_size
        return Step(epochs, positions, place, (0, turn + self.batch_size), self._progress(turn), sources, number)

    def _progress(self, turn: int) -> float:
        """Returns the epochs of the first corpus before a turn, with the part of the current one."""
        epochs, own = self.parts[0].epochs, self.pattern.own_before(0, turn)
        epoch = int(epochs.at(np.array([own]))[0])
        start = epochs.start(epoch)
        return epoch + (own - start) / (epochs.start(epoch + 1) - start)

    def visits(self, epoch: int, turn: int) -> Iterator[tuple[int, Visit]]:
        """Yields (own epoch, visit) of all reads of this rank for `steps(epoch, turn)`, in the order of need.

        A reader that opens them in this order, each as soon as `open_samples` of its own corpus has capacity, and
        releases samples as their turns are taken, never deadlocks: all visits before the one that holds the next sample
        are open already, and among the visits of its corpus that one fits as in a single plan.
        """
        streams = [self._visits_of(source, turn) for source in range(len(self.parts))]
        for _, own_epoch, visit in heapq.merge(*streams, key=lambda needed: needed[0]):
            yield own_epoch, visit

    def _visits_of(self, source: int, turn: int) -> Iterator[tuple[int, int, Visit]]:
        """Yields (first turn of the mixture that needs it, own epoch, visit) of one corpus, ascending."""
        own, epochs = self.pattern.own_before(source, turn), self.parts[source].epochs
        while True:
            epoch = int(epochs.at(np.array([own]))[0])
            plan = self.plan(source, epoch)
            for visit in plan.visits(own - plan.offset, self.world):
                needed = self.pattern.turn_of(source, plan.offset + visit.turn)
                yield needed, epoch, replace(visit, source=source)
            own = plan.offset + plan.num_turns


def mixed_counts(pattern: Pattern, streams: int, batch_size: int, world_size: int) -> tuple[int, int]:
    """Returns bounds of the part that any rank has of a batch, over all turns at which it can begin.

    Takes the worst streams of each corpus independently of the others. So the bounds hold for all offsets, of which
    there may be billions, and are exact if each corpus alone reaches its bound.
    """
    cycles, rest = divmod(batch_size, pattern.size)
    least, most = np.zeros(pattern.size, np.int64), np.zeros(pattern.size, np.int64)
    for source, weight in enumerate(pattern.weights):
        running = np.concatenate([[0], np.cumsum(np.tile(pattern.entries == source, 2))])
        parts = cycles * weight + running[rest : rest + pattern.size] - running[: pattern.size]
        parts, which = np.unique(parts, return_inverse=True)
        bounds = np.array([local_counts(streams, part, world_size) for part in parts.tolist()])
        least, most = least + bounds[which, 0], most + bounds[which, 1]
    return int(least.min()), int(most.max())


def mixed_batch_size(pattern: Pattern, streams: int, batch_size: int, world: World) -> int:
    """Returns the constant number of slots of every rank's batches of a mixture, to which they are padded.

    Raises ConfigError if there are more ranks than streams, or a batch might leave a rank without samples.
    """
    where = f"weights {pattern.weights}, streams {streams}, batch size {batch_size}, {world.size} ranks"
    if world.size > streams:
        raise ConfigError("more ranks than streams", where, f"set streams to at least {world.size}")
    least, most = mixed_counts(pattern, streams, batch_size, world.size)
    if least == 0:
        remedy = f"make streams a multiple of {world.size}, and batches so large that one corpus's share has a turn for"
        raise ConfigError("a batch might leave a rank without samples", where, f"{remedy} every rank, or set even")
    return most


def even_mixed_size(pattern: Pattern, streams: int, batch_size: int, world_size: int) -> int:
    """Returns the largest number of ranks, at most `world_size`, that have equal parts of every batch; the others idle."""
    sizes = [size for size in range(1, min(world_size, streams) + 1) if streams % size == 0]
    return max(size for size in sizes if len({*mixed_counts(pattern, streams, batch_size, size)}) == 1)
