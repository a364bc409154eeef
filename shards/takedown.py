"""The takedown list of a corpus: the rules for what must not be in it, the samples that match, and those that are
purged.

A list is an append-only table, so each version contains the one before. It takes effect when `corpus.json` names it;
the shards' manifest, and so every view, order and saved state, stays unchanged.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tagmill.shards.arrays import Ordinals
from tagmill.shards.errors import CorpusError
from tagmill.shards.formats.parquet import read_table, table_bytes
from tagmill.shards.formats.record import sha256_hex

TAKEN_DOWN = "taken_down"  # the reason of a hole, and of a reject
RULES = ("key", "sha256", "url", "host", "pdq")
SAMPLE, PURGE, PURGED = "sample", "purge", "purged"

# The columns used depend on the kind. A rule has `value`; for a URL it is the sha256 of the normalised URL, so that a
# published list does not lead to the content. A sample has `shard`, `ordinal`, its key as `value` and the kind of the
# matching rule as `by`. PURGE says that the samples listed before it are being removed from a shard, PURGED that they
# are removed.
LIST = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("value", pa.string()),
        pa.field("distance", pa.int32()),  # bits of a PDQ hash that may differ
        pa.field("by", pa.string()),
        pa.field("shard", pa.string()),
        pa.field("ordinal", pa.int32()),
        pa.field("tar_sha256", pa.string()),
        pa.field("table_sha256", pa.string()),
        pa.field("note", pa.string()),
        pa.field("at", pa.string(), nullable=False),  # time at which the row was added, given by the command
    ]
)

NONE = np.empty(0, np.uint32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of LIST."""

    kind: str
    at: str
    value: str | None = None
    distance: int | None = None
    by: str | None = None
    shard: str | None = None
    ordinal: int | None = None
    tar_sha256: str | None = None
    table_sha256: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class PurgedShard:
    """The digests of a shard's tar and table after its last purge, which replace those of the manifest."""

    tar_sha256: str
    table_sha256: str


@dataclass(frozen=True)
class Takedown:
    """One generation of a corpus's list; without a list, an empty one."""

    table: pa.Table = field(default_factory=LIST.empty_table)

    @classmethod
    def parse(cls, data: bytes, where: str) -> "Takedown":
        """Parses a list. Raises CorpusError for other bytes."""
        try:
            return cls(read_table(data, LIST.names).select(LIST.names).cast(LIST))
        except (pa.ArrowException, KeyError, ValueError) as error:
            remedy = "read it with the tagmill version that wrote it"
            raise CorpusError(f"not a takedown list: {error}", where, remedy) from error

    def data(self) -> bytes:
        """Returns the list as a Parquet file."""
        return table_bytes(self.table.to_pylist(), LIST)

    def with_rows(self, rows: Sequence[Row]) -> "Takedown":
        """Returns the list with `rows` appended."""
        return Takedown(pa.concat_tables([self.table, pa.Table.from_pylist([asdict(row) for row in rows], LIST)]))

    def holds(self, other: "Takedown") -> bool:
        """Returns whether `other` is this list or an earlier version of it."""
        return bool(self.table.slice(0, len(other.table)).equals(other.table))

    def rows(self, kinds: Iterable[str]) -> list[dict[str, Any]]:
        """Returns the rows of some kinds as plain values, in order."""
        found: list[dict[str, Any]] = self.table.filter(pc.is_in(self.table["kind"], pa.array(kinds))).to_pylist()
        return found

    def ordinals(self, shard: str) -> Ordinals:
        """Returns the samples of a shard that are taken down, ascending: they must not be delivered, and their repeat
        in a view is 0."""
        found = self._samples.get(shard)
        return NONE if found is None else found[0]

    def purged(self, shard: str) -> Ordinals:
        """Returns the taken-down samples whose bytes and facts are removed, ascending."""
        return self._before(shard, self._purges[shard][0]) if shard in self._purges else NONE

    def purging(self, shard: str) -> Ordinals:
        """Returns the samples that the last purge, finished or not, has removed or will remove, ascending."""
        return self._before(shard, self._begun.get(shard, 0))

    def _before(self, shard: str, row: int) -> Ordinals:
        ordinals, rows = self._samples[shard]
        return ordinals[rows < row]

    def digests(self, shard: str) -> PurgedShard | None:
        """Returns the digests of a shard after a purge; None if it was never purged."""
        return self._purges[shard][1] if shard in self._purges else None

    @cached_property
    def shards(self) -> dict[str, Ordinals]:
        """Returns `ordinals` for every shard that has any."""
        return {shard: ordinals for shard, (ordinals, _) in sorted(self._samples.items())}

    @cached_property
    def unfinished(self) -> frozenset[str]:
        """Shards from which samples are being removed, until the command has finished."""
        open_ = set[str]()
        for _, row in self._steps:
            (open_.add if row["kind"] == PURGE else open_.discard)(row["shard"])
        return frozenset(open_)

    @property
    def num_samples(self) -> int:
        return sum(len(ordinals) for ordinals, _ in self._samples.values())

    @property
    def num_purged(self) -> int:
        return sum(len(self.purged(shard)) for shard in self._samples)

    @cached_property
    def samples_sha256(self) -> str | None:
        """Digest of the set of samples taken down, independent of time and reason; None if the set is empty. A view's
        recipe holds it."""
        text = "".join(f"{shard} {ordinals.tolist()}\n" for shard, ordinals in self.shards.items())
        return sha256_hex(text.encode()) if text else None

    @cached_property
    def _samples(self) -> dict[str, tuple[Ordinals, npt.NDArray[np.int64]]]:
        """By shard: ordinals, ascending, and the row that first listed each."""
        rows = np.flatnonzero(pc.equal(self.table["kind"], SAMPLE).to_numpy())
        if not len(rows):
            return {}
        listed = self.table.take(pa.array(rows))
        coded = listed["shard"].combine_chunks().dictionary_encode()
        shards, ordinals = coded.indices.to_numpy(), listed["ordinal"].to_numpy()
        order = np.lexsort([rows, ordinals, shards])
        shards, ordinals, rows = shards[order], ordinals[order].astype(np.uint32), rows[order]
        first = np.ones(len(rows), np.bool_)
        first[1:] = (np.diff(shards) != 0) | (np.diff(ordinals) != 0)
        shards, ordinals, rows = shards[first], ordinals[first], rows[first]
        cuts = np.flatnonzero(np.diff(shards)) + 1
        names = [coded.dictionary[int(code)].as_py() for code in shards[np.append(0, cuts)]]
        return dict(zip(names, zip(np.split(ordinals, cuts), np.split(rows, cuts), strict=True), strict=True))

    @cached_property
    def _purges(self) -> dict[str, tuple[int, PurgedShard]]:
        """By shard: the row that began its last finished purge, and the digests after it."""
        begun, found = dict[str, int](), dict[str, tuple[int, PurgedShard]]()
        for number, row in self._steps:
            if row["kind"] == PURGE:
                begun[row["shard"]] = number
            else:
                digests = PurgedShard(row["tar_sha256"], row["table_sha256"])
                found[row["shard"]] = (begun[row["shard"]], digests)
        return found

    @cached_property
    def _begun(self) -> dict[str, int]:
        """By shard: the row that began its last purge."""
        return {row["shard"]: number for number, row in self._steps if row["kind"] == PURGE}

    @cached_property
    def _steps(self) -> list[tuple[int, dict[str, Any]]]:
        """The rows about purges, with their numbers."""
        numbers = np.flatnonzero(pc.is_in(self.table["kind"], pa.array([PURGE, PURGED])).to_numpy()).tolist()
        return list(zip(numbers, self.rows((PURGE, PURGED)), strict=True))
