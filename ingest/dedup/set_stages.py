"""The stages of a selection: each leaves small tables and a marker in the store, so that a killed selection goes on
after its last complete stage.

A marker is put after the tables that it names, and has the stamp of the selection. Tables of a complete stage are read
from the store, by the run that made them as by one that resumes.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from tagmill.ingest.engines.engine import Engine, Param, Parquet, TableSource, parquet_of
from tagmill.ingest.layout import sets_file, sets_marker
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.shards.storage.store import Store


@dataclass
class SetStages:
    """Runs the stages of one selection that are not complete yet. `spool` is a local scratch folder."""

    engine: Engine
    store: Store
    spool: Path
    stamp: str = ""
    progress: Progress = field(default_factory=Silent)
    _left: dict[str, list[str]] = field(default_factory=dict)  # objects of the present stage, by table

    def begin(self, name: str, total: int | None = None) -> None:
        """Shows a step in the progress."""
        self.progress.stage(f"select: {name}", total)

    def run(self, name: str, tables: Mapping[str, pa.Schema], make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """Makes a stage unless it is complete, and binds its tables in the engine; returns what `make` found (JSON).

        `make` leaves each of the tables with `save`, `save_divided` or `give`.
        """
        self.begin(name)
        marker = self._marker(name)
        if marker is None:
            self._left = {}
            found = make()
            marker = {"stamp": self.stamp, "tables": self._left, "found": found}
            self.store.put(sets_marker(name), json.dumps(marker).encode())
        for table, schema in tables.items():
            self.engine.bind_once(table, self._table(marker, table, schema))
        return dict(marker["found"])

    def complete(self, name: str) -> bool:
        return self._marker(name) is not None

    def left(self, name: str, table: str, schema: pa.Schema) -> Parquet:
        """Returns a table of a complete stage."""
        marker = self._marker(name)
        assert marker is not None, f"stage {name} is complete"
        return self._table(marker, table, schema)

    def save(self, table: str, schema: pa.Schema, **params: Param) -> None:
        """Leaves the result of the statement that has the name of the table."""
        self._left[table] = self.engine.save(table, schema, self.store, partial(sets_file, table), **params)

    def save_divided(self, table: str, schema: pa.Schema, size: int) -> list[int]:
        """Leaves the result of a statement in divisions of `size` parts; returns the numbers of those with rows."""
        numbers = self.engine.save_divided(table, schema, self.store, partial(sets_file, table), size)
        self._left[table] = [sets_file(table, number) for number in numbers]
        return numbers

    def give(self, table: str, paths: Iterable[Path]) -> None:
        """Leaves local files, and consumes them."""
        self._left[table] = self._put(table, paths, give=True)

    def bind_files(self, table: str, paths: Iterable[Path], schema: pa.Schema) -> None:
        """Binds local files that only the present stage needs; an engine that does not read them here has them put into
        the store."""
        self.engine.bind(table, self._local(table, list(paths), schema))

    def _local(self, table: str, paths: list[Path], schema: pa.Schema) -> TableSource:
        if not paths:
            return schema.empty_table()
        if self.engine.here:
            import pyarrow.dataset as ds  # not at the top: it imports pandas where that is installed

            return ds.dataset(paths, schema=schema)
        return parquet_of(self.store, self._put(table, paths, give=False), schema)

    def _put(self, table: str, paths: Iterable[Path], *, give: bool) -> list[str]:
        names = []
        for number, path in enumerate(paths):
            names.append(sets_file(table, number))
            self.store.put(names[-1], path, give=give)
        return names

    def _marker(self, name: str) -> dict[str, Any] | None:
        try:
            marker: dict[str, Any] = json.loads(self.store.read(sets_marker(name)))
        except FileNotFoundError:
            return None
        return marker if marker["stamp"] == self.stamp else None

    def _table(self, marker: dict[str, Any], table: str, schema: pa.Schema) -> Parquet:
        return parquet_of(self.store, marker["tables"][table], schema)
