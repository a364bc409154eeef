"""A view: a labelling of a corpus (labels, repeats, exclusions) that never rewrites an image. Defines its files and
reads them.

Repeats are integers in units of 2^-16. Run j of a shard is its samples with at least j + 1 whole copies, in tar order;
a sample's fraction gives it an extra copy in some epochs, so that every epoch's total is exact (see `extra_offset`).
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tagmill.shards.arrays import Int32s, Int64s, Ordinals
from tagmill.shards.errors import CorpusError, IntegrityError
from tagmill.shards.formats.npy import check_size, npy_bytes, read_rows
from tagmill.shards.formats.parquet import table_bytes
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.formats.shard_facts import facts_dtype, first_row, make_facts, num_rows
from tagmill.shards.formats.shared_tables import parquet_batches, row_of, shared_table
from tagmill.shards.manifest import Corpus, Named, ShardEntry, read_named
from tagmill.shards.storage.node_cache import identity_of
from tagmill.shards.storage.store import Store
from tagmill.shards.vocabulary import Vocabulary

ONE = 1 << 16  # a repeat of one
STRIDE = 256  # every STRIDE-th fraction is copied to the front of extras.npy, so that one small read finds the offset
LINES_KEPT = 1024
EXTRA = np.dtype([("ordinal", "<u4"), ("running", "<u8")])

VIEW_SHARDS = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("samples", pa.int64(), nullable=False),
        # numbers of samples with at least j + 1 whole copies, by j
        pa.field("counts", pa.list_(pa.int64()), nullable=False),
        pa.field("fractions", pa.int64(), nullable=False),  # number of samples with a fraction
        pa.field("fraction_sum", pa.int64(), nullable=False),  # units of 2^-16
        pa.field("labels_sha256", pa.string(), nullable=False),
        pa.field("runs_sha256", pa.string()),  # null if every run is every sample
        pa.field("extras_sha256", pa.string()),  # null if no sample has a fraction
        pa.field("facts_sha256", pa.string()),  # null if none were written, as in views of earlier versions
    ]
)


# The decoded columns that planning and reading need.
VIEW_TABLE = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("samples", pa.int64(), nullable=False),
        pa.field("counts", pa.list_(pa.int32()), nullable=False),
        pa.field("fractions", pa.int64(), nullable=False),
        pa.field("fraction_sum", pa.int64(), nullable=False),
        pa.field("listed", pa.bool_(), nullable=False),
        pa.field("facts", pa.bool_(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class ViewLine:
    """The columns of a view's `shards.parquet` that reading one shard needs."""

    name: str
    samples: int
    counts: list[int]
    fractions: int
    fraction_sum: int
    listed: bool  # runs.npy exists; else every run is every sample
    facts: bool  # facts.npy exists


@dataclass(frozen=True)
class ViewShard:
    """One shard's line in a view's `shards.parquet`."""

    name: str
    split: str
    samples: int
    counts: list[int]
    fractions: int
    fraction_sum: int
    labels_sha256: str
    runs_sha256: str | None
    extras_sha256: str | None
    facts_sha256: str | None = None


@dataclass(frozen=True)
class ViewFile:
    """The content of `view.json`. `recipe` holds all inputs of the labels; its digest names the folder."""

    name: str
    manifest_sha256: str
    vocabulary_sha256: str
    shards_sha256: str
    max_labels: int  # K, the columns of every labels.npy
    seed: int
    totals: dict[str, int]
    recipe: dict[str, Any]


def extra_offset(seed: int, epoch: int) -> int:
    """Returns u_e: with F the running sum of fractions in corpus order, a sample gets an extra copy in epoch e exactly
    if floor((F + fraction + u_e) / 2^16) > floor((F + u_e) / 2^16)."""
    first = int.from_bytes(hashlib.sha256(seed.to_bytes(8, "little", signed=True)).digest()[:2], "big")
    return (first + 40503 * epoch) % ONE


def recipe_folder(name: str, recipe: dict[str, Any]) -> str:
    """Returns `views/NAME/<sha12>`: known before a label is written, so that shards are labelled in parallel and
    streamed."""
    digest = sha256_hex(json.dumps(recipe, sort_keys=True, separators=(",", ":")).encode())
    return f"views/{name}/{digest[:12]}"


def put_shard_labels(
    store: Store,
    folder: str,
    entry: ShardEntry,
    labels: Int32s,
    repeats: Int64s,
    index: npt.NDArray[Any] | None = None,
) -> ViewShard:
    """Writes one shard's labels [samples, K] (-1 padded) and repeats [samples] (units of 2^-16, 0 excludes); with its
    `index` (INDEX [samples]) the facts too."""
    if labels.ndim != 2 or len(labels) != entry.samples or repeats.shape != (entry.samples,):
        what = f"labels {labels.shape} and repeats {repeats.shape} for {entry.samples} samples"
        raise CorpusError(what, entry.name, "make the view again")
    if repeats.min(initial=0) < 0:
        raise CorpusError("a negative repeat", entry.name, "0 excludes a sample")
    whole, fraction = repeats >> 16, repeats & (ONE - 1)
    runs = [np.flatnonzero(whole > copy).astype("<u4") for copy in range(int(whole.max(initial=0)))]
    digests: dict[str, str | None] = {"runs": None, "extras": None, "facts": None}
    files = {"labels": npy_bytes(labels.astype("<i4"))}
    if any(len(run) != entry.samples for run in runs):
        files["runs"] = npy_bytes(np.concatenate(runs))
    with_fraction = np.flatnonzero(fraction)
    if len(with_fraction):
        files["extras"] = npy_bytes(_extras(with_fraction, fraction[with_fraction]))
    facts = None if index is None else make_facts(index, labels, runs, with_fraction)
    if facts is not None:
        files["facts"] = npy_bytes(facts)
    for kind, data in files.items():
        store.put(f"{folder}/{entry.name}.{kind}.npy", data)
        digests[kind] = sha256_hex(data)
    return ViewShard(
        name=entry.name,
        split=entry.split,
        samples=entry.samples,
        counts=[len(run) for run in runs],
        fractions=len(with_fraction),
        fraction_sum=int(fraction.sum()),
        labels_sha256=str(digests["labels"]),
        runs_sha256=digests["runs"],
        extras_sha256=digests["extras"],
        facts_sha256=digests["facts"],
    )


def _extras(ordinals: npt.NDArray[np.intp], fractions: Int64s) -> npt.NDArray[Any]:
    rows = np.empty(len(ordinals), EXTRA)
    rows["ordinal"], rows["running"] = ordinals, np.cumsum(fractions)
    return np.concatenate([rows[::STRIDE], rows])


def put_view(
    store: Store,
    name: str,
    recipe: dict[str, Any],
    manifest: Named,
    vocabulary: Vocabulary,
    shards: list[ViewShard],
    *,
    max_labels: int,
    seed: int,
) -> Named:
    """Completes a view whose shards are labelled: writes the vocabulary, the shard table, then `view.json`, which names
    them by digest."""
    folder = recipe_folder(name, recipe)
    columns = [field for field in VIEW_SHARDS if field.name != "facts_sha256" or any(s.facts_sha256 for s in shards)]
    table = table_bytes([asdict(shard) for shard in shards], pa.schema(columns))
    store.put(f"{folder}/vocabulary.json", vocabulary.json())
    store.put(f"{folder}/shards.parquet", table)
    totals = {
        "samples": sum(shard.samples for shard in shards),
        "selected": sum(shard.counts[0] if shard.counts else 0 for shard in shards),
        "copies": sum(sum(shard.counts) for shard in shards if shard.split == "train"),
        "labels": len(vocabulary),
    }
    file = ViewFile(
        name=name,
        manifest_sha256=manifest.sha256,
        vocabulary_sha256=sha256_hex(vocabulary.json()),
        shards_sha256=sha256_hex(table),
        max_labels=max_labels,
        seed=seed,
        totals=totals,
        recipe=recipe,
    )
    data = json.dumps(asdict(file), indent=2, sort_keys=True).encode() + b"\n"
    store.put(f"{folder}/view.json", data)
    return Named(f"{folder}/view.json", sha256_hex(data))


@dataclass(frozen=True)
class View:
    """A view for reading, pinned by its digest. Shards are addressed by their number in the corpus order."""

    store: Store  # store of the view's own folder
    file: ViewFile
    digest: bytes  # sha256 of view.json
    cache: Path | None = None  # folder of shared tables, as the corpus's

    @classmethod
    def open(cls, corpus: Corpus, name: str) -> "View":
        """Opens a view. Raises CorpusError if the corpus has no view of that name, or it was made for another corpus."""
        named = corpus.file.views.get(name)
        if named is None:
            known = ", ".join(sorted(corpus.file.views)) or "none"
            raise CorpusError(f"no view {name!r}", corpus.store.url, f"the corpus has: {known}")
        data = read_named(corpus.store, named, corpus.cache)
        folder = corpus.store.within(named.path.rpartition("/")[0])
        try:
            file = ViewFile(**json.loads(data))
        except (ValueError, TypeError) as error:
            raise CorpusError(f"not a view: {error}", folder.url, "make the view again") from error
        if file.manifest_sha256 != corpus.file.manifest.sha256:
            raise CorpusError(f"view {name!r} was made for another corpus", folder.url, "make the view again")
        return cls(folder, file, bytes.fromhex(named.sha256), corpus.cache)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        data = read_named(self.store, Named("vocabulary.json", self.file.vocabulary_sha256), self.cache)
        return Vocabulary.parse(data, f"{self.store.url}/vocabulary.json")

    @cached_property
    def table(self) -> pa.Table:
        """The columns of the shard table that reading needs (schema LINES), checked against its digest when it is
        decoded."""
        named = self._named_shards
        return shared_table(
            self.cache, f"view-{named.sha256}", VIEW_TABLE, lambda: _decoded(read_named(self.store, named))
        )

    @property
    def _named_shards(self) -> Named:
        return Named("shards.parquet", self.file.shards_sha256)

    @cached_property
    def shards(self) -> list[ViewShard]:
        """All shards, held-out ones last, as in the manifest."""
        batches = parquet_batches(read_named(self.store, self._named_shards), VIEW_SHARDS)
        return [ViewShard(**row) for batch in batches for row in batch.to_pylist()]

    def shard(self, number: int) -> ViewLine:
        """Returns one shard's line. Recent lines are cached, because a read needs its shard's several times."""
        found = self._lines.get(number)
        if found is None:
            if len(self._lines) >= LINES_KEPT:
                self._lines.clear()
            found = self._lines[number] = ViewLine(**row_of(self.table, number))
        return found

    def _identity(self, name: str) -> str:
        return identity_of(self.digest, name)

    @cached_property
    def _lines(self) -> dict[int, ViewLine]:
        return {}

    def check(self, shard: int) -> None:
        """Raises IntegrityError unless the shard's files have the expected sizes (checked at the first read)."""
        line = self.shard(shard)
        check_size(self.store, f"{line.name}.labels.npy", np.dtype("<i4"), (line.samples, self.file.max_labels))
        if line.listed:
            check_size(self.store, f"{line.name}.runs.npy", np.dtype("<u4"), (sum(line.counts),))
        if line.fractions:
            check_size(self.store, f"{line.name}.extras.npy", EXTRA, (_extra_rows(line.fractions),))
        if line.facts:
            rows = num_rows(line.counts, line.fractions)
            check_size(self.store, f"{line.name}.facts.npy", facts_dtype(self.file.max_labels), (rows,))

    def labels(self, shard: int, start: int, stop: int) -> Int32s:
        """Reads the label ids of samples [start, stop) of a shard: int32 [stop - start, K], -1 padded."""
        line = self.shard(shard)
        name, shape = f"{line.name}.labels.npy", (line.samples, self.file.max_labels)
        return read_rows(self.store, name, np.dtype("<i4"), shape, start, stop, self._identity(name))

    def run(self, shard: int, copy: int, start: int, stop: int) -> Ordinals:
        """Reads the ordinals at offsets [start, stop) of run `copy` of a shard."""
        line = self._checked(shard, copy, start, stop)
        if not line.listed:
            return np.arange(start, stop, dtype=np.uint32)
        before = sum(line.counts[:copy])
        name, total = f"{line.name}.runs.npy", sum(line.counts)
        return read_rows(
            self.store, name, np.dtype("<u4"), (total,), before + start, before + stop, self._identity(name)
        )

    def _checked(self, shard: int, copy: int, start: int, stop: int) -> ViewLine:
        """Returns the shard's line. Raises IntegrityError for offsets outside the run."""
        line = self.shard(shard)
        length = line.counts[copy] if copy < len(line.counts) else 0
        if not 0 <= start <= stop <= length:
            where = f"{self.store.url}/{line.name}"
            raise IntegrityError(
                f"offsets {start}-{stop} of {length} in run {copy}", where, "the tables disagree: run lint"
            )
        return line

    def facts(self, shard: int, copy: int, start: int, stop: int) -> npt.NDArray[Any] | None:
        """Reads the facts (see `shard_facts`) at offsets [start, stop) of run `copy` of a shard, in one ranged read;
        None if the view has none of this shard."""
        line = self._checked(shard, copy, start, stop)
        first = first_row(line.counts, copy)
        return self._facts(line, first + start, first + stop) if line.facts else None

    def _facts(self, line: ViewLine, start: int, stop: int) -> npt.NDArray[Any]:
        name, rows = f"{line.name}.facts.npy", num_rows(line.counts, line.fractions)
        dtype = facts_dtype(self.file.max_labels)
        return read_rows(self.store, name, dtype, (rows,), start, stop, self._identity(name))

    def extra_facts(self, shard: int, before: int, start: int, stop: int) -> npt.NDArray[Any] | None:
        """Reads the facts of extras [start, stop) as `extras` finds them; None if the view has none of this shard."""
        line = self.shard(shard)
        if not line.facts:
            return None
        numbers, _ = self._extra_numbers(line, before, start, stop)
        if not len(numbers):
            return np.empty(0, facts_dtype(self.file.max_labels))
        base, first = first_row(line.counts, len(line.counts)), int(numbers[0])
        return self._facts(line, base + first, base + int(numbers[-1]) + 1)[numbers - first]

    def extras(self, shard: int, before: int, start: int, stop: int) -> Ordinals:
        """Reads the ordinals of extras [start, stop) of a shard in an epoch; `before` = fractions of all earlier shards
        + u_e.

        Extra k is the first sample whose running sum reaches the (k + 1)-th multiple of 2^16 after `before`.
        """
        return self._extra_numbers(self.shard(shard), before, start, stop)[1]

    def fractional(self, shard: int) -> Ordinals:
        """Reads the ordinals of all samples of a shard with a fraction."""
        line = self.shard(shard)
        if not line.fractions:
            return np.empty(0, np.uint32)
        name, total = f"{line.name}.extras.npy", _extra_rows(line.fractions)
        front = total - line.fractions
        rows = read_rows(self.store, name, EXTRA, (total,), front, total, self._identity(name))
        return np.asarray(rows["ordinal"])

    def _extra_numbers(self, line: ViewLine, before: int, start: int, stop: int) -> tuple[Int64s, Ordinals]:
        """Returns the number of each extra among the samples with a fraction, and its ordinal."""
        name, shape = f"{line.name}.extras.npy", (_extra_rows(line.fractions),)
        front = -(-line.fractions // STRIDE)
        count = (before + line.fraction_sum) // ONE - before // ONE
        if not 0 <= start <= stop <= count:
            where = f"{self.store.url}/{line.name}"
            raise IntegrityError(f"extras {start}-{stop} of {count}", where, "the tables disagree: run lint")
        if start == stop:
            return np.empty(0, np.int64), np.empty(0, np.uint32)
        wanted = (before // ONE + 1 + np.arange(start, stop, dtype=np.int64)) * ONE - before
        head = read_rows(self.store, name, EXTRA, shape, 0, front, self._identity(name))["running"].astype(np.int64)
        first = max(0, int(np.searchsorted(head, wanted[0], side="left")) - 1) * STRIDE
        last = min(line.fractions, int(np.searchsorted(head, wanted[-1], side="left")) * STRIDE + 1)
        rows = read_rows(self.store, name, EXTRA, shape, front + first, front + last, self._identity(name))
        rows_reached = np.searchsorted(rows["running"].astype(np.int64), wanted, side="left")
        if rows_reached[-1] == len(rows):
            raise IntegrityError("running sums that disagree with the table", f"{self.store.url}/{name}", "run lint")
        return first + rows_reached, rows["ordinal"][rows_reached]


def _decoded(data: bytes) -> Iterator[pa.RecordBatch]:
    """Yields the rows of LINES from a view's `shards.parquet`."""
    flags = {"listed": "runs_sha256", "facts": "facts_sha256"}
    names = [field.name for field in VIEW_TABLE if field.name not in flags]
    read = pa.schema([*map(VIEW_TABLE.field, names), *map(VIEW_SHARDS.field, flags.values())])
    for batch in parquet_batches(data, read):
        exist = [batch[name].is_valid() for name in flags.values()]
        yield pa.RecordBatch.from_arrays([*(batch[name] for name in names), *exist], schema=VIEW_TABLE)


def _extra_rows(fractions: int) -> int:
    return fractions + -(-fractions // STRIDE)
