"""Rows from lists of URLs and tags: Parquet, CSV, TSV and JSON lines from any store, streamed, each with its row_id."""

import io
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from tagmill.ingest.config import IngestConfig
from tagmill.shards.errors import InputError
from tagmill.shards.store import Store, handle, is_local

ROW_BITS = 40  # row_id = file ordinal << 40 | row ordinal
BATCH_ROWS = 16_384
_FORMATS = {"parquet": "parquet", "pq": "parquet", "csv": "csv", "tsv": "tsv", "jsonl": "json", "ndjson": "json"}
_PACKED = {"gz": "gzip", "zst": "zstd", "bz2": "bz2"}
_GIVE = "give Parquet (.parquet), CSV (.csv), TSV (.tsv) or JSON lines (.jsonl), packed with gzip or zstd or not"
# What the readers raise on bytes that are not what their name says.
_UNREADABLE = (OSError, pa.ArrowException, UnicodeDecodeError, zlib.error, EOFError)


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
    with _reading(url) as file:
        found = pq.ParquetFile(file).schema_arrow if _format(url) == "parquet" else pa.schema([])
    kinds = {column.name: _simple(column.type) for column in found}
    return pa.schema([pa.field(name, kinds.get(name, pa.string())) for name in config.extra_columns])


def input_files(config: IngestConfig) -> list[str]:
    """Every input file once, sorted by its whole name: their order gives the file ordinals."""
    files = sorted({file for given in config.input for file in _expand(given)})
    if len(files) >= 1 << 63 - ROW_BITS:
        raise InputError(f"{len(files)} files", ", ".join(config.input), "join some of them")
    for file in files:
        _format(file)
    return files


def rows(config: IngestConfig) -> Iterator[pa.RecordBatch]:
    """All rows in order, as batches of `row_schema`. Raises InputError: missing column, no rows, unreadable file."""
    schema = row_schema(config)
    some = False
    for ordinal, url in enumerate(input_files(config)):
        start = ordinal << ROW_BITS
        for raw in _raw(url, config):
            batch = _row_batch(raw, start, schema, url, config)
            start += len(batch)
            some = some or len(batch) > 0
            yield batch
    if not some:
        raise InputError("the list is empty", ", ".join(config.input), "give at least one row")


def _expand(given: str) -> list[str]:
    fs, path = handle(given)
    named = (lambda found: str(found)) if is_local(given) else fs.unstrip_protocol
    if any(c in path for c in "*?["):
        found = [file for file in fs.glob(path) if fs.isfile(file)]
    elif fs.isdir(path):
        found = [file for file in fs.find(path) if _suffixes(file)[0] in _FORMATS]
    else:
        found = [path] if fs.isfile(path) else []
    if not found:
        raise InputError("no input here", given, f"check the name; {_GIVE}")
    return [named(file) for file in found]


def _suffixes(url: str) -> tuple[str, str]:
    """('csv', 'gz') of 'list.csv.gz', ('csv', '') of 'list.csv'."""
    parts = [part.lower() for part in PurePosixPath(url).name.split(".")[1:]]
    if parts and parts[-1] in _PACKED:
        return (parts[-2] if len(parts) > 1 else ""), parts[-1]
    return (parts[-1] if parts else ""), ""


def _format(url: str) -> str:
    suffix = _suffixes(url)[0]
    if suffix not in _FORMATS:
        raise InputError(f"a file whose format {suffix or 'without suffix'!r} is not read", url, _GIVE)
    return _FORMATS[suffix]


@contextmanager
def _reading(url: str) -> Iterator[BinaryIO | pa.NativeFile]:
    """The open file, unpacked; whatever reading it raises becomes an InputError that names it."""
    folder, _, name = url.rpartition("/")
    packed = _PACKED.get(_suffixes(url)[1])
    try:
        with Store(folder or "/").open(name) as file:
            yield pa.CompressedInputStream(pa.PythonFile(file, "r"), packed) if packed else file
    except _UNREADABLE as error:
        raise InputError(f"cannot be read: {error}", url, "mend or remove this file") from error


def _raw(url: str, config: IngestConfig) -> Iterator[pa.RecordBatch]:
    """Batches of the columns that the config names, as the file has them."""
    optional = [config.licence_column, config.page_column, *config.extra_columns]
    columns = [config.url_column, config.tags_column, *(column for column in optional if column is not None)]
    kind = _format(url)
    with _reading(url) as file:
        if kind == "parquet":
            parquet = pq.ParquetFile(file)
            _check_columns(columns, parquet.schema_arrow.names, url)
            yield from parquet.iter_batches(BATCH_ROWS, columns=columns, use_threads=False)
        elif kind == "json":
            yield from _json_batches(file, columns, config.tags_separator, url)
        else:
            delimiter = "\t" if kind == "tsv" else ","
            with _reading(url) as head:  # its own handle: a reader closes what it has read
                _check_columns(columns, _csv(head, delimiter).schema.names, url)
            yield from _csv(file, delimiter, columns)


def _check_columns(columns: list[str], found: list[str], url: str) -> None:
    flags = ("--url-column", "--tags-column")
    for ordinal, column in enumerate(columns):
        if column not in found:
            flag = flags[ordinal] if ordinal < len(flags) else "its flag"
            raise InputError(f"no column {column!r}", url, f"name it with {flag}; the file has {', '.join(found)}")


def _csv(file: BinaryIO | pa.NativeFile, delimiter: str, columns: list[str] | None = None) -> Any:
    options = pa_csv.ConvertOptions(
        check_utf8=False,  # bytes that are not UTF-8 are mended below, a row is no reason to stop
        include_columns=columns,
        column_types={column: pa.string() for column in columns or ()},
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=[""],
    )
    parsing = pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    return pa_csv.open_csv(file, parse_options=parsing, convert_options=options)


def _json_batches(
    file: BinaryIO | pa.NativeFile, columns: list[str], separator: str, url: str
) -> Iterator[pa.RecordBatch]:
    """One JSON object a line. A column that no line of the first batch has is missing, else its absence is a null."""
    held: list[dict[str, Any]] = []
    first = True
    for number, line in enumerate(io.BufferedReader(file), 1):  # type: ignore[type-var]
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"line {number} is not JSON: {error}", url, "give one JSON object a line") from error
        if not isinstance(row, dict):
            raise InputError(f"line {number} is no JSON object", url, "give one JSON object a line")
        held.append(row)
        if len(held) == BATCH_ROWS:
            yield _json_batch(held, columns, separator, url, first)
            held, first = [], False
    if held:
        yield _json_batch(held, columns, separator, url, first)


def _json_batch(
    held: list[dict[str, Any]], columns: list[str], separator: str, url: str, first: bool
) -> pa.RecordBatch:
    if first:
        _check_columns(columns, sorted({name for row in held for name in row}), url)
    tags_column = columns[1]
    arrays = []
    for column in columns:
        values = [row.get(column) for row in held]
        if column == tags_column:
            lists = [value if isinstance(value, list) else (_text(value) or "").split(separator) for value in values]
            arrays.append(pa.array([[_text(tag) for tag in tags] for tags in lists], pa.list_(pa.string())))
        else:
            arrays.append(pa.array([_text(value) for value in values], pa.string()))
    return pa.record_batch(arrays, columns)


def _text(value: object) -> str | None:
    """Text of a JSON value; half a surrogate pair, which JSON can spell, has no UTF-8 and becomes '?'."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=True)
    return text.encode("utf-8", "replace").decode()


def _row_batch(raw: pa.RecordBatch, start: int, schema: pa.Schema, url: str, config: IngestConfig) -> pa.RecordBatch:
    try:
        columns = {
            "row_id": pa.array(np.arange(start, start + len(raw), dtype=np.int64)),
            "url": _string(raw[config.url_column]),
            "tags": _tags(raw[config.tags_column], config.tags_separator),
        }
        for name, column in (("licence", config.licence_column), ("page", config.page_column)):
            columns[name] = pa.nulls(len(raw), pa.string()) if column is None else _string(raw[column])
        for field in list(schema)[len(columns) :]:
            columns[field.name] = _extra(raw[field.name], field.type)
    except pa.ArrowException as error:
        raise InputError(f"a column of a type that cannot be read: {error}", url, "cast it to text") from error
    return pa.record_batch([columns[name] for name in schema.names], schema=schema)


def _simple(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_boolean(kind):
        return pa.bool_()
    if pa.types.is_integer(kind):
        return pa.int64()
    return pa.float64() if pa.types.is_floating(kind) else pa.string()


def _string(array: pa.Array) -> pa.Array:
    """Text of any scalar column; bytes that are not UTF-8 become replacement characters."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if pa.types.is_null(kind):
        return pa.nulls(len(array), pa.string())
    if not any(test(kind) for test in (_is_text, pa.types.is_binary, pa.types.is_large_binary)):
        return array.cast(pa.string())
    array = array.cast(pa.binary())
    try:
        text = array.view(pa.string())
        text.validate(full=True)
    except pa.ArrowInvalid:
        values = array.to_pylist()
        return pa.array([None if v is None else v.decode("utf-8", "replace") for v in values], pa.string())
    return text


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _extra(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_string(kind):
        return _string(array)
    array = array.cast(kind)
    if pa.types.is_floating(kind):  # JSON has no NaN and no infinity
        return pc.if_else(pc.is_finite(array), array, pa.scalar(None, kind))
    return array


def _tags(array: pa.Array, separator: str) -> pa.Array:
    """Lists of tags without surrounding white space, and without nulls and blanks; never null themselves."""
    if any(t(array.type) for t in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)):
        lists = array
    else:
        lists = pc.split_pattern(_string(array), separator)
    texts = pc.utf8_trim_whitespace(_string(pc.list_flatten(lists)))
    parents = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)
    keep = pc.fill_null(pc.not_equal(texts, ""), False)
    counts = np.bincount(parents[keep.to_numpy(zero_copy_only=False)], minlength=len(array))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), texts.filter(keep))
