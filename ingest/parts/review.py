"""A finished part under lists that have grown since: what they forbid is taken out of it, as if it had never come in.

Its other rows, and the reasons of rows that were refused before, stay as they are.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.filters.pinned import Forbidden
from tagmill.ingest.filters.takedown_rules import Denylist
from tagmill.ingest.http.urls import normalise
from tagmill.ingest.parts.table import DECIDED, ROW_GROUP, part_writer
from tagmill.ingest.reasons import Reason
from tagmill.shards.storage.store import Store

_ANSWER = ("http_status", "fetched_at", "seconds", "host")  # what is known of one whose picture is refused


def refusal(forbidden: Forbidden, body: bytes | None, sha256: str, pdq: Sequence[int]) -> dict[str, Any] | None:
    """The columns of a picture that must not come in: its source bytes (None: looked at before), their sha256, its hash."""
    if by := forbidden.denied.picture(sha256, pdq):
        return {"reason": Reason.TAKEN_DOWN, "detail": by}
    by = forbidden.blocked.blocks(body, sha256, pdq)
    return {"reason": Reason.BLOCKED, "detail": by} if by else None


def as_known(key: str, denied: Denylist) -> dict[str, Any]:
    """The columns of a URL whose picture is in the corpus that is extended."""
    if by := denied.exactly(key, ""):
        return {"reason": Reason.TAKEN_DOWN, "detail": by}
    return {"reason": Reason.DUPLICATE, "key": key}


def review(store: Store, name: str, path: Path, forbidden: Forbidden) -> Counter[str] | None:
    """Writes the part `name` without what is forbidden to `path` and returns its rows by outcome; None where it has nothing
    of that. In memory is a row group."""
    with store.open(name) as file:
        parquet = pq.ParquetFile(file)
        plain = [column for column in parquet.schema_arrow.names if column != "jpeg"]
        groups = range(parquet.num_row_groups)
        refused = [_refused(parquet.read_row_group(n, plain, use_threads=False), forbidden) for n in groups]
        if not any(refused):
            return None
        counts: Counter[str] = Counter()
        with part_writer(path, parquet.schema_arrow) as writer:
            for number in groups:
                rows = parquet.read_row_group(number, use_threads=False).to_pylist()
                rows = [refused[number].get(place, row) for place, row in enumerate(rows)]
                counts.update(row["reason"] or "ok" for row in rows)
                writer.write_table(pa.Table.from_pylist(rows, parquet.schema_arrow), row_group_size=ROW_GROUP)
    return counts


def _refused(table: pa.Table, forbidden: Forbidden) -> dict[int, dict[str, Any]]:
    """The rows of a row group that must become others, by their place in it."""
    found = {}
    for place, row in enumerate(table.to_pylist()):
        columns = _now(row, forbidden)
        if columns is not None:
            other = row | dict.fromkeys(DECIDED) | columns
            if any(other[name] != row.get(name) for name in DECIDED):  # `row` comes without its picture
                found[place] = other
    return found


def _now(row: dict[str, Any], forbidden: Forbidden) -> dict[str, Any] | None:
    """The columns that the rules give a row, None where they give none."""
    if by := forbidden.denied.url(normalise(row["url"] or "")):
        return {"reason": Reason.TAKEN_DOWN, "detail": by}
    if row["reason"] == Reason.DUPLICATE:  # one by its URL: nothing was fetched
        return as_known(row["key"], forbidden.denied)
    if row["reason"] is not None:
        return None
    refused = refusal(forbidden, None, row["sha256"], [row[f"pdq{word}"] for word in range(4)])
    return None if refused is None else {name: row[name] for name in _ANSWER} | refused
