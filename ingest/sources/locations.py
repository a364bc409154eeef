"""Byte ranges: where the bytes of a row are stored, for rows from tars and folders."""

from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa

# The column of tables between sources and parts; null where a row has only a URL.
BYTES_COLUMN = "bytes_at"
BYTES_FIELD = pa.field(
    BYTES_COLUMN,
    pa.struct(
        [
            pa.field("object", pa.string()),  # URL of the file or tar
            pa.field("length", pa.int64()),  # its size in bytes, which tells whether it has changed
            pa.field("offset", pa.int64()),
            pa.field("size", pa.int64()),  # bytes of the image
            pa.field("reason", pa.string()),  # why there is nothing to read, as found while partitioning
            pa.field("detail", pa.string()),
        ]
    ),
)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The stored bytes of one image, or the reason why there are none."""

    object: str
    length: int
    offset: int
    size: int
    reason: str | None = None
    detail: str | None = None

    @classmethod
    def of(cls, row: dict[str, Any]) -> Self | None:
        """Returns the byte range in a row of a table; None where the row has only a URL."""
        found = row.get(BYTES_COLUMN)
        return None if found is None else cls(**found)

    def readable(self, max_bytes: int) -> bool:
        return self.reason is None and self.size <= max_bytes
