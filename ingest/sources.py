"""Rows from lists, tars and folders of pictures on any store, streamed, each with its row_id and, if it has them, its bytes'
place."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from tagmill.ingest import columns as to
from tagmill.ingest.config import IngestConfig
from tagmill.ingest.files import has_pictures, samples_of_folder
from tagmill.ingest.inputs import ROW_BITS, Input, format_of, inputs, suffixes
from tagmill.ingest.lines import json_rows, plain_urls
from tagmill.ingest.places import PLACE
from tagmill.ingest.presets import Columns
from tagmill.ingest.samples import FOLDER, Listing, raw_batches
from tagmill.ingest.tars import samples_of_tar
from tagmill.ingest.unpack import LINE_BYTES, BoundedLines, opened, opened_lines
from tagmill.shards.errors import InputError

BATCH_ROWS = 16_384
_UNCLOSED = 'close the quote, or write a quote that is part of a text as """" inside quotes'


def row_schema(config: IngestConfig) -> pa.Schema:
    """row_id, url, tags, licence, page, the extra columns with the types that the first file gives them, and PLACE where some
    of the input brings bytes."""
    brings_bytes = any(each.kind != "lists" for each in inputs(config))
    return pa.schema(
        [
            pa.field("row_id", pa.int64(), nullable=False),
            pa.field("url", pa.string()),
            pa.field("tags", pa.list_(pa.string()), nullable=False),
            pa.field("licence", pa.string()),
            pa.field("page", pa.string()),
            *extra_schema(config),
            *([PLACE] if brings_bytes else []),
        ]
    )


def extra_schema(config: IngestConfig) -> pa.Schema:
    """The extra columns: whole numbers, floats and booleans of Parquet keep their kind, everything else is text."""
    if not config.extra_columns:
        return pa.schema([])
    first = inputs(config)[0]
    found = pa.schema([])
    if first.kind == "lists" and format_of(first.url, config.reading) == "parquet":
        with opened(first.url) as file:
            found = pq.ParquetFile(file).schema_arrow
    kinds = {column.name: to.simple_type(column.type) for column in found}
    return pa.schema([pa.field(name, kinds.get(name, pa.string())) for name in config.extra_columns])


def rows(
    config: IngestConfig, skipped: dict[int, int] | None = None, listings: dict[int, Listing] | None = None
) -> Iterator[pa.RecordBatch]:
    """All rows in order, as batches of `row_schema`. Raises InputError: missing column, no rows, unreadable file.

    What a preset knows to be no picture (a video) is no row, but has had its row_id, so that the others' do not depend
    on it; `skipped` is given how many there were by file ordinal, `listings` what was seen of tars and folders.
    """
    schema = row_schema(config)
    some = False
    for ordinal, given in enumerate(inputs(config)):
        start = ordinal << ROW_BITS
        listing = Listing()
        if listings is not None and given.kind != "lists":
            listings[ordinal] = listing
        for raw in _raw(given, config, listing):
            batch = _row_batch(raw, start, schema, given.url, config)
            start += len(raw)
            some = some or len(batch) > 0
            if skipped is not None and len(batch) < len(raw):
                skipped[ordinal] = skipped.get(ordinal, 0) + len(raw) - len(batch)
            yield batch
    if not some:
        raise InputError("the list is empty", ", ".join(config.input), "give at least one row")


def check(config: IngestConfig) -> None:
    """Raises what `rows` would raise at its beginning, without listing a whole folder of pictures."""
    first = inputs(config)[0]
    if first.kind != "files":
        any(map(len, rows(config)))
    elif not has_pictures(first.url):
        raise InputError("no picture here", first.url, "check the name; symbolic links are not followed")


def _raw(given: Input, config: IngestConfig, listing: Listing) -> Iterator[pa.RecordBatch]:
    """Batches of the columns that the config names, as the input has them."""
    if given.kind == "lists":
        if config.tags_from_folder:
            raise InputError("a list has no folders", given.url, "leave out --tags-from-folder")
        yield from _raw_list(given.url, config)
    else:
        samples = samples_of_tar if given.kind == "tars" else samples_of_folder
        yield from raw_batches(samples(given, config, listing), config, BATCH_ROWS, given.url)


def _raw_list(url: str, config: IngestConfig) -> Iterator[pa.RecordBatch]:
    reading, flags = config.reading, config.columns.flags()
    kind, packed = format_of(url, reading), suffixes(url)[1]
    if kind == "parquet":
        with opened(url) as file:
            parquet = pq.ParquetFile(file)
            _check_columns(flags, parquet.schema_arrow.names, url)
            for group in range(parquet.num_row_groups):  # one by one: Arrow holds the bytes of all that it is asked for
                yield from parquet.iter_batches(BATCH_ROWS, [group], columns=list(flags), use_threads=False)
        return
    if kind == "csv" or kind == "tsv":
        with opened_lines(url, packed) as head:  # its own handle: a reader closes what it has read
            header = _separated(head, kind).schema.names
            _check_columns(flags, header, url)
    with opened_lines(url, packed) as lines:
        if kind == "txt":
            _check_columns({c: f for c, f in flags.items() if f not in ("--url-column", "--tags-column")}, [], url)
            yield from plain_urls(lines, config.columns.url, BATCH_ROWS)
        elif kind == "json":
            tags = (config.columns.tags, config.tags_separator)
            for ordinal, (batch, seen) in enumerate(json_rows(lines, list(flags), tags, BATCH_ROWS, url)):
                if ordinal == 0:  # later, what no line has is null
                    _check_columns(flags, sorted(seen), url)
                yield batch
        elif kind == "headless":
            _check_columns(flags, list(reading.header), url)
            yield from _separated(lines, "tsv", [*flags, *(reading.skip.keys() - flags.keys())], reading.header)
        else:
            yield from _whole_rows(lines, kind, [*(flags.keys() - header[-1:]), header[-1]], url)


def _check_columns(flags: dict[str, str], found: list[str], url: str) -> None:
    for column, flag in flags.items():
        if found.count(column) > 1:
            raise InputError(f"{found.count(column)} columns {column!r}", url, f"rename all but one, or {flag}")
        if column not in found:
            remedy = f"name it with {flag}; the file has {', '.join(found)}"
            if not found:
                remedy = f"a list of plain URLs has no columns: leave out {flag} and --preset"
            raise InputError(f"no column {column!r}", url, remedy)


def _whole_rows(lines: BoundedLines, kind: str, columns: list[str], url: str) -> Iterator[pa.RecordBatch]:
    """Batches of CSV or TSV, of which `columns` has the last column as its last.

    A quote that is never closed makes one row of all that follows it. Arrow gives that out as it is; here it is refused.
    """
    count, end = 0, pa.nulls(1)
    try:
        for batch in _separated(lines, kind, columns):
            count += len(batch)
            end = batch[columns[-1]][-1:] if len(batch) else end
            yield batch
    except pa.ArrowInvalid as error:
        if "straddling" not in str(error):
            raise
        raise InputError(f"a row after row {count} has more than {LINE_BYTES} bytes", url, _UNCLOSED) from error
    # Only a quoted field has a line's end in it, and one that was closed at the end of the file ends with a quote.
    if b"\n" in (end.cast(pa.binary())[0].as_py() or b"") and lines.last != b'"':
        raise InputError(f"row {count}, the last, has a quote that is not closed", url, _UNCLOSED)


def _separated(file: io.RawIOBase, kind: str, columns: list[str] | None = None, header: tuple[str, ...] = ()) -> Any:
    """Arrow's reader of CSV or TSV; with a `header`, of lines that have none, and no quotes either."""
    converting = pa_csv.ConvertOptions(
        check_utf8=False,  # bytes that are not UTF-8 are mended below, a row is no reason to stop
        include_columns=columns,
        column_types={column: pa.string() for column in columns or ()},
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=[""],
    )
    parsing = pa_csv.ParseOptions(
        delimiter="\t" if kind == "tsv" else ",",
        quote_char=False if header else '"',
        newlines_in_values=not header,
    )
    # In one thread, because only then errors name the row.
    reading = pa_csv.ReadOptions(use_threads=False, block_size=LINE_BYTES, column_names=list(header) or None)
    return pa_csv.open_csv(file, read_options=reading, parse_options=parsing, convert_options=converting)


def _row_batch(raw: pa.RecordBatch, start: int, schema: pa.Schema, url: str, config: IngestConfig) -> pa.RecordBatch:
    reading, names = config.reading, config.columns
    ids = pa.array(np.arange(start, start + len(raw), dtype=np.int64))
    for column, value in reading.skip.items():
        keep = pc.fill_null(pc.not_equal(raw[column], value), True)
        raw, ids = raw.filter(keep), ids.filter(keep)
    try:
        columns = {"row_id": ids, "url": to.text(raw[names.url]), "tags": _tags(raw, names, config)}
        for name, source in (("licence", names.licence), ("page", names.page)):
            columns[name] = pa.nulls(len(raw), pa.string()) if source is None else to.said(to.text(raw[source]))
        for field in list(schema)[len(columns) :]:
            if field.name == PLACE.name:
                columns[field.name] = (
                    raw[PLACE.name] if PLACE.name in raw.schema.names else pa.nulls(len(raw), PLACE.type)
                )
                continue
            columns[field.name] = to.extra(raw[field.name], field.type, field.name in reading.encoded)
    except pa.ArrowException as error:
        raise InputError(f"a column of a type that cannot be read: {error}", url, "cast it to text") from error
    return pa.record_batch([columns[name] for name in schema.names], schema=schema)


def _tags(raw: pa.RecordBatch, names: Columns, config: IngestConfig) -> pa.Array:
    encoded = config.reading.encoded
    if names.tags is None or names.tags not in raw.schema.names:  # a list of nothing but URLs
        tags = to.no_tags(len(raw))
    else:
        tags = to.tags(raw[names.tags], config.tags_separator, names.tags in encoded)
    if names.caption is not None:
        tags = to.with_hashtags(tags, raw[names.caption], names.caption in encoded)
    return to.with_tag(tags, raw[FOLDER]) if config.tags_from_folder else tags
