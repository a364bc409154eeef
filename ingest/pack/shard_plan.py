"""Plans which samples go into which shard, from their sizes, before anything is packed."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.shards.errors import ConfigError
from tagmill.shards.side_tables import label

log = logging.getLogger(__name__)
Sizes = npt.NDArray[np.int64]

TAR_RECORD = 10_240  # bytes: a tar ends with two empty blocks and is padded to whole records (POSIX ustar)
TAR_END = 1_024
_LARGER = "give a larger --shard-samples or --shard-bytes"
MOST_SHARDS = 1_000_000  # names have six digits, so that names sort in the order of shards


@dataclass(frozen=True)
class ShardPlan:
    """A shard before it exists; `sample_bytes` is the size of its members, without the end of the tar."""

    name: str
    samples: int
    sample_bytes: int


@dataclass(frozen=True)
class Before:
    """What an extended corpus has already, so that numbers go on: its runs, and its shards by split."""

    runs: int = 0
    train: int = 0
    holdout: int = 0


NOTHING_BEFORE = Before()


@dataclass(frozen=True)
class GroupSizes:
    """The sizes in bytes of a pack group's samples, with their facts and headers, in order of (part, place)."""

    parts: tuple[int, ...]
    train: Sizes
    heldout: Sizes


@dataclass(frozen=True)
class GroupPlan:
    """A pack group: its samples, in order of (part, place), fill its shards, which have no samples of other groups.

    A group has the train samples of consecutive parts. The last group has all held-out samples, which the others put
    aside, and no parts.
    """

    label: str  # '000000' or 'holdout', in a later run 'extend-000001-000000'
    split: str
    parts: tuple[int, ...]
    shards: tuple[ShardPlan, ...]


def tar_bytes(sample_bytes: int) -> int:
    """Returns the size of a tar whose members have `sample_bytes`."""
    return -(-(sample_bytes + TAR_END) // TAR_RECORD) * TAR_RECORD


def roll(sizes: Sizes, max_samples: int, max_bytes: int) -> Iterator[tuple[int, int]]:
    """Yields (samples, bytes) of one shard after the other; each takes as many samples as fit, and at least one.

    A shard has at most `max_samples` samples, and its tar at most `max_bytes` bytes unless it has only one sample.
    """
    available = max_bytes // TAR_RECORD * TAR_RECORD - TAR_END
    running = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    start = 0
    while start < len(sizes):
        fitting = int(np.searchsorted(running, running[start] + available, side="right")) - 1
        stop = min(max(fitting, start + 1), start + max_samples, len(sizes))
        yield stop - start, int(running[stop] - running[start])
        start = stop


def plan(
    groups: Iterable[GroupSizes], *, max_samples: int, max_bytes: int, before: Before = NOTHING_BEFORE
) -> list[GroupPlan]:
    """Plans all groups, the held-out one last if it has samples. Shards of a split are numbered across groups.

    Raises ConfigError where there would be more than MOST_SHARDS.
    """
    plans = []
    number = before.train
    heldout = [np.empty(0, np.int64)]
    for ordinal, group in enumerate(groups):
        shards = []
        for samples, size in roll(group.train, max_samples, max_bytes):
            shards.append(ShardPlan(f"{number:06d}", samples, size))
            number += 1
        plans.append(GroupPlan(label(before.runs, f"{ordinal:06d}"), "train", group.parts, tuple(shards)))
        heldout.append(group.heldout)
    rolled = enumerate(roll(np.concatenate(heldout), max_samples, max_bytes), before.holdout)
    apart = tuple(ShardPlan(f"holdout-{ordinal:06d}", samples, size) for ordinal, (samples, size) in rolled)
    if apart:
        plans.append(GroupPlan(label(before.runs, "holdout"), "holdout", (), apart))
    if max(number, before.holdout + len(apart)) > MOST_SHARDS:
        what = f"{max(number, before.holdout + len(apart)):,} shards, {MOST_SHARDS:,} is the limit"
        raise ConfigError(what, "--shard-samples, --shard-bytes", f"{_LARGER}; nothing is fetched again")
    return plans


def check_partitions(config: IngestConfig, rows: int, num_parts: int, before: Before = NOTHING_BEFORE) -> None:
    """Checks later stages as soon as rows are counted, before they are fetched.

    Raises ConfigError where all rows would be held out; warns where there may be too many shards.
    """
    if 0 < rows <= config.holdout and not config.extend:
        remedy = "hold out fewer, or give a longer list"
        raise ConfigError(f"holdout {config.holdout} takes all of {rows} rows", "--holdout", remedy)
    most = before.train + max(-(-rows // config.shard_samples), -(-num_parts // config.parts_per_group))
    if most > MOST_SHARDS:
        log.warning(
            "there may be %s shards, and packing fails above %s: %s (also possible later)",
            *(f"{most:,}", f"{MOST_SHARDS:,}", _LARGER),
        )
