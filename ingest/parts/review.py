"""Removes from a finished part what takedown lists or blocklists forbid that have grown since it was made.

Other rows, and the reasons of rows that were rejected before, do not change. Images are read only where a row changes.
The facts of the part say whether one may, unless the lists have digests of images, which facts lack: then the other
columns of the part itself are read.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from tagmill.ingest.filters.listed_digests import ANSWER
from tagmill.ingest.filters.pinned import Forbidden
from tagmill.ingest.filters.takedown_rules import Denylist
from tagmill.ingest.http.urls import normalise
from tagmill.ingest.parts.row_groups import StoredTable, open_row_groups
from tagmill.ingest.parts.table import DECIDED, PartWriter
from tagmill.ingest.reasons import Reason
from tagmill.shards.formats.parquet import read_table
from tagmill.shards.storage.store import Store

_NEEDED = ["url", "reason", "key", "pdq0", "pdq1", "pdq2", "pdq3"]  # facts by which lists without digests decide
_NO_DIGEST = ""  # in place of the sha256 of an image, where no list has one


def refusal(forbidden: Forbidden, body: bytes | None, sha256: str, pdq: Sequence[int]) -> dict[str, Any] | None:
    """Returns the columns of an image that is forbidden, None where it is not.

    `body` is the source bytes; None skips blocklists by md5. `sha256` is theirs, `pdq` four signed words.
    """
    if by := forbidden.denied.image(sha256, pdq):
        return {"reason": Reason.TAKEN_DOWN, "detail": by}
    by = forbidden.blocked.blocks(body, sha256, pdq)
    return {"reason": Reason.BLOCKED, "detail": by} if by else None


def known_columns(key: str, denied: Denylist) -> dict[str, Any]:
    """Returns the columns of a URL whose image is in the extended corpus, as sample `key`."""
    if by := denied.exactly(key, ""):
        return {"reason": Reason.TAKEN_DOWN, "detail": by}
    return {"reason": Reason.DUPLICATE, "key": key}


def review(
    store: Store, pictures: StoredTable, facts: str, folder: Path, forbidden: Forbidden
) -> tuple[PartWriter, Counter[str]] | None:
    """Writes a part without forbidden images to files in `folder`; returns the files and its rows by outcome.

    `pictures` and `facts` are the files of the part. Returns None, and writes nothing, where nothing is forbidden. Memory
    holds the facts, or two row groups.
    """
    if not forbidden.by_digest and not _may_refuse(read_table(store.read(facts), _NEEDED), forbidden):
        return None
    with open_row_groups(store, pictures) as groups:
        refused = [_refused(table, forbidden) for table in groups.read([False] * len(groups.rows))]
        if not any(refused):
            return None
        counts: Counter[str] = Counter()
        with PartWriter(folder, groups.schema) as files:
            for table, others in zip(groups.read([True] * len(refused)), refused, strict=True):
                rows = [others.get(at, row) for at, row in enumerate(table.to_pylist())]
                counts.update(row["reason"] or "ok" for row in rows)
                files.write(pa.Table.from_pylist(rows, groups.schema))
    return files, counts


def _may_refuse(facts: pa.Table, forbidden: Forbidden) -> bool:
    """Returns whether a row may change, by lists without digests of images. A row that such a list has refused before
    counts too: its facts do not say by which rule."""
    unknown = dict.fromkeys(ANSWER) | {"sha256": _NO_DIGEST}
    found = (_columns_now(row | unknown, forbidden) for row in facts.to_pylist())
    return any(columns is not None and columns["reason"] != Reason.DUPLICATE for columns in found)


def _refused(table: pa.Table, forbidden: Forbidden) -> dict[int, dict[str, Any]]:
    """Returns the rows of a row group that change, by their position in it."""
    found = {}
    for at, row in enumerate(table.to_pylist()):
        columns = _columns_now(row, forbidden)
        if columns is not None:
            other = row | dict.fromkeys(DECIDED) | columns
            if any(other[name] != row.get(name) for name in DECIDED):  # `row` was read without its image
                found[at] = other
    return found


def _columns_now(row: dict[str, Any], forbidden: Forbidden) -> dict[str, Any] | None:
    """Returns the columns of a row that the rules forbid, None where they do not."""
    if by := forbidden.denied.url(normalise(row["url"] or "")):
        return {"reason": Reason.TAKEN_DOWN, "detail": by}
    if row["reason"] == Reason.DUPLICATE:  # by its URL, so nothing was fetched
        return known_columns(row["key"], forbidden.denied)
    if row["reason"] is not None:
        return None
    refused = refusal(forbidden, None, row["sha256"], [row[f"pdq{word}"] for word in range(4)])
    return None if refused is None else {name: row[name] for name in ANSWER} | refused
