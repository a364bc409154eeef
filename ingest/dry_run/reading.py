"""Reads a part of the input of an ingest, and estimates how many rows the whole has."""

import dataclasses
import math
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.sources.decompress import open_input
from tagmill.ingest.sources.input_warnings import InputWarnings
from tagmill.ingest.sources.inputs import Input, inputs
from tagmill.ingest.sources.list_part import ListPart
from tagmill.ingest.sources.locations import BYTES_COLUMN
from tagmill.ingest.sources.rows import check, row_schema, rows, rows_of_part
from tagmill.ingest.sources.samples import Listing
from tagmill.shards.errors import InputError
from tagmill.shards.storage.store import Store

EXAMINED_ROWS = 50_000  # of the input, about
EXAMINED_INPUTS = 16  # of its files, spread over them


@dataclass
class RowsRead:
    """Rows of the input, and what is known about the others."""

    rows: pa.Table  # of `row_schema`
    total: int  # rows of the input, with the limit
    exact: bool  # whether `total` was counted; otherwise it is estimated
    at_least: bool = False  # whether `total` is only what was read, because the rest cannot be estimated
    inputs: int = 0
    inputs_read: int = 0
    columns: list[str] = field(default_factory=list)  # that the first list has; unknown for tars and folders
    warnings: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The share of rows that were read, 0 to 1."""
        return len(self.rows) / max(1, self.total)


def read_rows(config: IngestConfig) -> RowsRead:
    """Reads about EXAMINED_ROWS rows: of lists spread over them, of tars and folders or under a limit the first.

    Raises what a run raises for inputs that cannot be read or lack a column.
    """
    check(config)
    found = inputs(config)
    if config.columns.image is not None or any(each.kind != "lists" for each in found):
        return _first_rows(config, found)
    if config.limit is None:
        return _spread(config, found)
    read = _first_rows(config, found)
    if not read.exact:
        whole = _spread(dataclasses.replace(config, limit=None), found)
        read.total, read.at_least = max(len(read.rows), min(config.limit, whole.total)), False
        read.exact = whole.exact
    return read


def _spread(config: IngestConfig, found: list[Input]) -> RowsRead:
    """Reads parts of lists. Lists that are not read count as an average one that was."""
    count = min(EXAMINED_INPUTS, len(found))
    chosen = [found[number * len(found) // count] for number in range(count)]
    read = RowsRead(row_schema(config).empty_table(), 0, exact=True, inputs=len(found), inputs_read=count)
    tables, total, share = [read.rows], 0.0, -(-EXAMINED_ROWS // count)
    for given in chosen:
        table, num_rows, exact, columns = _of_list(given, config, share, read.warnings)
        tables.append(table)
        total += num_rows
        read.exact = read.exact and exact
        read.columns = read.columns or columns
    read.rows = pa.concat_tables(tables)
    if not len(read.rows):
        raise InputError("the list is empty", ", ".join(config.input), "give at least one row")
    read.exact = read.exact and count == len(found)
    read.total = max(len(read.rows), round(total * len(found) / count))
    return read


def _of_list(
    given: Input, config: IngestConfig, share: int, warnings: list[str]
) -> tuple[pa.Table, float, bool, list[str]]:
    """Returns rows of a list, the number of its rows, whether that is exact, and its columns.

    A stretch of lines may begin inside a quoted field that has line ends. Where the lines of stretches cannot be parsed,
    only the beginning is read, and a warning says so, because the whole may have a line that stops a run.
    """
    part, seen = ListPart(share), InputWarnings()
    try:
        batches = list(rows_of_part(given, config, part, seen))
    except InputError as error:
        part, seen = ListPart(share, spread=False), InputWarnings()
        batches = list(rows_of_part(given, config, part, seen))  # raises what a run would raise at once
        warnings.append(
            f"{given.url}: lines further down could not be read alone ({error.what}); only its beginning was looked at. "
            "A run stops at a line that it cannot read"
        )
    table = pa.Table.from_batches(batches, row_schema(config))
    warnings += seen.warnings(given.url)
    if part.whole:
        return table, len(table), True, part.columns
    raw = len(table) + seen.skipped
    if part.num_rows is not None:
        return table, part.num_rows * len(table) / max(1, raw), not seen.skipped, part.columns
    scale = part.size / max(1, part.bytes_read)
    return table, len(table) * max(1.0, scale), False, part.columns


def _first_rows(config: IngestConfig, found: list[Input]) -> RowsRead:
    limit = min(config.limit or math.inf, EXAMINED_ROWS)
    warnings: dict[int, InputWarnings] = {}
    listings: dict[int, Listing] = {}
    batches = list(rows(dataclasses.replace(config, limit=int(limit)), warnings, listings))
    table = pa.Table.from_batches(batches, row_schema(config))
    cut = any(seen.cut for seen in warnings.values())
    read = RowsRead(table, len(table), not cut or config.limit == len(table), inputs=len(found))
    read.inputs_read = len(warnings)
    for ordinal, seen in warnings.items():
        read.warnings += seen.warnings(found[ordinal].url)
    has_images = config.columns.image is not None
    if found[0].kind == "lists" and not has_images:
        part = ListPart(1, spread=False)
        list(rows_of_part(found[0], config, part, InputWarnings()))
        read.columns = part.columns
    if not read.exact:
        total = _rows_of_parquet(found) if has_images else _rows_of_tars(table, found)
        read.total, read.at_least = max(len(table), min(total, config.limit or total)), not total
    return read


def _rows_of_parquet(found: list[Input]) -> int:
    """Estimates the rows of all Parquet files by the footers of EXAMINED_INPUTS; 0 where there are other inputs too."""
    if any(each.kind != "lists" for each in found):
        return 0
    count, total = min(EXAMINED_INPUTS, len(found)), 0
    for number in range(count):
        with open_input(found[number * len(found) // count].url) as file:
            total += pq.ParquetFile(file).metadata.num_rows
    return round(total * len(found) / count)


def _rows_of_tars(table: pa.Table, found: list[Input]) -> int:
    """Estimates the rows of all tars by their bytes; 0 where there are other inputs too."""
    if any(each.kind != "tars" for each in found):
        return 0
    last = table[BYTES_COLUMN][-1].as_py()
    names = [each.url for each in found]
    passed = names.index(last["object"]) if last and last["object"] in names else 0
    count = min(EXAMINED_INPUTS, len(names))
    sizes = [_size(names[number * len(names) // count]) for number in range(count)]
    mean = sum(sizes) / count
    read = passed * mean + (last["offset"] + last["size"] if last else mean)
    return round(len(table) * len(names) * mean / max(1.0, read))


def _size(url: str) -> int:
    folder, _, name = url.rpartition("/")
    return Store(folder or "/").size(name)
