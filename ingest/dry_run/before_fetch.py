"""Which rows are rejected before anything is requested, which URLs are requested, and at which hosts."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.filters.takedown_rules import Denylist
from tagmill.ingest.http.public_addresses import may_be_public
from tagmill.ingest.http.urls import normalise, parsed_url, url_hash
from tagmill.ingest.parts.table import request_id
from tagmill.ingest.reasons import Reason
from tagmill.ingest.sources.locations import BYTES_COLUMN, ByteRange


@dataclass(slots=True)
class Request:
    """What is read once: a URL for all rows that have it, or a place in a tar or folder."""

    row: dict[str, Any]  # the first, with the columns that a sample of a corpus has
    order: bytes  # the hash of its URL, by which rows are partitioned and samples chosen
    url: str  # in its normal form
    host: str  # "" for a place in a tar or folder
    location: ByteRange | None
    tags: list[str]  # of all its rows


@dataclass
class BeforeFetch:
    """What becomes of rows before the fetch: rows = requests + repeated + the sum of rejects."""

    requests: list[Request] = field(default_factory=list)
    rejects: Counter[str] = field(default_factory=Counter)  # rows by reason
    repeated: int = 0  # rows whose URL an earlier row has; they become duplicates
    hosts: Counter[str] = field(default_factory=Counter)  # URLs to request by host
    tags: int = 0  # of all rows


def judge_rows(rows: pa.Table, config: IngestConfig, denied: Denylist) -> BeforeFetch:
    """Judges rows in the order of a run: takedown lists first, then what the URL says, then its host by name."""
    found = BeforeFetch()
    seen: dict[bytes | int, Request | None] = {}  # None: rejected
    for row in _dicts(rows):
        found.tags += len(row["tags"])
        url = normalise(row["url"] or "")
        row["url_hash"] = url_hash(url, config.seed)
        identity, location = request_id(row), ByteRange.of(row)
        earlier = seen.get(identity)
        if earlier is not None:
            earlier.tags += row["tags"]
            found.repeated += 1
            continue
        host, reason = _judged(url, location, config, denied)
        if reason is not None:
            found.rejects[reason] += 1
            continue
        order = row.pop("url_hash")
        row.pop(BYTES_COLUMN, None)
        request = seen[identity] = Request(row, order, url, host, location, list(row["tags"]))
        found.requests.append(request)
        if host:
            found.hosts[host] += 1
    return found


def _dicts(rows: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in rows.to_batches(max_chunksize=1024):
        yield from batch.to_pylist()


def _judged(url: str, location: ByteRange | None, config: IngestConfig, denied: Denylist) -> tuple[str, Reason | None]:
    """Returns (host, None), or why the row is rejected."""
    if denied.url(url):
        return "", Reason.TAKEN_DOWN
    if location is not None:
        if location.reason is not None:
            return "", Reason(location.reason)
        return "", Reason.TOO_BIG if location.size > config.max_bytes else None
    target = parsed_url(url)
    if target is None:
        return "", Reason.BAD_URL
    host = target.raw_host or ""
    if not config.allow_private and not may_be_public(host):
        return "", Reason.PRIVATE_ADDRESS
    return host, None
