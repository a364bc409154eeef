"""Rows of JSON lines and of plain lists of URLs, in batches that are bounded by rows and by bytes."""

import codecs
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from tagmill.ingest.sources.input_warnings import Noticed
from tagmill.ingest.text import tag_text
from tagmill.shards.errors import InputError

BATCH_BYTES = 1 << 24  # lines are cut into batches by their bytes too: 16,384 of the longest would be 16 GiB
_OBJECT = "give one JSON object a line"


def plain_urls(file: io.RawIOBase, column: str, batch_rows: int, noticed: Noticed) -> Iterator[pa.RecordBatch]:
    """Batches of one column: a URL a line, without the white space around it. Blank lines are no rows."""
    held: list[str] = []
    held_bytes = 0
    for _, line in _lines(file):
        held.append(_decoded(line, noticed).strip())
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
    noticed: Noticed,
) -> Iterator[tuple[pa.RecordBatch, set[str]]]:
    """Batches of `columns`, each with the names of all columns that were seen in it. Blank lines are no rows.

    A value that a line lacks is null, others are text. `tags` is the column that becomes lists, and what its text is
    split by. Raises InputError, which names the line, where a line is no JSON object.
    """
    held: list[tuple[Any, ...]] = []
    held_bytes = 0
    seen: set[str] = set()
    for row, line in json_objects(file, url, noticed):
        held.append(tuple(map(row.get, columns)))
        held_bytes += len(line)
        seen.update(row)
        if len(held) == batch_rows or held_bytes >= BATCH_BYTES:
            yield text_batch(held, columns, tags), seen
            held, held_bytes, seen = [], 0, set()
    if held:
        yield text_batch(held, columns, tags), seen


def _lines(file: io.RawIOBase) -> Iterator[tuple[int, bytes]]:
    """(number from 1, bytes) of every line that is not blank, without the byte order mark that some editors write."""
    for number, line in enumerate(io.BufferedReader(file, 1 << 18), 1):
        bare = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        if bare.strip():
            yield number, bare


def json_objects(file: io.RawIOBase, url: str, noticed: Noticed) -> Iterator[tuple[Mapping[str, Any], bytes]]:
    """Every JSON object with its line. Raises InputError, which names the line, where a line is no JSON object."""
    for number, line in _lines(file):
        yield _object(_decoded(line, noticed), number, url), line


def _decoded(line: bytes, noticed: Noticed) -> str:
    """The text of a line. Bytes that are not UTF-8 are replaced, as in every format: a broken letter is no reason to stop."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        noticed.replaced += 1
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
    """JSON values of rows by `columns`, as text; the column that `tags` names as lists, its text split by the separator."""
    arrays = []
    tags_column, separator = tags
    for column, cells in zip(columns, zip(*held, strict=True), strict=True):
        if column == tags_column:
            arrays.append(pa.array([tag_text.values(cell, separator) for cell in cells], pa.list_(pa.string())))
        else:
            arrays.append(pa.array([tag_text.plain_tags(cell) for cell in cells], pa.string()))
    return pa.record_batch(arrays, list(columns))
