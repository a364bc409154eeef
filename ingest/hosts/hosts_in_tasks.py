"""Finds the hosts of all partitions on a cluster: what `find_hosts` of robots.py does on one machine.

    partition -> a task finds its origins -> rows of an origin move to one task, by the hash of their host -> hosts of a task

All origins of a host are in one task of the robots stage, so that one worker alone asks it. Neither rows nor hosts pass
through the machine that starts the run: it holds the number of hosts of each task.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.engines.engine import Engine, GeneratedTable, Parquet, Work
from tagmill.ingest.hosts.origins import Scan, find_origins_below
from tagmill.ingest.hosts.robots import (
    HOSTS,
    ORIGINS_ONCE,
    found_before,
    origins_of,
    put_found,
    scans_left,
)
from tagmill.ingest.layout import hosts_file
from tagmill.ingest.parts.partition_tasks import DIVISION, RowTasks
from tagmill.shards.formats.parquet import table_bytes
from tagmill.shards.progress.protocol import Progress
from tagmill.shards.storage.store import Store

_SIZE_BITS = 32  # a task returns (its division, how many hosts it has) as one number
_MOVED = pa.schema([(DIVISION, pa.int32()), ("spread", pa.int64()), ("origin", pa.string()), ("urls", pa.int64())])


def find_hosts_in_tasks(
    config: IngestConfig,
    store: Store,
    num_parts: int,
    engine: Callable[[], Engine],
    tasks: RowTasks,
    progress: Progress,
) -> list[int]:
    """Finds the hosts of all partitions and puts them, each once, into tasks of about HOSTS origins; returns the number of
    origins of each task, which may be 0. Skipped where that was done before. `progress` counts partitions."""
    if (found := found_before(store)) is not None:
        return found
    scans = scans_left(config, store, num_parts)
    progress.advance(num_parts - len(scans))
    if scans:
        tasks.each(_scan, scans, lambda counts: progress.advance(counts["parts"]), "the hosts of a list")
    origins = origins_of(store, num_parts)
    with closing(engine()) as sql:
        sql.bind("origins", origins)
        (total,) = sql.run("hosts_total").read_all()["hosts"].to_pylist()
    sizes = [0] * -(-total // HOSTS)
    if sizes:
        table = GeneratedTable(_MOVED, origins.names, partial(_moved, origins, len(sizes)))
        order = [DIVISION, "spread", "origin"]
        for number in tasks.put_divided(table, order, len(sizes), partial(put_hosts, store), "the hosts of a list"):
            sizes[number >> _SIZE_BITS] = number & (1 << _SIZE_BITS) - 1
    put_found(store, sizes)
    return sizes


def _scan(task: Scan) -> Work:
    """Puts the origins of a partition; a task, on a machine without the folders of the one that starts the run."""
    find_origins_below(task, spool=None)
    return b"", {"parts": 1}


def _moved(origins: Parquet, divisions: int, name: str) -> Iterator[pa.RecordBatch]:
    """Yields the origins of a partition with their division."""
    for batch in origins.batches(name):
        numbers = pa.array(division_of(batch["spread"].to_numpy(), divisions), pa.int32())
        columns = [batch[column] for column in ("spread", "origin", "urls")]
        yield pa.record_batch([numbers, *columns], schema=_MOVED)


def division_of(spreads: npt.NDArray[np.int64], divisions: int) -> npt.NDArray[np.int64]:
    """Returns which of some divisions hashes are in: equal stretches of their top 32 bits."""
    top = (spreads.view(np.uint64) >> np.uint64(32)).astype(np.int64)
    return top * divisions >> 32


def put_hosts(store: Store, number: int, batches: Iterator[pa.RecordBatch], folder: Path) -> Sequence[int]:
    """Puts the `hosts_file` of some divisions, whose rows come in order; returns their numbers and sizes, see _SIZE_BITS. A
    task, which may run twice: it puts the same bytes. Memory holds the origins of one division."""
    del number, folder
    found: list[int] = []
    current, held = -1, list[dict[str, Any]]()

    def put() -> None:
        if held:
            store.put(hosts_file(current), table_bytes(held, ORIGINS_ONCE))
            found.append(current << _SIZE_BITS | len(held))

    for batch in batches:
        for row in batch.to_pylist():
            if row[DIVISION] != current:
                put()
                current, held = row[DIVISION], []
            if held and held[-1]["origin"] == row["origin"]:
                held[-1]["urls"] += row["urls"]
            else:
                held.append({"origin": row["origin"], "urls": row["urls"]})
    put()
    return found
