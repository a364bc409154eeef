"""Where a row's bytes lie, for rows that bring them: a picture's file, or its place in a tar."""

from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa

# A place as the tables between sources and parts have it; null where a row has only a URL.
COLUMN = "bytes_at"
PLACE = pa.field(
    COLUMN,
    pa.struct(
        [
            pa.field("object", pa.string()),  # the file's or tar's own address
            pa.field("length", pa.int64()),  # its bytes, by which it is known to be the same still
            pa.field("offset", pa.int64()),
            pa.field("size", pa.int64()),  # bytes of the picture
            pa.field("reason", pa.string()),  # why there is nothing to read, found out while dealing
            pa.field("detail", pa.string()),
        ]
    ),
)


@dataclass(frozen=True, slots=True)
class Place:
    """One picture's bytes at rest, or why there are none."""

    object: str
    length: int
    offset: int
    size: int
    reason: str | None = None
    detail: str | None = None

    @classmethod
    def of(cls, row: dict[str, Any]) -> Self | None:
        """The place of a row of a table; None where its bytes are on the web."""
        found = row.get(COLUMN)
        return None if found is None else cls(**found)

    def readable(self, max_bytes: int) -> bool:
        return self.reason is None and self.size <= max_bytes
