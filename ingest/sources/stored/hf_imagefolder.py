"""Hugging Face image folders: rows of `metadata.csv`, `.jsonl` or `.parquet` that name their images by `file_name`."""

import json
import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow.parquet as pq

from tagmill.ingest.config.sources import SourceOptions
from tagmill.ingest.sources.columns import is_list, to_tags
from tagmill.ingest.sources.decompress import open_input, open_lines
from tagmill.ingest.sources.input_warnings import InputWarnings
from tagmill.ingest.sources.tables import separated
from tagmill.ingest.sources.text_rows import json_objects
from tagmill.ingest.text.text_columns import to_text
from tagmill.shards.errors import InputError

MARK = "\0"  # separates an image's suffix from its row, in entries that are sorted together with files
_BATCH_ROWS = 4096


def metadata_entries(folder: str, names: Iterable[str], config: SourceOptions) -> Iterator[tuple[bytes, bytes, int]]:
    """Yields (path without suffix, suffix + MARK + row as JSON, -1) of each image that a metadata file names.

    A row has all columns of its file; only those that the config names have values. Raises InputError where a file
    cannot be read, or has no column of file names.
    """
    for name in sorted(names):
        inside = name.rpartition("/")[0]
        for row in _rows(f"{folder}/{name}", config):
            paths = [path for column, value in row.items() if _names_files(column) for path in _paths(value)]
            facts = {column: value if column in config.columns.flags() else None for column, value in row.items()}
            for path in paths:
                full = posixpath.normpath(posixpath.join(inside, path.replace("\\", "/")))
                stem, _, suffix = full.rpartition(".")
                marked = f"{suffix}{MARK}{json.dumps(facts)}"
                yield os.fsencode(stem), marked.encode("utf-8", "surrogateescape"), -1


def _names_files(column: str) -> bool:
    return column in ("file_name", "file_names") or column.endswith(("_file_name", "_file_names"))


def _paths(value: object) -> list[str]:
    return [path for path in (value if isinstance(value, list) else [value]) if isinstance(path, str) and path]


def _rows(url: str, config: SourceOptions) -> Iterator[Mapping[str, Any]]:
    if url.endswith(".jsonl"):
        with open_lines(url, "") as lines:
            for number, (row, _) in enumerate(json_objects(lines, url, InputWarnings())):
                if number == 0:
                    _check(row, url)
                yield row
    elif url.endswith(".parquet"):
        with open_input(url) as file:
            parquet = pq.ParquetFile(file)
            header = _check(parquet.schema_arrow.names, url)
            for group in range(parquet.num_row_groups):
                wanted = _select(header, config)
                yield from _rows_of_batches(parquet.iter_batches(_BATCH_ROWS, [group], columns=wanted), header, config)
    else:
        with open_lines(url, "") as head:
            if head.empty:
                return
            header = _check(separated(head, "csv", quotes=True).schema.names, url)
        with open_lines(url, "") as lines:
            yield from _rows_of_batches(separated(lines, "csv", _select(header, config), quotes=True), header, config)


def _check(header: Iterable[str], url: str) -> list[str]:
    found = list(header)
    if not any(map(_names_files, found)):
        remedy = f"name it so, or rename the file if it is of something else; it has {', '.join(found)}"
        raise InputError("no column file_name, which says whose metadata a row is", url, remedy)
    return found


def _select(header: list[str], config: SourceOptions) -> list[str]:
    return [column for column in header if _names_files(column) or column in config.columns.flags()]


def _rows_of_batches(batches: Iterable[Any], header: list[str], config: SourceOptions) -> Iterator[Mapping[str, Any]]:
    for batch in batches:
        values = {}
        for column in batch.schema.names:
            array = batch[column]
            if is_list(array.type):
                array = to_tags(array, config.tags_separator)
            values[column] = (array if is_list(array.type) else to_text(array)).to_pylist()
        for row in range(len(batch)):
            yield {column: values[column][row] if column in values else None for column in header}
