"""Small images of rejected rows for the report page, kept while a group is packed: afterwards no image of them is left.

Rows are chosen by their key, which is a hash of their bytes, so every engine and every number of processes keeps the
same. Each group keeps a bounded number; the run keeps those with the smallest keys of all groups. Nothing is read for it:
where no row of a row group becomes a sample, packing reads none of its images, and its rows are not kept.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tagmill.ingest.layout import pictures_file
from tagmill.ingest.parts.row_groups import IMAGE
from tagmill.shards.formats.report_pictures import pictures_bytes, read_pictures_file, small_picture
from tagmill.shards.many_requests import read_many
from tagmill.shards.storage.store import Store

# The reasons of rows that had an image, and how many of each a run keeps. Exact duplicates have the image of their sample.
KEPT = {"near_duplicate": 240, "evaluation": 120, "placeholder": 20}
_SPARE = 3  # times as many rows are expected below a limit: some have no image, and some have the key of another
_KEYS = 1 << 64


def key_limits(reasons: Mapping[str, int]) -> dict[str, int]:
    """Returns for each reason of KEPT the first 64 bits of a key below which a row may be kept, from the number of rows by
    reason: about as many rows are below it as the run keeps, whatever their number."""
    return {
        reason: min(_KEYS, _SPARE * most * _KEYS // reasons[reason])
        for reason, most in KEPT.items()
        if reasons.get(reason)
    }


class KeptPictures:
    """The rows that a group keeps, at most those of KEPT with the smallest keys, with their small images."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = limits
        self._rows: dict[str, dict[str, dict[str, Any]]] = {reason: {} for reason in limits}  # by reason and key

    def add(self, rows: pa.Table, decisions: pa.Table) -> None:
        """Takes consecutive rows of a part, all columns, with what the selection decided (reason, yields_to)."""
        if not self._limits or IMAGE not in rows.column_names:
            return
        reasons = decisions["reason"]
        here = pc.indices_nonzero(pc.fill_null(pc.is_in(reasons, pa.array(list(self._limits))), False)).to_pylist()
        keys = rows["key"].to_pylist() if here else []
        for number in here:
            reason, key = reasons[number].as_py(), keys[number]
            if key is None or int(key[:16], 16) >= self._limits[reason] or not self._wanted(reason, key):
                continue
            jpeg = rows[IMAGE][number].as_py()
            small = None if jpeg is None else small_picture(jpeg)
            if small is not None:
                row = rows.slice(number, 1).drop_columns([IMAGE]).to_pylist()[0]
                self._keep(reason, key, row, decisions["yields_to"][number].as_py(), small)

    def _wanted(self, reason: str, key: str) -> bool:
        kept = self._rows[reason]
        return key not in kept and (len(kept) < KEPT[reason] or key < max(kept))

    def _keep(self, reason: str, key: str, row: dict[str, Any], yields_to: str | None, small: bytes) -> None:
        kept = self._rows[reason]
        names = ("row_id", "sha256", "pdq0", "pdq1", "pdq2", "pdq3", "url")
        facts = {name: row[name] for name in names}
        kept[key] = {**facts, "reason": reason, "key": key, "yields_to": yields_to, "jpeg": small}
        if len(kept) > KEPT[reason]:
            del kept[max(kept)]

    def put(self, store: Store, label: str) -> int:
        """Puts the rows of the group `label`; returns their number, and puts nothing without any."""
        rows = [row for kept in self._rows.values() for _, row in sorted(kept.items())]
        if rows:
            store.put(pictures_file(label), pictures_bytes(rows))
        return len(rows)


def kept_of_groups(store: Store, labels: Iterable[str]) -> list[dict[str, Any]]:
    """Reads what the groups `labels` kept; returns the rows of KEPT with the smallest keys, by reason and key."""
    rows: list[dict[str, Any]] = []
    for data in read_many(store, map(pictures_file, labels)):
        rows = _fewest([*rows, *read_pictures_file(data)])
    return rows


def _fewest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found, keys, counts = list[dict[str, Any]](), set[tuple[str, str]](), Counter[str]()
    for row in sorted(rows, key=lambda row: (row["reason"], row["key"], row["row_id"])):
        named = row["reason"], row["key"]
        if named not in keys and counts[row["reason"]] < KEPT[row["reason"]]:
            keys.add(named)
            counts[row["reason"]] += 1
            found.append(row)
    return found
