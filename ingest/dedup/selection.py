"""The set work that decides what becomes of every row: kept for train or holdout, duplicate, or rejected before."""

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
from tagmill.ingest.dedup.resolve import SetCounts, SetRules, resolve_drops, shown
from tagmill.ingest.engines.engine import Engine, Parquet, TableSource
from tagmill.ingest.layout import SELECTION_FOLDER, SELECTION_MARKER, SETS_FOLDER, selection_file
from tagmill.shards.errors import ConfigError, CorpusError
from tagmill.shards.storage.store import Store

# One row for every row of the input, ordered by part and place. Exactly one of split and reason is set.
SELECTION = pa.schema(
    [
        pa.field("row_id", pa.int64(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("place", pa.int32(), nullable=False),
        pa.field("key", pa.string()),  # null where there is no picture
        pa.field("sample_bytes", pa.int64()),
        pa.field("split", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("yields_to", pa.string()),  # the key that a duplicate yields to
    ]
)
STAMP = b"tagmill.stamp"  # of a group's file, in the metadata of its schema
STRETCH = 4_000_000  # rows of the selection that are sorted at a time


@dataclass(frozen=True)
class Selected:
    """How many rows became what."""

    rows: int
    splits: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    counts: SetCounts = field(default_factory=SetCounts)
    stamp: str = ""  # digest of all that the selection is a function of

    @classmethod
    def parse(cls, data: bytes) -> Self:
        text = json.loads(data)
        return cls(**{**text, "counts": SetCounts.of(text["counts"])})


def read_group(store: Store, group: int, columns: list[str], stamp: str) -> pa.Table:
    """Columns of a group's selection. Raises CorpusError where that was made under another stamp."""
    with store.open(selection_file(group)) as file:
        table = pq.ParquetFile(file).read(columns, use_threads=False)
    if (table.schema.metadata or {}).get(STAMP, b"").decode() != stamp:
        remedy = "one run at a time makes a corpus: end the other, and run the command again"
        raise CorpusError("another run selects here", f"{store.url.rstrip('/')}/{selection_file(group)}", remedy)
    return table


def num_groups(num_parts: int, parts_per_group: int) -> int:
    """Pack groups of a corpus: consecutive parts, the last group may have fewer."""
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
    """Decides over all rows of `facts` and writes the selection into the store, a file for each pack group.

    `existing` gives the samples of the corpus that is extended (schema EXISTING): they outrank all rows and stay as they are.
    Pairs with evaluation sets are put as `leaks`; `tagged` has the tags of the rows. `stamp` is a digest of all that the
    selection depends on: one that is there under the same stamp is kept, another is removed first, its marker before the rest.
    Raises ConfigError where `holdout` would leave nothing to train on.
    """
    if store.exists(SELECTION_MARKER):
        there = Selected.parse(store.read(SELECTION_MARKER))
        if there.stamp == stamp:
            return there
        store.delete(SELECTION_MARKER)
    for folder in (SELECTION_FOLDER, SETS_FOLDER):
        store.delete_below(folder)
    store.delete(leaks)
    rules = SetRules() if rules is None else rules
    old = None if existing is None else existing()
    old = shown(engine, old, EXISTING, store) if isinstance(old, Path) else old
    found, matches = resolve_drops(engine, facts, rules, spool / "sets", old, store, tagged)
    if rules.evaluation:
        path = spool / "leaks.parquet"
        pq.write_table(matches, path, compression="zstd", store_schema=False)
        store.put(leaks, path, give=True)
    engine.keep("heldout", "split", holdout=holdout)
    counts: Counter[tuple[str, str]] = Counter()
    files = _GroupFiles(store, spool, parts_per_group, stamp)
    for first, last in _stretches(num_parts, parts_per_group, _rows(facts)):
        for batch in engine.run("selection", first=first, last=last):
            rows = pa.Table.from_batches([batch]).cast(SELECTION)
            files.add(rows)
            for kind in ("split", "reason"):
                for count in rows[kind].value_counts().to_pylist():
                    counts[kind, count["values"]] += count["counts"]
    files.fill(num_groups(num_parts, parts_per_group))
    splits = {name: counts["split", name] for name in ("train", "holdout")}
    if holdout and splits["holdout"] and not splits["train"] and existing is None:
        what = f"holdout {holdout} takes all {splits['holdout']} pictures"
        raise ConfigError(what, "--holdout", "hold out fewer: nothing is fetched again for it")
    reasons = {name: count for (kind, name), count in sorted(counts.items(), key=str) if kind == "reason" and name}
    selected = Selected(sum(splits.values()) + sum(reasons.values()), splits, reasons, found, stamp)
    store.put(SELECTION_MARKER, json.dumps(asdict(selected)).encode())
    return selected


def _stretches(num_parts: int, parts_per_group: int, rows: int) -> Iterator[tuple[int, int]]:
    """Consecutive parts, whole groups with about STRETCH rows at a time, which are put in order together."""
    groups = num_groups(num_parts, parts_per_group)
    step = max(1, groups * STRETCH // max(rows, 1)) * parts_per_group
    for first in range(0, num_parts, step):
        yield first, min(first + step, num_parts)


class _GroupFiles:
    """Cuts a stream of rows in order of their part into one file a group, each put when it is complete."""

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
        """Completes every file before that of `group`; one of a group without rows is empty."""
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
