"""The order of an epoch: the position at each turn, the rank that owns the turn, and the reads of each rank in order.

A turn is the number of a sample in the shuffled order of an epoch. All ranks share the turns, which do not depend on
the number of ranks; a rank owns the turns of its streams. So a state that counts turns can be resumed by any number of
ranks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tagmill.pipeline.config import World
from tagmill.pipeline.order.epoch_space import EpochSpace
from tagmill.pipeline.order.permutation import CHUNKS, TAIL, Keys, permute
from tagmill.shards.arrays import Int64s
from tagmill.shards.errors import ConfigError


@dataclass(frozen=True, eq=False, slots=True)
class Visit:
    """Positions that one rank reads together, ascending: its samples of one chunk."""

    positions: Int64s
    turn: int  # first turn of the epoch that needs one of them
    source: int = 0  # index of the corpus in a mixture


@dataclass(frozen=True, eq=False)
class Plan:
    """The order of one epoch, for every rank.

    The full chunks (C consecutive positions) are permuted. A block is T x w consecutive permuted chunks, w for each of
    T streams; inside it, turn k belongs to stream k mod T and is item k div T of that stream's own permutation of its w
    x C samples. The tail is the rest, less than a block and the short chunk: one permutation of its items.
    """

    space: EpochSpace
    manifest_digest: bytes
    view_digest: bytes | None
    seed: int
    epoch: int
    streams: int  # T
    window: int  # w
    chunk: int  # C
    offset: int = 0  # earlier turns that count when streams are assigned to ranks: in a mixture, all before this epoch

    @cached_property
    def num_turns(self) -> int:
        """Number of turns of the epoch: that of its positions."""
        return self.space.num_positions(self.epoch)

    @cached_property
    def keys(self) -> Keys:
        return Keys(self.manifest_digest, self.view_digest, self.seed, self.epoch)

    @property
    def window_samples(self) -> int:
        """Samples that a stream mixes: w x C."""
        return self.window * self.chunk

    @property
    def block(self) -> int:
        """Turns of a block: T x w x C."""
        return self.streams * self.window_samples

    @property
    def full_chunks(self) -> int:
        return self.num_turns // self.chunk

    @property
    def tail_start(self) -> int:
        """The first turn of the tail. It is a multiple of the block, so a turn's stream is its remainder by T in the
        tail too."""
        return self.full_chunks // (self.streams * self.window) * self.block

    def positions(self, turns: Int64s) -> Int64s:
        """Returns the position at each turn: int64 [n]."""
        assert not len(turns) or (turns.min() >= 0 and turns.max() < self.num_turns), "turns outside the epoch"
        in_tail = turns >= self.tail_start
        if not in_tail.any():
            return self._block_positions(turns)
        found = np.empty_like(turns)
        found[in_tail] = self._tail_positions(turns[in_tail])
        found[~in_tail] = self._block_positions(turns[~in_tail])
        return found

    def _block_positions(self, turns: Int64s) -> Int64s:
        block, inside = np.divmod(turns, self.block)
        item, stream = np.divmod(inside, self.streams)
        windows, which = np.unique(block * self.streams + stream, return_inverse=True)
        keys = self.keys.of_windows(*np.divmod(windows, self.streams))
        nth, within = np.divmod(permute(item, self.window_samples, keys[which]), self.chunk)
        members = windows[:, None] * self.window + np.arange(self.window)  # permuted chunks of each window
        chunks = permute(members.ravel(), self.full_chunks, self.keys.key(CHUNKS))
        return chunks[which * self.window + nth] * self.chunk + within

    def _tail_positions(self, turns: Int64s) -> Int64s:
        size = self.num_turns - self.tail_start
        nth, within = np.divmod(permute(turns - self.tail_start, size, self.keys.key(TAIL)), self.chunk)
        members = np.arange(self.tail_start // self.chunk, self.full_chunks, dtype=np.int64)
        chunks = permute(members, self.full_chunks, self.keys.key(CHUNKS))
        chunks = np.append(chunks, self.full_chunks)  # the short chunk comes last and is not permuted
        return chunks[nth] * self.chunk + within

    def owner(self, turns: Int64s, world_size: int) -> Int64s:
        """Returns the rank that owns each turn: int64 [n]. All turns of a stream have one rank."""
        owners: Int64s = (turns + self.offset) % self.streams % world_size
        return owners

    def local_turns(self, turn: int, batch_size: int, world: World) -> Int64s:
        """Returns the rank's turns of the global batch that begins at `turn`, ascending. The epoch's last batch may be
        short, and a rank may then have none."""
        turns = np.arange(turn, min(turn + batch_size, self.num_turns), dtype=np.int64)
        own: Int64s = turns[self.owner(turns, world.size) == world.rank]
        return own

    def visits(self, from_turn: int, world: World) -> Iterator[Visit]:
        """Yields all reads of a rank from `from_turn` to the epoch's end, in the order in which they must be opened.

        One visit a chunk, ordered by the first turn that needs it; of a chunk in the tail every rank needs some
        samples. A reader that opens visits in this order as soon as they fit into `open_samples`, and releases samples
        as their turns are taken, never deadlocks: the visits of a block fit together, and so do those of the tail,
        which is less than one block.
        """
        for start in range(from_turn // self.block * self.block, self.num_turns, self.block):
            turns = self.local_turns(start, self.block, world)
            turns = turns[turns >= from_turn]
            positions = self.positions(turns)
            _, first = np.unique(positions // self.chunk, return_index=True)
            positions.sort()
            members = np.split(positions, np.flatnonzero(np.diff(positions // self.chunk)) + 1)
            for which in np.argsort(first):
                yield Visit(members[which], int(turns[first[which]]))


EPOCHS_AHEAD, BATCHES_AHEAD = 2, 4
"""Of a corpus that is smaller than the windows so much is read ahead of need at most, whichever is more."""


def open_samples(streams: int, window: int, chunk: int, world: World) -> int:
    """Returns the largest number of samples that a rank holds open: the windows of its streams."""
    return len(range(world.rank, streams, world.size)) * window * chunk


def held_samples(windows: int, epoch_samples: int, slots: int) -> int:
    """Returns the largest number of samples of one corpus that a rank holds open at a time: as many as its windows have, but
    not a small corpus many times over. `epoch_samples` are those of an epoch of all ranks, to within one, and `slots` those of
    a rank's batch."""
    return min(windows, max(EPOCHS_AHEAD * (epoch_samples + 1), BATCHES_AHEAD * slots))


def local_counts(streams: int, batch_size: int, world_size: int) -> tuple[int, int]:
    """Returns the smallest and the largest part that any rank has of a whole global batch, over all turns at which it
    can begin."""
    cycles, rest = divmod(batch_size, streams)
    owners = np.arange(streams) % world_size
    least, most = batch_size, 0
    for rank in range(min(world_size, streams)):
        own = owners == rank
        running = np.concatenate([[0], np.cumsum(np.concatenate([own, own[:rest]]))])
        part = cycles * int(own.sum()) + running[rest : rest + streams] - running[:streams]
        least, most = min(least, int(part.min())), max(most, int(part.max()))
    return least, most


def local_batch_size(streams: int, batch_size: int, world: World) -> int:
    """Returns the constant number of slots of every rank's batches, to which they are padded.

    Raises ConfigError if there are more ranks than streams, or a whole batch could leave a rank without samples.
    """
    where = f"streams {streams}, batch size {batch_size}, {world.size} ranks"
    if world.size > streams:
        raise ConfigError("more ranks than streams", where, f"set streams to at least {world.size}")
    least, most = local_counts(streams, batch_size, world.size)
    if least == 0:
        remedy = f"make streams a multiple of {world.size} and the batch size at least {world.size}, or set even"
        raise ConfigError("some batches would leave a rank without samples", where, remedy)
    return most


def even_world_size(world_size: int, streams: int, batch_size: int) -> int:
    """Returns the largest number of ranks, at most `world_size`, that divides both streams and batch size; the others
    idle."""
    return max(size for size in range(1, world_size + 1) if streams % size == 0 and batch_size % size == 0)
