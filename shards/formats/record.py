"""One sample's facts: the base row, as a row of a table and as the JSON member beside the image."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from tagmill.shards.errors import ConfigError

Scalar = str | int | float | bool | None

# Columns of a shard's table, in order; the source's own columns follow. pdq is the 256-bit PDQ hash as four signed
# words, most significant first, because SQL engines have no unsigned 64-bit integer in common.
FACTS = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("pdq0", pa.int64()),
        pa.field("pdq1", pa.int64()),
        pa.field("pdq2", pa.int64()),
        pa.field("pdq3", pa.int64()),
        pa.field("crc32", pa.int64(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("original_width", pa.int32(), nullable=False),
        pa.field("original_height", pa.int32(), nullable=False),
        pa.field("tags", pa.list_(pa.string()), nullable=False),
        pa.field("url", pa.string()),
        pa.field("licence", pa.string()),
        pa.field("page", pa.string()),
    ]
)
RESERVED = frozenset([*FACTS.names, "pdq", "row_id", "labels", "status", "reason", "__key__", "__url__"])
_FACTS = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)
EXTRA_TYPES = (pa.string(), pa.int64(), pa.float64(), pa.bool_())


def key_of(sha256: str) -> str:
    """Returns a sample's key: the first 128 bits of the sha256 of its source bytes, as 32 hex digits. No dot, so tar
    readers agree."""
    return sha256[:32]


def facts_schema(extra: pa.Schema) -> pa.Schema:
    """Returns FACTS and the source's own columns. Raises ConfigError for a column with a reserved name or no simple
    type."""
    for column in extra:
        if extra.names.count(column.name) > 1:
            raise ConfigError(f"two columns named {column.name!r}", "extra columns", "rename one in the input")
        if column.name in RESERVED or "." in column.name:
            raise ConfigError(f"the column name {column.name!r} is taken", "extra columns", "rename it in the input")
        if column.type not in EXTRA_TYPES:
            raise ConfigError(
                f"column {column.name!r} has type {column.type}", "extra columns", "cast it to text or number"
            )
    return pa.schema([*FACTS, *extra])


@dataclass(frozen=True, slots=True)
class Record:
    """The base row of one sample, before it is assigned to a shard."""

    sha256: str  # 64 hex digits, of the source bytes
    pdq: tuple[int, int, int, int]  # 256 bits as four signed words
    width: int  # pixels of the stored image
    height: int
    original_width: int  # pixels of the upright source image
    original_height: int
    tags: tuple[str, ...]  # as people wrote them, from this copy only
    url: str | None = None
    licence: str | None = None
    page: str | None = None
    extra: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return key_of(self.sha256)

    def row(self) -> dict[str, object]:
        """Returns the columns of FACTS that do not depend on the shard, and the extra ones."""
        pdq = {f"pdq{i}": word for i, word in enumerate(self.pdq)}
        return {"key": self.key, **self._plain(), **pdq}

    def json(self) -> bytes:
        """Returns the `.json` member: keys sorted, no spaces, ASCII, so that its length is known before it is packed."""
        pdq = "".join(f"{word & (1 << 64) - 1:016x}" for word in self.pdq)
        row = {"key": self.key, **self._plain(), "pdq": pdq}
        for name, value in self.extra.items():
            if isinstance(value, float) and not math.isfinite(value):
                row[name] = None  # JSON has no NaN, and other readers reject it
        return _FACTS.encode(row).encode("ascii")

    def _plain(self) -> dict[str, object]:
        return {
            "sha256": self.sha256,
            "width": self.width,
            "height": self.height,
            "original_width": self.original_width,
            "original_height": self.original_height,
            "tags": list(self.tags),
            "url": self.url,
            "licence": self.licence,
            "page": self.page,
            **self.extra,
        }


def sha256_hex(data: bytes) -> str:
    """Returns the lower-case hex digest that all tables of a corpus use."""
    return hashlib.sha256(data).hexdigest()
