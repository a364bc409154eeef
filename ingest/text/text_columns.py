"""Arrow columns of any scalar type as text."""

from urllib.parse import unquote_plus

import pyarrow as pa
import pyarrow.compute as pc


def to_text(array: pa.Array, encoded: bool = False) -> pa.Array:
    """Returns any scalar column as text; invalid UTF-8 becomes replacement characters, NaN and infinities become null.

    `encoded` text is percent-encoded, with plus signs for spaces.
    """
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if pa.types.is_null(kind):
        return pa.nulls(len(array), pa.string())
    if pa.types.is_floating(kind):
        array = finite(array.cast(pa.float32()) if pa.types.is_float16(kind) else array)
    if not any(test(kind) for test in (is_text, pa.types.is_binary, pa.types.is_large_binary)):
        return array.cast(pa.string())
    array = _to_utf8(array.cast(pa.binary()))
    if encoded:
        return pa.array([None if value is None else unquote_plus(value) for value in array.to_pylist()], pa.string())
    return array


def finite(array: pa.Array) -> pa.Array:
    """Replaces NaN and infinities, which JSON lacks, by null."""
    return pc.if_else(pc.is_finite(array), array, pa.scalar(None, array.type))


def _to_utf8(array: pa.Array) -> pa.Array:
    whole = as_utf8_text(array)
    if whole is None:
        values = array.to_pylist()
        return pa.array([None if v is None else v.decode("utf-8", "replace") for v in values], pa.string())
    return whole


def as_utf8_text(array: pa.Array) -> pa.Array | None:
    """Returns bytes as text; None where some are not UTF-8."""
    whole = array.view(pa.string())
    try:
        whole.validate(full=True)
    except pa.ArrowInvalid:
        return None
    return whole


def is_utf8(value: bytes) -> bool:
    """Whether bytes are UTF-8."""
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is one of Arrow's texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_bytes(kind: pa.DataType) -> bool:
    """Whether a type is one of Arrow's bytes of any length."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))
