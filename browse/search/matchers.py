"""What a search looks for, and how a part of a shard is examined for it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol
from urllib.parse import urlsplit

import numpy as np
import pyarrow.parquet as pq

from tagmill.browse.search.snapshot import Snapshot
from tagmill.ingest import clean
from tagmill.shards.errors import CorpusError, IntegrityError
from tagmill.shards.formats.shard_index import key_bytes
from tagmill.shards.reader import ShardReader
from tagmill.shards.view import View

BLOCK = 1 << 16  # samples whose labels or keys are read at a time
TABLE_ROWS = 4096  # rows of a shard's table in memory
NOTE_WORDS = 8  # labels or tags beside a picture


@dataclass(frozen=True)
class Hit:
    """A sample that was found, and what is written below its picture."""

    shard: int
    name: str  # of the shard
    ordinal: int
    note: str = ""


class Matcher(Protocol):
    """Examines samples for one thing."""

    @property
    def block(self) -> int:
        """Samples that one call of `find` is given at most."""

    def find(self, snapshot: Snapshot, shard: int, start: int, stop: int, most: int) -> list[Hit]:
        """Returns the first `most` samples of [start, stop) in a shard that match, in order. Raises CorpusError if the
        shard cannot be read."""


def allowed(snapshot: Snapshot, shard: int, ordinals: Iterable[int]) -> Iterator[int]:
    """Yields those of the samples of a shard that are not taken down."""
    taken = set(snapshot.corpus.takedown.ordinals(snapshot.corpus.entry(shard).name).tolist())
    return (ordinal for ordinal in ordinals if ordinal not in taken)


def _hits(snapshot: Snapshot, shard: int, ordinals: Iterable[int], most: int, note: Callable[[int], str]) -> list[Hit]:
    name, found = snapshot.corpus.entry(shard).name, list[Hit]()
    for ordinal in allowed(snapshot, shard, ordinals):
        found.append(Hit(shard, name, ordinal, note(ordinal)))
        if len(found) == most:
            break
    return found


def label_note(view: View, ids: Iterable[int]) -> str:
    """Returns the names of labels, for the text below a picture."""
    labels = view.vocabulary.labels
    names = [labels[number].name for number in ids if 0 <= number < len(labels)]
    more = f" +{len(names) - NOTE_WORDS}" if len(names) > NOTE_WORDS else ""
    return ", ".join(names[:NOTE_WORDS]) + more


@dataclass(frozen=True)
class AnySample:
    """All samples, with their labels in a view; without one, no text."""

    view: str | None = None
    block: int = 256  # a page takes the first of them

    def find(self, snapshot: Snapshot, shard: int, start: int, stop: int, most: int) -> list[Hit]:
        ordinals = list(allowed(snapshot, shard, range(start, stop)))[:most]
        if self.view is None or not ordinals:
            return _hits(snapshot, shard, ordinals, most, lambda ordinal: "")
        view, last = snapshot.view(self.view), ordinals[-1] + 1
        rows = view.labels(shard, start, last)
        return _hits(snapshot, shard, ordinals, most, lambda ordinal: label_note(view, rows[ordinal - start].tolist()))


@dataclass(frozen=True)
class WithLabel:
    """Samples that have at least one of some labels of a view."""

    view: str
    ids: tuple[int, ...]
    block: int = BLOCK

    def find(self, snapshot: Snapshot, shard: int, start: int, stop: int, most: int) -> list[Hit]:
        view = snapshot.view(self.view)
        rows = view.labels(shard, start, stop)
        same = rows == self.ids[0] if len(self.ids) == 1 else np.isin(rows, self.ids)
        matched = np.flatnonzero(same.any(axis=1))
        ordinals = (start + int(row) for row in matched)
        return _hits(snapshot, shard, ordinals, most, lambda ordinal: label_note(view, rows[ordinal - start].tolist()))


@dataclass(frozen=True)
class WithKey:
    """The samples whose key begins with some hex digits, an even number of them."""

    key: str
    block: int = BLOCK

    @cached_property
    def _digits(self) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        return key_bytes(self.key)

    def find(self, snapshot: Snapshot, shard: int, start: int, stop: int, most: int) -> list[Hit]:
        keys = ShardReader.of(snapshot.corpus, snapshot.corpus.entry(shard)).index(start, stop)["key"]
        matched = np.flatnonzero((keys[:, : len(self._digits)] == self._digits).all(axis=1))
        return _hits(
            snapshot,
            shard,
            (start + int(row) for row in matched),
            most,
            lambda ordinal: bytes(keys[ordinal - start]).hex(),
        )


class _InTable:
    """Samples by a column of their shard's table, which is read whole."""

    block = 1 << 40
    column: str

    def find(self, snapshot: Snapshot, shard: int, start: int, stop: int, most: int) -> list[Hit]:
        notes = dict[int, str]()
        taken = set(snapshot.corpus.takedown.ordinals(snapshot.corpus.entry(shard).name).tolist())
        for ordinal, value in column_values(snapshot, shard, self.column):
            if start <= ordinal < stop and ordinal not in taken and (note := self.match(value)) is not None:
                notes[ordinal] = note
                if len(notes) == most:
                    break
        return _hits(snapshot, shard, notes, most, notes.__getitem__)

    def match(self, value: object) -> str | None:
        """Returns what is written below the picture if a value of the column matches, else None."""
        raise NotImplementedError


@dataclass(frozen=True)
class WithTag(_InTable):
    """Samples with a tag whose token is that of another one: `#Brown Bear` finds `brownbear`."""

    token: str
    column = "tags"

    def match(self, value: object) -> str | None:
        tags = value if isinstance(value, list) else []
        if not any(self._is_it(tag) for tag in tags):
            return None
        return ", ".join(map(str, tags[:NOTE_WORDS]))

    def _is_it(self, tag: str) -> bool:
        known = self._known.get(tag)
        if known is None:
            known = clean(tag) == self.token
            if len(self._known) < 1 << 16 and len(tag) < 1 << 8:  # the cache is bounded, whatever the tags are
                self._known[tag] = known
        return known

    @cached_property
    def _known(self) -> dict[str, bool]:
        return {}


@dataclass(frozen=True)
class FromHost(_InTable):
    """Samples whose URL has a host, or a host below it: `example.org` finds `img.example.org`."""

    host: str
    column = "url"

    def match(self, value: object) -> str | None:
        found = host_in(value) if isinstance(value, str) else ""
        return str(value) if found == self.host or found.endswith(f".{self.host}") else None


def host_in(url: str) -> str:
    """Returns the host of a URL in lower case, without port; empty for a path or a malformed URL."""
    try:
        return (urlsplit(url[:2048]).hostname or "").rstrip(".")
    except ValueError:
        return ""


def column_values(snapshot: Snapshot, shard: int, column: str) -> Iterator[tuple[int, object]]:
    """Yields (ordinal, value) of a column of a shard's table; only its bytes are read. Raises CorpusError for a table
    that is missing, or is not the shard's."""
    line = snapshot.corpus.entry(shard)
    name = f"shards/{line.name}.parquet"
    where = f"{snapshot.corpus.store.url}/{name}"
    try:
        with snapshot.corpus.store.open(name) as file:
            table = pq.ParquetFile(file, pre_buffer=False)
            if table.metadata.num_rows != line.samples:
                raise IntegrityError("the table is not this shard's", where, "restore it")
            ordinal = 0
            for batch in table.iter_batches(TABLE_ROWS, columns=[column], use_threads=False):
                for value in batch.column(0).to_pylist():
                    yield ordinal, value
                    ordinal += 1
    except FileNotFoundError as error:
        raise IntegrityError("missing from the corpus", where, "restore it") from error
    except (OSError, ValueError, KeyError, IndexError) as error:  # Arrow's errors are among these
        raise CorpusError(f"not a table of facts: {error}", where, "restore it") from error
