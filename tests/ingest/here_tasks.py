"""What a cluster does with rows, in the process of a test."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from tagmill.ingest.engines.engine import GeneratedTable, Work
from tagmill.ingest.parts.partition_tasks import DIVISION

T = TypeVar("T")


class HereTasks:
    """Runs tasks in this process, each twice: what a cluster does may be repeated."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def each(
        self, work: Callable[[T], Work], tasks: Sequence[T], report: Callable[[dict[str, int]], None], what: str
    ) -> list[bytes]:
        del what
        found = []
        for task in tasks:
            work(task)
            result, counts = work(task)
            report(dict(counts))
            found.append(result)
        return found

    def put_divided(
        self,
        table: GeneratedTable,
        order: Sequence[str],
        divisions: int,
        put: Callable[[int, Iterator[pa.RecordBatch], Path], Sequence[int]],
        what: str,
    ) -> list[int]:
        del divisions, what
        self._folder.mkdir(exist_ok=True)
        batches = [batch for item in table.items for batch in table.make(item)]
        every = pa.Table.from_batches(batches, table.schema).sort_by([(name, "ascending") for name in order])
        found: list[int] = []
        for division in every[DIVISION].unique().to_pylist():
            mine = every.filter(pc.equal(every[DIVISION], division))
            for _ in range(2):
                some = list(put(0, iter(mine.to_batches(max_chunksize=3)), self._folder))
            found += some
        return sorted(found)
