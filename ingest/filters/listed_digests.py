"""Digests that a list gives of its images: an image that was replaced since the list was made has another one.

The buyer of a lapsed domain decides what its old URLs show (Carlini et al., "Poisoning Web-Scale Training Datasets is
Practical", 2023, "split-view poisoning"); a digest in the list is the defence.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tagmill.ingest.config.sources import SourceOptions
from tagmill.ingest.reasons import Reason
from tagmill.ingest.text.tag_text import EMPTY_WORDS
from tagmill.shards.errors import InputError
from tagmill.shards.formats.record import key_of

LISTED_FIELDS = {"sha256": pa.field("listed_sha256", pa.string()), "md5": pa.field("listed_md5", pa.string())}
"""Columns of rows before they are fetched: hex digits in lower case, or `UNREADABLE` and what the list has instead."""
ALTERED = pa.field("altered", pa.bool_())
"""Column of a corpus that keeps altered images: whether this is another one; null where the list has no digest."""
ANSWER = ("http_status", "fetched_at", "seconds", "host")
"""Columns of an answer, which a row keeps when its image is refused."""
MD5 = "md5"  # of the fetched bytes, among the columns of a URL
UNREADABLE = "?"
_BYTES = {"sha256": 32, "md5": 16}
_SHOWN = 64  # characters of an unreadable digest that are kept
_HEX = re.compile(r"[0-9a-f]*")


def listed_fields(config: SourceOptions) -> list[pa.Field]:
    """Returns the columns of LISTED_FIELDS that the list has."""
    return [field for kind, field in LISTED_FIELDS.items() if getattr(config.columns, kind) is not None]


def marks_altered(config: SourceOptions) -> bool:
    """Whether the corpus has the column ALTERED."""
    return config.altered == "keep" and bool(listed_fields(config))


def read_digests(cells: pa.Array, kind: str) -> pa.Array:
    """Returns a column of digests as text: hex digits in lower case, null where the list has none.

    Cells are hex digits, base64 (of both alphabets, with or without padding) or the bytes themselves, each for itself. Any
    other text becomes UNREADABLE and its first characters.
    """
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    return pa.array([_digest(cell, _BYTES[kind]) for cell in cells.to_pylist()], pa.string())


def check_digests(digests: pa.Array, kind: str, column: str, where: str) -> None:
    """Raises InputError where a column has no readable digest at all, so that not every image becomes a reject."""
    known = digests.drop_null()
    if not len(known) or not pc.all(pc.starts_with(known, UNREADABLE)).as_py():
        return
    first = known[0].as_py().removeprefix(UNREADABLE)
    others = [other for other in _BYTES if other != kind and _digest(first, _BYTES[other])[:1] != UNREADABLE]  # type: ignore[index]
    remedy = f"name it with --{others[0]}-column" if others else f"give {2 * _BYTES[kind]} hex digits, or base64"
    raise InputError(f"column {column!r} has no {kind}: {first!a}", where, remedy)


def _digest(cell: Any, size: int) -> str | None:
    if isinstance(cell, bytes):
        if len(cell) == size:
            return cell.hex()
        cell = cell.decode("utf-8", "replace")
    text = "" if cell is None else str(cell).strip()
    if not text or text in EMPTY_WORDS:
        return None
    if len(text) == 2 * size and _HEX.fullmatch(text.lower()):
        return text.lower()
    bare = text.rstrip("=")
    if len(bare) == -(-4 * size // 3):
        try:
            return base64.b64decode(
                bare + "=" * (-len(bare) % 4), b"-_" if "-" in bare or "_" in bare else None, True
            ).hex()
        except (binascii.Error, ValueError):
            pass
    return UNREADABLE + text[:_SHOWN]


def md5_of(body: bytes) -> str:
    """Returns the md5 of a body, in hex."""
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def verified(row: Mapping[str, Any], columns: Mapping[str, Any]) -> tuple[bool | None, str | None]:
    """Compares the digests of a row with those of what was fetched for its URL.

    `columns` are the columns of the URL. Returns (whether all are equal, what is not); (None, None) where there is nothing
    to compare: the list has no digest, there is no image, or only its key is known and the list has an md5.
    """
    equal = None
    for kind, field in LISTED_FIELDS.items():
        listed = row.get(field.name)
        if listed is None or (found := _known(kind, columns)) is None:
            continue
        if listed.startswith(UNREADABLE):
            return False, f"the list's {kind} is none: {listed.removeprefix(UNREADABLE)!a}"
        if found != (key_of(listed) if columns["reason"] else listed):
            return False, f"{kind} {found}, not the list's"
        equal = True
    return equal, None


def decided(row: Mapping[str, Any], columns: Mapping[str, Any], *, marks: bool) -> tuple[dict[str, Any], bool | None]:
    """Returns (the columns of a row, whether its digests are those of its image: as `verified`), given those of its URL.

    An image that is another one is rejected, or with `marks` has the column ALTERED.
    """
    equal, detail = verified(row, columns)
    found = {name: value for name, value in columns.items() if name != MD5}
    if marks:
        found[ALTERED.name] = None if equal is None else not equal
    elif equal is False:
        answer = {name: columns.get(name) for name in ANSWER}
        found = dict.fromkeys(found) | answer | {"reason": Reason.ALTERED, "detail": detail}
    return found, equal


def _known(kind: str, columns: Mapping[str, Any]) -> str | None:
    """Returns the digest of an image; of one that the extended corpus has, its key, which a sha256 begins with."""
    reason = columns["reason"]
    if reason is None:
        found: str | None = columns[MD5 if kind == "md5" else "sha256"]
        return found
    return columns["key"] if kind == "sha256" and reason == Reason.DUPLICATE else None
