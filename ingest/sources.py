"""Rows from lists of URLs and tags on any store, streamed, each with its row_id: Parquet, CSV, TSV, JSON lines, text."""

import io
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from tagmill.ingest import columns as to
from tagmill.ingest.config import IngestConfig
from tagmill.ingest.lines import json_rows, plain_urls
from tagmill.ingest.presets import Columns, Preset
from tagmill.ingest.unpack import LINE_BYTES, PACKED, BoundedLines, opened, opened_lines
from tagmill.shards.errors import InputError
from tagmill.shards.store import handle, is_local

ROW_BITS = 40  # row_id = file ordinal << 40 | row ordinal
BATCH_ROWS = 16_384
_FORMATS = {"parquet": "parquet", "pq": "parquet", "csv": "csv", "tsv": "tsv", "jsonl": "json", "ndjson": "json"}
_FORMATS |= {"txt": "txt"}
_HEADLESS = frozenset(["", "tsv", "txt"])  # suffixes of files whose columns a preset names
_UNCLOSED = 'close the quote, or write a quote that is part of a text as """" inside quotes'
_GIVE = (
    "give Parquet (.parquet), CSV (.csv), TSV (.tsv), JSON lines (.jsonl) or a URL a line (.txt), the last four "
    + ("packed (.gz, .zst, .bz2) or not")
)


def row_schema(config: IngestConfig) -> pa.Schema:
    """row_id, url, tags, licence, page, and the extra columns with the types that the first file gives them."""
    return pa.schema(
        [
            pa.field("row_id", pa.int64(), nullable=False),
            pa.field("url", pa.string()),
            pa.field("tags", pa.list_(pa.string()), nullable=False),
            pa.field("licence", pa.string()),
            pa.field("page", pa.string()),
            *extra_schema(config),
        ]
    )


def extra_schema(config: IngestConfig) -> pa.Schema:
    """The extra columns: whole numbers, floats and booleans of Parquet keep their kind, everything else is text."""
    if not config.extra_columns:
        return pa.schema([])
    url = input_files(config)[0]
    found = pa.schema([])
    if _format(url, config.reading) == "parquet":
        with opened(url) as file:
            found = pq.ParquetFile(file).schema_arrow
    kinds = {column.name: to.simple_type(column.type) for column in found}
    return pa.schema([pa.field(name, kinds.get(name, pa.string())) for name in config.extra_columns])


def input_files(config: IngestConfig) -> list[str]:
    """Every input file once, sorted by its whole name: their order gives the file ordinals."""
    files = sorted({file for given in config.input for file in _expand(given, config.reading)})
    if len(files) >= 1 << 63 - ROW_BITS:
        raise InputError(f"{len(files)} files", ", ".join(config.input), "join some of them")
    for file in files:
        _format(file, config.reading)
    return files


def rows(config: IngestConfig, skipped: dict[int, int] | None = None) -> Iterator[pa.RecordBatch]:
    """All rows in order, as batches of `row_schema`. Raises InputError: missing column, no rows, unreadable file.

    What a preset knows to be no picture (a video) is no row, but has had its row_id, so that the others' do not depend
    on it; `skipped` is given how many there were by file ordinal.
    """
    schema = row_schema(config)
    some = False
    for ordinal, url in enumerate(input_files(config)):
        start = ordinal << ROW_BITS
        for raw in _raw(url, config):
            batch = _row_batch(raw, start, schema, url, config)
            start += len(raw)
            some = some or len(batch) > 0
            if skipped is not None and len(batch) < len(raw):
                skipped[ordinal] = skipped.get(ordinal, 0) + len(raw) - len(batch)
            yield batch
    if not some:
        raise InputError("the list is empty", ", ".join(config.input), "give at least one row")


def _expand(given: str, reading: Preset) -> list[str]:
    """The files that an input names. A folder gives those whose suffix is a format's, and not two kinds by accident."""
    fs, path = handle(given)
    named = (lambda found: str(found)) if is_local(given) else fs.unstrip_protocol
    if any(c in path for c in "*?["):
        found = [file for file in fs.glob(path) if fs.isfile(file)]
    elif fs.isdir(path):
        found = [file for file in fs.find(path) if _in_folder(file, reading)]
        texts = [file for file in found if _suffixes(file)[0] == "txt"]
        if 0 < len(texts) < len(found) and not reading.header:
            what = f"lists with columns, and {PurePosixPath(texts[0]).name} without"
            raise InputError(what, given, "name the files, or give a glob such as FOLDER/*.csv")
    else:
        found = [path] if fs.isfile(path) else []
    if not found:
        raise InputError("no input here", given, f"check the name; {_GIVE}")
    return [named(file) for file in found]


def _in_folder(file: str, reading: Preset) -> bool:
    suffix, packed = _suffixes(file)
    if reading.header:
        return suffix in _HEADLESS and (suffix != "" or packed != "")  # LICENSE has no suffix either
    return suffix in _FORMATS


def _suffixes(url: str) -> tuple[str, str]:
    """('csv', 'gz') of 'list.csv.gz', ('csv', '') of 'list.csv'."""
    parts = [part.lower() for part in PurePosixPath(url).name.split(".")[1:]]
    if parts and parts[-1] in PACKED:
        return (parts[-2] if len(parts) > 1 else ""), parts[-1]
    return (parts[-1] if parts else ""), ""


def _format(url: str, reading: Preset) -> str:
    suffix, packed = _suffixes(url)
    if reading.header:
        if suffix not in _HEADLESS:
            raise InputError(f"a preset for TSV files does not read {suffix!r}", url, "name the columns by their flags")
        return "headless"
    if suffix not in _FORMATS:
        raise InputError(f"a file whose format {suffix or 'without suffix'!r} is not read", url, _GIVE)
    if packed and _FORMATS[suffix] == "parquet":
        raise InputError("a packed Parquet file cannot be read", url, "unpack it: Parquet is packed inside")
    return _FORMATS[suffix]


def _raw(url: str, config: IngestConfig) -> Iterator[pa.RecordBatch]:
    """Batches of the columns that the config names, as the file has them."""
    reading, flags = config.reading, config.columns.flags()
    kind, packed = _format(url, reading), _suffixes(url)[1]
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
            columns[name] = pa.nulls(len(raw), pa.string()) if source is None else to.text(raw[source])
        for field in list(schema)[len(columns) :]:
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
    return tags if names.caption is None else to.with_hashtags(tags, raw[names.caption], names.caption in encoded)
