"""The selection decides what becomes of every row: a sample of train or holdout, or a reject with its reason."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.dedup.decontamination import LEAKS
from tagmill.ingest.dedup.existing_samples import EXISTING
from tagmill.ingest.dedup.resolve import SetCounts, SetRules, readable_table, resolve_drops
from tagmill.ingest.engines.engine import Engine, Parquet, TableSource
from tagmill.ingest.layout import SELECTION_FOLDER, SELECTION_MARKER, SETS_FOLDER, selection_file
from tagmill.shards.errors import ConfigError, CorpusError
from tagmill.shards.storage.store import Store

# One row for every row of the input, sorted by part and place. Exactly one of split and reason is set.
SELECTION = pa.schema(
    [
        pa.field("row_id", pa.int64(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("place", pa.int32(), nullable=False),
        pa.field("key", pa.string()),  # null where there is no image
        pa.field("sample_bytes", pa.int64()),
        pa.field("split", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("yields_to", pa.string()),  # of a duplicate: the key of the sample that is kept
    ]
)
STAMP = b"tagmill.stamp"  # metadata key of the stamp in a group's file
ROWS_PER_SORT = 4_000_000


@dataclass(frozen=True)
class Selected:
    """How many rows became what; also the content of SELECTION_MARKER."""

    rows: int
    splits: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    counts: SetCounts = field(default_factory=SetCounts)
    stamp: str = ""  # digest of everything that the selection depends on

    @classmethod
    def parse(cls, data: bytes) -> Self:
        fields = json.loads(data)
        return cls(**{**fields, "counts": SetCounts.of(fields["counts"])})


def read_group(store: Store, group: int, columns: list[str], stamp: str) -> pa.Table:
    """Reads columns of a group's selection. Raises CorpusError where it was made under another stamp."""
    with store.open(selection_file(group)) as file:
        table = pq.ParquetFile(file).read(columns, use_threads=False)
    if (table.schema.metadata or {}).get(STAMP, b"").decode() != stamp:
        remedy = "one run at a time makes a corpus: end the other, and run the command again"
        raise CorpusError("another run selects here", f"{store.url.rstrip('/')}/{selection_file(group)}", remedy)
    return table


def num_groups(num_parts: int, parts_per_group: int) -> int:
    """Returns the number of pack groups: each has consecutive parts, the last may have fewer."""
    return -(-num_parts // parts_per_group)


def select(
    engine: Engine,
    store: Store,
    facts: pa.Table | Parquet,
    *,
    num_parts: int,
    parts_per_group: int,
    holdout: int,
    spool: Path,
    rules: SetRules | None = None,
    existing: "Callable[[], TableSource | Path] | None" = None,
    leaks: str = f"{LEAKS}.parquet",
    stamp: str = "",
    tagged: "TableSource | None" = None,
) -> Selected:
    """Decides what becomes of all rows of `facts`, and writes the selection into the store, a file for each pack group.

    `existing` returns the samples of the extended corpus (schema EXISTING): they outrank all rows and are never dropped. Pairs
    with evaluation sets are put as `leaks`; `tagged` has the tags of the rows. `stamp` is a digest of everything that the
    selection depends on: a selection under the same stamp is kept; another is deleted first, its marker before the rest. Raises
    ConfigError where all images would be held out.
    """
    if store.exists(SELECTION_MARKER):
        before = Selected.parse(store.read(SELECTION_MARKER))
        if before.stamp == stamp:
            return before
        store.delete(SELECTION_MARKER)
    for folder in (SELECTION_FOLDER, SETS_FOLDER):
        store.delete_below(folder)
    store.delete(leaks)
    rules = SetRules() if rules is None else rules
    old = None if existing is None else existing()
    old = readable_table(engine, old, EXISTING, store) if isinstance(old, Path) else old
    found, matches = resolve_drops(engine, facts, rules, spool / "sets", old, store, tagged)
    if rules.evaluation:
        path = spool / "leaks.parquet"
        pq.write_table(matches, path, compression="zstd", store_schema=False)
        store.put(leaks, path, give=True)
    engine.keep("heldout", "split", holdout=holdout)
    counts: Counter[tuple[str, str]] = Counter()
    files = _GroupFiles(store, spool, parts_per_group, stamp)
    for first, last in _ranges_of_parts(num_parts, parts_per_group, _rows(facts)):
        for batch in engine.run("selection", first=first, last=last):
            rows = pa.Table.from_batches([batch]).cast(SELECTION)
            files.add(rows)
            for kind in ("split", "reason"):
                for count in rows[kind].value_counts().to_pylist():
                    counts[kind, count["values"]] += count["counts"]
    files.fill(num_groups(num_parts, parts_per_group))
    splits = {name: counts["split", name] for name in ("train", "holdout")}
    if holdout and splits["holdout"] and not splits["train"] and existing is None:
        what = f"holdout {holdout} takes all {splits['holdout']} images"
        raise ConfigError(what, "--holdout", "hold out fewer: nothing is fetched again for it")
    reasons = {name: count for (kind, name), count in sorted(counts.items(), key=str) if kind == "reason" and name}
    selected = Selected(sum(splits.values()) + sum(reasons.values()), splits, reasons, found, stamp)
    store.put(SELECTION_MARKER, json.dumps(asdict(selected)).encode())
    return selected


def _ranges_of_parts(num_parts: int, parts_per_group: int, rows: int) -> Iterator[tuple[int, int]]:
    """Yields ranges of consecutive parts, whole groups with about ROWS_PER_SORT rows: one range is sorted at a time."""
    groups = num_groups(num_parts, parts_per_group)
    step = max(1, groups * ROWS_PER_SORT // max(rows, 1)) * parts_per_group
    for first in range(0, num_parts, step):
        yield first, min(first + step, num_parts)


class _GroupFiles:
    """Splits rows, which come sorted by part, into one file per group, and puts each when it is complete."""

    def __init__(self, store: Store, spool: Path, parts_per_group: int, stamp: str) -> None:
        self._store, self._spool, self._parts_per_group = store, spool, parts_per_group
        self._schema = SELECTION.with_metadata({STAMP: stamp.encode()})
        self._group = 0
        self._writer: pq.ParquetWriter | None = None

    def add(self, rows: pa.Table) -> None:
        groups = rows["part"].to_numpy() // self._parts_per_group
        for group in np.unique(groups):
            self.fill(int(group))
            start, stop = np.searchsorted(groups, [group, group + 1])
            self._open().write_table(rows.slice(start, stop - start))

    def fill(self, group: int) -> None:
        """Completes every file before that of `group`; the file of a group without rows is empty."""
        while self._group < group:
            self._open().close()
            path = self._path()
            self._store.put(selection_file(self._group), path, give=True)
            self._writer = None
            self._group += 1

    def _path(self) -> Path:
        return self._spool / f"selection-{self._group:06d}.parquet"

    def _open(self) -> pq.ParquetWriter:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path(), self._schema, compression="zstd")
        return self._writer


def _rows(facts: pa.Table | Parquet) -> int:
    return facts.num_rows if isinstance(facts, pa.Table) else int(facts.dataset().count_rows())
