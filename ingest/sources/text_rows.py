"""Reads JSON lines and plain lists of URLs, in batches that are bounded by rows and by bytes."""

import codecs
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from tagmill.ingest.sources.input_warnings import InputWarnings
from tagmill.ingest.text import tag_text
from tagmill.shards.errors import InputError

BATCH_BYTES = 1 << 24  # batches are bounded by bytes too: 16,384 lines of the longest would be 16 GiB
_OBJECT = "give one JSON object a line"


def plain_urls(file: io.RawIOBase, column: str, batch_rows: int, warnings: InputWarnings) -> Iterator[pa.RecordBatch]:
    """Yields batches of one column: one URL a line, stripped. Blank lines are skipped."""
    held: list[str] = []
    held_bytes = 0
    for _, line in _lines(file):
        held.append(_decoded(line, warnings).strip())
        held_bytes += len(line)
        if len(held) == batch_rows or held_bytes >= BATCH_BYTES:
            yield pa.record_batch([pa.array(held, pa.string())], [column])
            held, held_bytes = [], 0
    if held:
        yield pa.record_batch([pa.array(held, pa.string())], [column])


def json_rows(
    file: io.RawIOBase,
    columns: Sequence[str],
    tags: tuple[str | None, str],
    batch_rows: int,
    url: str,
    warnings: InputWarnings,
) -> Iterator[tuple[pa.RecordBatch, set[str]]]:
    """Yields batches of `columns`, each with the names of all columns that occurred in it. Blank lines are skipped.

    Missing values are null, others are text. `tags` is (the column that becomes lists, the separator that its text is
    split by). Raises InputError with the line number where a line is no JSON object.
    """
    held: list[tuple[Any, ...]] = []
    held_bytes = 0
    seen: set[str] = set()
    for row, line in json_objects(file, url, warnings):
        held.append(tuple(map(row.get, columns)))
        held_bytes += len(line)
        seen.update(row)
        if len(held) == batch_rows or held_bytes >= BATCH_BYTES:
            yield text_batch(held, columns, tags), seen
            held, held_bytes, seen = [], 0, set()
    if held:
        yield text_batch(held, columns, tags), seen


def _lines(file: io.RawIOBase) -> Iterator[tuple[int, bytes]]:
    """Yields (number from 1, bytes) of every line that is not blank, without a byte order mark."""
    for number, line in enumerate(io.BufferedReader(file, 1 << 18), 1):
        bare = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        if bare.strip():
            yield number, bare


def json_objects(file: io.RawIOBase, url: str, warnings: InputWarnings) -> Iterator[tuple[Mapping[str, Any], bytes]]:
    """Yields every JSON object with its line. Raises InputError with the line number where a line is no JSON object."""
    for number, line in _lines(file):
        yield _object(_decoded(line, warnings), number, url), line


def _decoded(line: bytes, warnings: InputWarnings) -> str:
    """Decodes a line. Invalid UTF-8 is replaced, as in every format: a broken character must not stop the ingest."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        warnings.replaced += 1
        return line.decode("utf-8", "replace")


def _object(line: str, number: int, url: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"line {number} is not JSON: {error}", url, _OBJECT) from error
    if not isinstance(row, dict):
        raise InputError(f"line {number} is no JSON object", url, _OBJECT)
    return row


def text_batch(held: Sequence[tuple[Any, ...]], columns: Sequence[str], tags: tuple[str | None, str]) -> pa.RecordBatch:
    """Returns JSON values of rows as text columns; the column that `tags` names becomes lists."""
    arrays = []
    tags_column, separator = tags
    for column, cells in zip(columns, zip(*held, strict=True), strict=True):
        if column == tags_column:
            arrays.append(pa.array([tag_text.values(cell, separator) for cell in cells], pa.list_(pa.string())))
        else:
            arrays.append(pa.array([tag_text.plain_tags(cell) for cell in cells], pa.string()))
    return pa.record_batch(arrays, list(columns))
