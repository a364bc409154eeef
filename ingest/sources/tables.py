"""Reads lists of every format (Parquet, CSV, TSV, JSON lines, plain URLs) as batches of the requested columns."""

import io
from collections.abc import Generator, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from tagmill.ingest.config.sources import SourceOptions
from tagmill.ingest.sources.decompress import LINE_BYTES, BoundedLines, open_input, open_lines
from tagmill.ingest.sources.input_warnings import InputWarnings
from tagmill.ingest.sources.inputs import format_of, suffixes
from tagmill.ingest.sources.list_part import PAGE_BYTES, ListPart
from tagmill.ingest.sources.text_rows import json_rows, plain_urls
from tagmill.shards.errors import InputError

_UNCLOSED = 'close the quote, write a quote that is part of a text as """" inside quotes, or give --quoting none'


def list_batches(
    url: str,
    config: SourceOptions,
    batch_rows: int,
    warnings: InputWarnings,
    part: ListPart | None = None,
    groups: range | None = None,
) -> Generator[pa.RecordBatch, None, None]:
    """Yields batches of the columns that the config names; none for an empty file. `part`, or of a Parquet file the row
    groups `groups`, is read in place of the whole.

    Raises InputError for a missing column or an unreadable file.
    """
    reading, flags = config.reading, config.columns.flags()
    part_lines = open_lines if part is None else part.open_lines
    kind, packed = format_of(url, reading), suffixes(url)[1]
    quotes = config.quoting == "double"
    if kind == "parquet":
        with open_input(url) as file:
            parquet = pq.ParquetFile(file, buffer_size=0 if part is None else PAGE_BYTES)
            check_columns(flags, parquet.schema_arrow.names, url, part)
            if part is not None:
                yield from _of_row_groups(parquet, part, list(flags), batch_rows)
                return
            for group in (
                range(parquet.num_row_groups) if groups is None else groups
            ):  # one by one: Arrow holds the bytes of all requested row groups
                yield from parquet.iter_batches(batch_rows, [group], columns=list(flags), use_threads=False)
        return
    if kind == "csv" or kind == "tsv":
        with open_lines(url, packed) as head:  # a handle of its own, because a reader closes its file
            if head.empty:
                return
            header = separated(head, kind, quotes=quotes).schema.names
            check_columns(flags, header, url, part)
    with part_lines(url, packed) as lines:
        if kind == "txt":
            check_columns({c: f for c, f in flags.items() if f not in ("--url-column", "--tags-column")}, [], url, part)
            yield from plain_urls(lines, config.columns.url, batch_rows, warnings)
        elif kind == "json":
            tags = (config.columns.tags, config.tags_separator)
            for ordinal, (batch, seen) in enumerate(json_rows(lines, list(flags), tags, batch_rows, url, warnings)):
                if ordinal == 0:  # in later batches, a missing column is null
                    check_columns(flags, sorted(seen), url, part)
                yield batch
        elif kind == "headless":
            check_columns(flags, list(reading.header), url, part)
            if lines.empty:
                return
            yield from separated(
                lines, "tsv", [*flags, *(reading.skip.keys() - flags.keys())], reading.header, quotes=False
            )
        else:
            columns = [*(flags.keys() - header[-1:]), header[-1]]
            yield from _checked_rows(lines, kind, columns, url, warnings) if quotes else separated(lines, kind, columns)


def _of_row_groups(
    parquet: pq.ParquetFile, part: ListPart, columns: list[str], batch_rows: int
) -> Iterator[pa.RecordBatch]:
    for group, num_rows in part.row_groups(parquet):
        for batch in parquet.iter_batches(min(batch_rows, num_rows), [group], columns=columns, use_threads=False):
            yield batch[:num_rows]
            num_rows -= len(batch)
            if num_rows <= 0:
                break


def check_columns(flags: dict[str, str], found: list[str], url: str, part: ListPart | None = None) -> None:
    """Raises InputError where a column that is wanted, given with its flag, is missing or there twice; notes in `part` which
    there are."""
    if part is not None:
        part.columns = found
    for column, flag in flags.items():
        if found.count(column) > 1:
            raise InputError(f"{found.count(column)} columns {column!r}", url, f"rename all but one, or {flag}")
        if column not in found:
            remedy = f"name it with {flag}; the file has {', '.join(found)}"
            if not found:
                remedy = f"a list of plain URLs has no columns: leave out {flag} and --preset"
            raise InputError(f"no column {column!r}", url, remedy)


def _checked_rows(
    lines: BoundedLines, kind: str, columns: list[str], url: str, warnings: InputWarnings
) -> Iterator[pa.RecordBatch]:
    """Yields batches of CSV or TSV; the last of `columns` must be the last column of the file.

    A quote that is never closed makes one row of everything that follows, which Arrow accepts; here it is an
    InputError. A quote that another quote closes lines later makes one row of several lines: these are counted.
    """
    count, end = 0, pa.nulls(1)
    try:
        for batch in separated(lines, kind, columns, quotes=True):
            count += len(batch)
            end = batch[columns[-1]][-1:] if len(batch) else end
            yield batch
    except pa.ArrowInvalid as error:
        if "straddling" not in str(error):
            raise
        raise InputError(f"a row after row {count} has more than {LINE_BYTES} bytes", url, _UNCLOSED) from error
    # Only a quoted field can contain a line end, and a field that was closed at the end of the file ends with a quote.
    if b"\n" in (end.cast(pa.binary())[0].as_py() or b"") and lines.last != b'"':
        raise InputError(f"row {count}, the last, has a quote that is not closed", url, _UNCLOSED)
    warnings.joined += max(0, lines.filled - 1 - count)  # without the header


def separated(
    file: io.RawIOBase,
    kind: str,
    columns: list[str] | None = None,
    header: tuple[str, ...] = (),
    *,
    quotes: bool = False,
) -> Any:
    """Returns Arrow's CSV or TSV reader; `header` names the columns of a file without one."""
    converting = pa_csv.ConvertOptions(
        check_utf8=False,  # invalid UTF-8 is replaced later; one row must not stop the ingest
        include_columns=columns,
        column_types={column: pa.string() for column in columns or ()},
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=[""],
    )
    parsing = pa_csv.ParseOptions(
        delimiter="\t" if kind == "tsv" else ",",
        quote_char='"' if quotes else False,
        newlines_in_values=quotes,
    )
    # In one thread, because only then do errors name the row.
    reading = pa_csv.ReadOptions(use_threads=False, block_size=LINE_BYTES, column_names=list(header) or None)
    return pa_csv.open_csv(file, read_options=reading, parse_options=parsing, convert_options=converting)
