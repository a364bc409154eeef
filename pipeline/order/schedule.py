"""The batches of a rank, epoch after epoch, and the reads for them: pure arithmetic, no input or output."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tagmill.pipeline.config import World
from tagmill.pipeline.order.epoch_space import EpochSpace
from tagmill.pipeline.order.plan import Plan, Visit
from tagmill.shards.errors import ConfigError

PADDING = -1  # position and source of a padding slot


TURNS_AT_ONCE = 4096  # turns whose positions are computed together, to spread the overhead of a call
EPOCHS_LOOKED_AT = 256  # epochs checked for their length: it differs by at most one, and among these both lengths occur


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """A rank's part of one global batch."""

    epoch: int | npt.NDArray[np.int64]  # of all slots; in a mixture of each slot: int64 [n]
    positions: npt.NDArray[np.int64]  # in the order of their turns; may be empty in the short last batch of an epoch
    begin: tuple[int, int]  # (epoch, turn) of the state before the global batch
    after: tuple[int, int]  # (epoch, turn) of the state after it
    progress: float  # epochs before the global batch, with the part of its own; of the first corpus of a mixture
    sources: npt.NDArray[np.int64] | None = None  # index of the corpus of each slot in a mixture; else None
    number: int = 0  # of the batch in its epoch, or in a mixture from the beginning


@dataclass(frozen=True, eq=False)
class Schedule:
    """Cuts the plans of all epochs into batches, without a barrier between epochs."""

    space: EpochSpace
    manifest_digest: bytes
    view_digest: bytes | None
    seed: int
    streams: int
    window: int
    chunk: int
    batch_size: int  # of all ranks together
    drop_last: bool
    epochs: int | None
    world: World

    def __post_init__(self) -> None:
        most = max(
            self.space.num_positions(epoch) for epoch in range(min(self.epochs or EPOCHS_LOOKED_AT, EPOCHS_LOOKED_AT))
        )
        if self.drop_last and most < self.batch_size:
            what = f"an epoch has {most} samples, a batch {self.batch_size}, and short batches are dropped"
            raise ConfigError(what, "loader", "lower batch_size, or set drop_last off")

    def plan(self, epoch: int) -> Plan:
        """Returns the order of one epoch."""
        return Plan(
            self.space,
            self.manifest_digest,
            self.view_digest,
            self.seed,
            epoch,
            self.streams,
            self.window,
            self.chunk,
        )

    def num_turns(self, epoch: int) -> int:
        """Returns the number of turns of an epoch that are yielded."""
        turns = self.space.num_positions(epoch)
        return turns - turns % self.batch_size if self.drop_last else turns

    def num_batches(self, epoch: int) -> int:
        """Returns the number of batches of an epoch, the same for every rank."""
        return -(-self.num_turns(epoch) // self.batch_size)

    def steps(self, epoch: int, turn: int) -> Iterator[Step]:
        """Yields this rank's batches from a turn on, as many as every other rank's."""
        while self.epochs is None or epoch < self.epochs:
            plan, stop = self.plan(epoch), self.num_turns(epoch)
            many = max(1, TURNS_AT_ONCE // self.batch_size) * self.batch_size
            while turn < stop:
                turns = plan.local_turns(turn, min(many, stop - turn), self.world)
                ends = range(turn + self.batch_size, min(turn + many, stop), self.batch_size)
                for own in np.split(plan.positions(turns), np.searchsorted(turns, ends)):
                    begin, turn = turn, min(turn + self.batch_size, stop)
                    after = (epoch, turn) if turn < stop else (epoch + 1, 0)
                    number = begin // self.batch_size
                    yield Step(epoch, own, (epoch, begin), after, epoch + begin / stop, number=number)
            epoch, turn = epoch + 1, 0

    def visits(self, epoch: int, turn: int) -> Iterator[tuple[int, Visit]]:
        """Yields (epoch, visit) of all reads of this rank for `steps(epoch, turn)`, in the order of need."""
        while self.epochs is None or epoch < self.epochs:
            plan, stop = self.plan(epoch), self.num_turns(epoch)
            dropped = plan.positions(np.arange(stop, plan.num_turns, dtype=np.int64))
            for visit in plan.visits(turn, self.world):
                wanted = visit.positions[~np.isin(visit.positions, dropped)] if len(dropped) else visit.positions
                if len(wanted):
                    yield epoch, Visit(wanted, visit.turn)
            epoch, turn = epoch + 1, 0
