"""The origins of a partition's URLs: a task for each partition."""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.fetch.robots_rules import origin_of
from tagmill.ingest.filters.pinned import PinnedRules, forbidden_of
from tagmill.ingest.http.urls import normalise, parsed_url
from tagmill.ingest.layout import origins_file, rows_file
from tagmill.ingest.parts.local_rows import local_rows
from tagmill.ingest.sources.locations import BYTES_COLUMN
from tagmill.shards.formats.parquet import table_bytes
from tagmill.shards.storage.store import Store

_WRITTEN_ORIGIN = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_NORMAL_ORIGIN = re.compile(r"https?://[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*")  # most are: they need no parsing
ORIGINS = pa.schema(
    [
        pa.field("part", pa.int32(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("spread", pa.int64(), nullable=False),  # a hash of the host: neighbours by it are unrelated hosts
        pa.field("urls", pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Scan:
    """A partition whose origins are to be found."""

    config: IngestConfig
    store: Store
    part: int
    rules: PinnedRules


def find_origins(task: Scan) -> None:
    """Puts the origins of a partition's URLs, without URLs that a takedown list forbids."""
    find_origins_below(task, task.config.spool)


def find_origins_below(task: Scan, spool: str | None) -> None:
    """Does it with a copy of the partition below a local folder (None: the system's default), if its store is remote."""
    store, part = task.store, task.part
    denied, counts = forbidden_of(store, task.rules).denied, Counter[str]()
    with local_rows(store, part, spool) as rows, rows.open(rows_file(part)) as file:
        parquet = pq.ParquetFile(file)
        columns = [name for name in ("url", BYTES_COLUMN) if name in parquet.schema_arrow.names]
        for batch in parquet.iter_batches(columns=columns, use_threads=False):
            if len(columns) > 1:  # rows of tars and folders have no host
                batch = batch.filter(pc.is_null(batch[BYTES_COLUMN]))
            for url in filter(None, batch["url"].to_pylist()):
                if (found := _WRITTEN_ORIGIN.match(url.lstrip())) and not (denied and denied.url(normalise(url))):
                    counts[found[0]] += 1
    urls: Counter[str] = Counter()
    for written, num_urls in counts.items():
        if (origin := _origin(written)) is not None:
            urls[origin] += num_urls
    origins = [
        {"part": part, "origin": origin, "spread": _spread(origin), "urls": urls[origin]} for origin in sorted(urls)
    ]
    store.put(origins_file(part), table_bytes(origins, ORIGINS))


def _origin(written: str) -> str | None:
    """Returns the normal form of an origin, None where no URL of it can be fetched."""
    if _NORMAL_ORIGIN.fullmatch(written):
        return written
    url = parsed_url(normalise(written))
    return None if url is None else origin_of(url)


def _spread(origin: str) -> int:
    """Returns a hash of the host, because its limits are for all of its origins."""
    host = asked_host(origin)
    return int.from_bytes(hashlib.sha256(host.encode()).digest()[:8], "little", signed=True)


def asked_host(origin: str) -> str:
    """Returns the host that the limits of an origin are for; the origin where it has none, which cannot be asked."""
    url = parsed_url(origin)
    return (None if url is None else url.raw_host) or origin
