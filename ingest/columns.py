"""Columns of any type that a list may have, as the text and the tags that ingest works with."""

from urllib.parse import unquote_plus

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tagmill.ingest.hashtags import hashtags_in

_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


def simple_type(kind: pa.DataType) -> pa.DataType:
    """Whole numbers, floats and booleans keep their kind; everything else is text."""
    if pa.types.is_boolean(kind):
        return pa.bool_()
    if pa.types.is_integer(kind):
        return pa.int64()
    return pa.float64() if pa.types.is_floating(kind) else pa.string()


def text(array: pa.Array, encoded: bool = False) -> pa.Array:
    """Text of any scalar column; bytes that are not UTF-8 become replacement characters.

    `encoded` text is percent-encoded, with plus signs for spaces.
    """
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if pa.types.is_null(kind):
        return pa.nulls(len(array), pa.string())
    if not any(test(kind) for test in (_is_text, pa.types.is_binary, pa.types.is_large_binary)):
        return array.cast(pa.string())
    array = _mended(array.cast(pa.binary()))
    if encoded:
        return pa.array([None if value is None else unquote_plus(value) for value in array.to_pylist()], pa.string())
    return array


def extra(array: pa.Array, kind: pa.DataType, encoded: bool = False) -> pa.Array:
    """A column of the source's own, in the type that the corpus gives it."""
    if pa.types.is_string(kind):
        return text(array, encoded)
    array = array.cast(kind)
    if pa.types.is_floating(kind):  # JSON has no NaN and no infinity
        return pc.if_else(pc.is_finite(array), array, pa.scalar(None, kind))
    return array


def tags(array: pa.Array, separator: str, encoded: bool = False) -> pa.Array:
    """Lists of tags without surrounding white space, and without nulls and blanks; never null themselves.

    Encoded text is split before it is decoded, so that a tag may have the separator in it.
    """
    lists = array if any(test(array.type) for test in _LISTS) else pc.split_pattern(text(array), separator)
    texts = pc.utf8_trim_whitespace(text(pc.list_flatten(lists), encoded))
    parents = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)
    keep = pc.fill_null(pc.not_equal(texts, ""), False)
    counts = np.bincount(parents[keep.to_numpy(zero_copy_only=False)], minlength=len(array))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), texts.filter(keep))


def no_tags(num_rows: int) -> pa.Array:
    """An empty list for every row."""
    return pa.array([[]] * num_rows, pa.list_(pa.string()))


def with_hashtags(before: pa.Array, captions: pa.Array, encoded: bool = False) -> pa.Array:
    """The lists of tags with the hashtags of each row's caption behind them."""
    found = [hashtags_in(caption or "") for caption in text(captions, encoded).to_pylist()]
    joined = [one + other for one, other in zip(before.to_pylist(), found, strict=True)]
    return pa.array(joined, pa.list_(pa.string()))


def with_tag(before: pa.Array, more: pa.Array) -> pa.Array:
    """The lists of tags with one more behind each, or none where it is null."""
    joined = [
        one + [other] * (other is not None) for one, other in zip(before.to_pylist(), more.to_pylist(), strict=True)
    ]
    return pa.array(joined, pa.list_(pa.string()))


def _mended(array: pa.Array) -> pa.Array:
    try:
        whole = array.view(pa.string())
        whole.validate(full=True)
    except pa.ArrowInvalid:
        values = array.to_pylist()
        return pa.array([None if v is None else v.decode("utf-8", "replace") for v in values], pa.string())
    return whole


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
