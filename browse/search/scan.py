"""Walks over the shards of a corpus in order, until a page of samples is found or the time is used up."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from tagmill.browse.search.cursor import Cursor
from tagmill.browse.search.matchers import AnySample, Hit, Matcher
from tagmill.browse.search.snapshot import Snapshot
from tagmill.shards.errors import ConfigError, TagmillError
from tagmill.shards.many_requests import in_order

SEARCH_SECONDS = 5.0  # that one page reads without finding enough
BLOCKS_AT_ONCE = 8  # of a remote store
ERRORS_SHOWN = 5


@dataclass(frozen=True)
class Found:
    """One page of a search."""

    hits: list[Hit]
    after: Cursor | None  # where the search goes on; None at the end of the corpus
    searched: float  # share of the corpus that is searched now, 0 to 1
    unreadable: int = 0  # parts of shards that could not be read
    errors: list[str] = field(default_factory=list)  # the first of them


@dataclass(frozen=True)
class _Block:
    """Samples [start, stop) of a shard."""

    shard: int
    start: int
    stop: int


def scan(
    snapshot: Snapshot,
    matcher: Matcher,
    begin: Cursor,
    most: int,
    *,
    among: Sequence[int] = (),
    among_until: int = 0,
    seconds: float | None = SEARCH_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Found:
    """Returns the first `most` samples from `begin` on that match.

    Of the shards before number `among_until` only those in `among`, ascending, are read: an index says that no other one
    has any. Ends after the block during which `seconds` of `clock` are used up (None: never); at least one block is read,
    so that each page goes on. A shard that cannot be read is counted and passed over.
    """
    if begin.shard > snapshot.num_shards:
        raise ConfigError(f"no shard number {begin.shard}", "from", "follow the links of the first page")
    began, hits, errors, unreadable = clock(), list[Hit](), list[str](), 0
    blocks = _blocks(snapshot, begin, matcher.block, among, among_until)
    remote = snapshot.corpus.store.root is None and not isinstance(matcher, AnySample)
    examine = partial(_examined, snapshot, matcher, most)
    with closing(in_order(examine, blocks, BLOCKS_AT_ONCE if remote else 1)) as results:
        for block, found in results:
            if isinstance(found, TagmillError):
                unreadable += 1
                errors += [str(found)] if len(errors) < ERRORS_SHOWN else []
                found = []
            hits += found[: most - len(hits)]
            full = len(hits) == most
            if full or (seconds is not None and clock() - began >= seconds):
                ordinal = hits[-1].ordinal + 1 if full and found else block.stop
                after = _next(snapshot, Cursor(block.shard, ordinal), among, among_until)
                return Found(hits, after, _share(snapshot, after), unreadable, errors)
    return Found(hits, None, 1.0, unreadable, errors)


def _examined(
    snapshot: Snapshot, matcher: Matcher, most: int, block: _Block
) -> tuple[_Block, list[Hit] | TagmillError]:
    try:
        return block, matcher.find(snapshot, block.shard, block.start, block.stop, most)
    except TagmillError as error:
        return block, error


def _shards(snapshot: Snapshot, begin: int, among: Sequence[int], among_until: int) -> Iterator[int]:
    listed = (shard for shard in among if begin <= shard < min(among_until, snapshot.num_shards))
    return chain(listed, range(max(begin, among_until), snapshot.num_shards))


def _blocks(snapshot: Snapshot, begin: Cursor, size: int, among: Sequence[int], among_until: int) -> Iterator[_Block]:
    for shard in _shards(snapshot, begin.shard, among, among_until):
        samples = snapshot.corpus.entry(shard).samples
        for start in range(begin.ordinal if shard == begin.shard else 0, samples, size):
            yield _Block(shard, start, min(start + size, samples))


def _next(snapshot: Snapshot, cursor: Cursor, among: Sequence[int], among_until: int) -> Cursor | None:
    """Returns the cursor, or the beginning of the next shard if it is at the end of its own; None if there is none."""
    if cursor.ordinal < snapshot.corpus.entry(cursor.shard).samples:
        return cursor
    following = next(_shards(snapshot, cursor.shard + 1, among, among_until), None)
    return None if following is None else Cursor(following)


def _share(snapshot: Snapshot, after: Cursor | None) -> float:
    if after is None:
        return 1.0
    return (int(snapshot.before[after.shard]) + after.ordinal) / max(1, int(snapshot.before[-1]))
