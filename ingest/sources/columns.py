"""Converts columns of any Arrow type in a list to the text and the tag lists that ingest works with."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tagmill.ingest.labels.caption_nouns import CaptionNouns
from tagmill.ingest.labels.hashtags import SEVERAL_HASHTAGS, hashtags_in, split_hashtags
from tagmill.ingest.text import tag_text
from tagmill.ingest.text.text_columns import as_utf8_text, finite, is_text, is_utf8, to_text

_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


def simple_type(kind: pa.DataType) -> pa.DataType:
    """Returns the type that an extra column gets: int64, float64 or bool for numbers and booleans, string for all others."""
    if pa.types.is_boolean(kind):
        return pa.bool_()
    if pa.types.is_integer(kind):
        return pa.int64()
    return pa.float64() if pa.types.is_floating(kind) else pa.string()


def replaced_rows(batch: pa.RecordBatch) -> int:
    """Returns how many rows have text with invalid UTF-8, which becomes replacement characters."""
    broken = np.zeros(len(batch), np.bool_)
    for column in batch.columns:
        if is_text(column.type) or pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
            column = column.cast(pa.binary())
            if as_utf8_text(column) is None:
                broken |= [value is not None and not is_utf8(value) for value in column.to_pylist()]
    return int(broken.sum())


def to_extra(array: pa.Array, kind: pa.DataType, encoded: bool = False) -> pa.Array:
    """Returns an extra column in the type that the corpus gives it."""
    if pa.types.is_string(kind):
        return to_text(array, encoded)
    array = array.cast(kind)
    return finite(array) if pa.types.is_floating(kind) else array


def drop_empty_words(array: pa.Array) -> pa.Array:
    """Returns a text column with null in place of words that mean "no value" (`nan`, `None`, `null`)."""
    nothing = pc.is_in(pc.utf8_trim_whitespace(array), pa.array(sorted(tag_text.EMPTY_WORDS)))
    return pc.if_else(nothing, pa.scalar(None, array.type), array)


def to_tags(array: pa.Array, separator: str, encoded: bool = False) -> pa.Array:
    """Returns lists of tags, stripped, without nulls and blanks; a row without tags has an empty list.

    Text is split (`tag_text.split`); objects are read by their name, nested lists are joined, and a tag that contains
    several hashtags becomes several tags. Encoded text is split by the separator alone before it is decoded, so that a
    tag may contain the separator.
    """
    if not is_list(array.type):
        cells = to_text(array)
        array = pc.split_pattern(cells, separator) if encoded else _split(cells, separator)
    parents, items = _items(array)
    texts = pc.utf8_trim_whitespace(to_text(items, encoded))
    texts, parents = _split_joined_hashtags(texts, parents)
    keep = pc.fill_null(pc.not_equal(texts, ""), False)
    counts = np.bincount(parents[keep.to_numpy(zero_copy_only=False)], minlength=len(array))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), texts.filter(keep))


def _split(cells: pa.Array, separator: str) -> pa.Array:
    """Splits cells at the separator; only cells that need parsing are handled one by one."""
    plain = pc.split_pattern(cells, separator)
    whole = pc.fill_null(pc.match_substring_regex(cells, tag_text.needs_parsing(separator)), False)
    if not whole.true_count:
        return plain
    items = [tag_text.split(cell, separator) for cell in cells.filter(whole).to_pylist()]
    order = np.arange(len(cells))
    order[whole.to_numpy(zero_copy_only=False)] = len(cells) + np.arange(len(items))
    return pa.concat_arrays([plain, pa.array(items, plain.type)]).take(pa.array(order))


def _items(lists: pa.Array) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Returns the row [m] of each item, and the items [m], of lists that may be nested; objects by their name."""
    rows = np.arange(len(lists))
    while is_list(lists.type):
        rows = rows[pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)]
        lists = pc.list_flatten(lists)
        if pa.types.is_struct(lists.type):
            there = {field.name: field.type for field in lists.type}
            names = [
                name for name in tag_text.NAMES if name in there and (is_text(there[name]) or is_list(there[name]))
            ]
            if not names:
                raise pa.ArrowTypeError(f"objects of {', '.join(there)}, none of which names a tag")
            lists = pc.struct_field(lists, names[0])
    return rows, lists


def _split_joined_hashtags(texts: pa.Array, parents: npt.NDArray[np.int64]) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    several = pc.fill_null(pc.match_substring_regex(texts, SEVERAL_HASHTAGS), False)
    if not several.true_count:
        return texts, parents
    pieces = [[each] if each is None else split_hashtags(each) for each in texts.to_pylist()]
    counts = np.fromiter(map(len, pieces), np.int64, len(pieces))
    return pa.array([tag for some in pieces for tag in some], texts.type), np.repeat(parents, counts)


def empty_tags(num_rows: int) -> pa.Array:
    """Returns an empty list for every row."""
    return pa.array([[]] * num_rows, pa.list_(pa.string()))


def with_hashtags(before: pa.Array, captions: pa.Array, encoded: bool = False) -> pa.Array:
    """Appends the hashtags of each row's caption to its tags."""
    found = [hashtags_in(caption or "") for caption in to_text(captions, encoded).to_pylist()]
    joined = [one + other for one, other in zip(before.to_pylist(), found, strict=True)]
    return pa.array(joined, pa.list_(pa.string()))


def with_nouns(before: pa.Array, captions: pa.Array, encoded: bool = False) -> pa.Array:
    """Appends the nouns of each row's caption to its tags; a noun that is among them already is not repeated."""
    nouns = CaptionNouns.load()
    found = [nouns.find(caption or "") for caption in to_text(captions, encoded).to_pylist()]
    joined = []
    for one, other in zip(before.to_pylist(), found, strict=True):
        known = set(one)
        joined.append(one + [each for each in other if each not in known])
    return pa.array(joined, pa.list_(pa.string()))


def with_tag(before: pa.Array, more: pa.Array) -> pa.Array:
    """Appends one more tag to each row's tags, or nothing where it is null."""
    joined = [
        one + [other] * (other is not None) for one, other in zip(before.to_pylist(), more.to_pylist(), strict=True)
    ]
    return pa.array(joined, pa.list_(pa.string()))


def is_list(kind: pa.DataType) -> bool:
    return any(test(kind) for test in _LISTS)
