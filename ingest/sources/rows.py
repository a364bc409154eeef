"""Streams rows from lists, tars and folders of images on any store, each with its row_id and, if stored, its byte range."""

import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from itertools import groupby

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.config.presets import Columns
from tagmill.ingest.config.sources import SourceOptions
from tagmill.ingest.filters.listed_digests import (
    ALTERED,
    LISTED_FIELDS,
    check_digests,
    listed_fields,
    marks_altered,
    read_digests,
)
from tagmill.ingest.sources.columns import (
    drop_empty_words,
    empty_tags,
    replaced_rows,
    simple_type,
    to_extra,
    to_tags,
    with_hashtags,
    with_nouns,
    with_tag,
)
from tagmill.ingest.sources.decompress import open_input
from tagmill.ingest.sources.input_warnings import InputWarnings
from tagmill.ingest.sources.inputs import ROW_BITS, Input, find_inputs, format_of, inputs
from tagmill.ingest.sources.list_part import ListPart
from tagmill.ingest.sources.locations import BYTES_FIELD
from tagmill.ingest.sources.pieces import Piece
from tagmill.ingest.sources.samples import FOLDER_COLUMN, Listing, any_sample, raw_batches
from tagmill.ingest.sources.stored.folder import has_pictures, samples_of_folder
from tagmill.ingest.sources.stored.parquet_pictures import Pictures, picture_batches
from tagmill.ingest.sources.stored.tar import samples_of_tar
from tagmill.ingest.sources.streams import streams_in_order
from tagmill.ingest.sources.tables import list_batches
from tagmill.ingest.text.text_columns import to_text
from tagmill.shards.errors import ConfigError, InputError
from tagmill.shards.storage.hedge import unhedged
from tagmill.shards.storage.store import is_local

BATCH_ROWS = 16_384
PIECE_ROWS = (
    512  # of a remote tar in a batch: it is listed beside many others, and their samples are in memory together
)
TARS_AT_ONCE = 64  # remote tars that are listed at a time, each by one request after the other
WAITING_BYTES = 1 << 28  # of rows that wait for those of tars before theirs
PATIENT_REQUESTS = 256  # for the first rows of a tar that is checked; a column that they lack is sought in large steps
log = logging.getLogger(__name__)


def row_schema(config: SourceOptions) -> pa.Schema:
    """Returns row_id, url, tags, licence, page, the digests of a list (LISTED_FIELDS), the extra columns, and BYTES_FIELD where
    some input stores images.

    Extra columns have the types of the first file.
    """
    brings_bytes = config.columns.image is not None or any(each.kind != "lists" for each in inputs(config))
    return pa.schema(
        [
            pa.field("row_id", pa.int64(), nullable=False),
            pa.field("url", pa.string()),
            pa.field("tags", pa.list_(pa.string()), nullable=False),
            pa.field("licence", pa.string()),
            pa.field("page", pa.string()),
            *listed_fields(config),
            *_given_extra(config),
            *([BYTES_FIELD] if brings_bytes else []),
        ]
    )


def extra_schema(config: SourceOptions) -> pa.Schema:
    """Returns the extra columns of the corpus: numbers and booleans of Parquet keep their kind, all others are text."""
    return pa.schema([*_given_extra(config), *([ALTERED] if marks_altered(config) else [])])


def _given_extra(config: SourceOptions) -> pa.Schema:
    if not config.extra_columns:
        return pa.schema([])
    first = inputs(config)[0]
    found = pa.schema([])
    if first.kind == "lists" and format_of(first.url, config.reading) == "parquet":
        with open_input(first.url) as file:
            found = pq.ParquetFile(file).schema_arrow
    kinds = {column.name: simple_type(column.type) for column in found}
    return pa.schema([pa.field(name, kinds.get(name, pa.string())) for name in config.extra_columns])


def rows(
    config: IngestConfig,
    warnings: dict[int, InputWarnings] | None = None,
    listings: dict[int, Listing] | None = None,
    pictures: Pictures | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yields all rows in order, as batches of `row_schema`.

    Rows that a preset knows to be no images (videos), and rows that `where` leaves out, keep their row_id, so that others do
    not depend on them. `warnings` gets counts and `listings` a digest of tars and folders, both by file ordinal; with a
    limit, of the inputs up to that of the last row. Images inside Parquet are copied to `pictures`; without it their places
    are empty. Raises InputError for a missing column, an unreadable file, or no rows
    at all.
    """
    warnings, listings = {} if warnings is None else warnings, {} if listings is None else listings
    num_rows = 0
    with closing(_all_batches(enumerate(inputs(config)), config, warnings, listings, pictures)) as batches:
        for batch in batches:
            num_rows += len(batch)
            if config.limit is not None and num_rows >= config.limit:
                ordinal = batch["row_id"][0].as_py() >> ROW_BITS
                _end_at(ordinal, warnings, listings)
                yield batch.slice(0, len(batch) - (num_rows - config.limit))
                return
            yield batch
    check_rows(num_rows, warnings.values(), config)


def check_rows(num_rows: int, warnings: Iterable[InputWarnings], config: IngestConfig) -> None:
    """Raises InputError where all inputs together have no row."""
    if not num_rows and any(each.skipped for each in warnings):
        raise InputError("no row is left", ", ".join(config.input), "give another --where or preset")
    if not num_rows:
        raise InputError("the list is empty", ", ".join(config.input), "give at least one row")


def _end_at(ordinal: int, warnings: dict[int, InputWarnings], listings: dict[int, Listing]) -> None:
    """Forgets what was noticed of inputs after the one at which the limit ends, and marks that one as cut.

    How far tars are listed ahead depends on the speed of their store, so counts of a cut tar would not be repeatable.
    """
    for noticed in (warnings, listings):
        for after in [each for each in noticed if each > ordinal]:
            del noticed[after]
    if ordinal in listings:
        warnings[ordinal] = InputWarnings()
    warnings[ordinal].cut = True


def rows_of_piece(
    piece: Piece,
    config: IngestConfig,
    warnings: dict[int, InputWarnings],
    listings: dict[int, Listing],
    pictures: Pictures | None = None,
) -> Generator[pa.RecordBatch, None, None]:
    """Yields the rows of a piece of the inputs as `rows` does; `warnings` and `listings` get what was noticed in it.

    Raises InputError for a missing column or an unreadable file.
    """
    if piece.groups is None:
        yield from _all_batches(piece.inputs, config, warnings, listings, pictures)
        return
    ((ordinal, given),) = piece.inputs
    seen = warnings[ordinal] = InputWarnings()
    if config.columns.image is None:
        raws: Iterator[pa.RecordBatch] = list_batches(given.url, config, BATCH_ROWS, seen, groups=piece.groups)
    else:
        listing = listings[ordinal] = Listing()
        raws = picture_batches(ordinal, given, config, listing, pictures, piece.groups, piece.first_row)
    yield from _numbered_rows(raws, (ordinal << ROW_BITS) + piece.first_row, given.url, config, seen)


def _all_batches(
    some_inputs: Iterable[tuple[int, Input]],
    config: IngestConfig,
    warnings: dict[int, InputWarnings],
    listings: dict[int, Listing],
    pictures: Pictures | None,
) -> Generator[pa.RecordBatch, None, None]:
    """Yields the batches of inputs, given with their file ordinals, in order; remote tars are listed many at a time."""

    def batches(of: tuple[int, Input], batch_rows: int = BATCH_ROWS, ahead: int = 1) -> Iterator[pa.RecordBatch]:
        ordinal, given = of
        seen, listing = warnings[ordinal], listings.get(ordinal, Listing())
        if given.kind == "lists" and config.columns.image is not None:
            raws = picture_batches(ordinal, given, config, listing, pictures)
        else:
            raws = _input_batches(given, config, listing, seen, batch_rows, ahead)
        yield from _numbered_rows(raws, ordinal << ROW_BITS, given.url, config, seen)
        listing.end()

    for remote, group in groupby(some_inputs, lambda each: _is_remote_tar(each[1])):
        some = list(group)
        warnings.update((ordinal, InputWarnings()) for ordinal, _ in some)
        listed = [ordinal for ordinal, given in some if given.kind != "lists" or config.columns.image is not None]
        listings.update((ordinal, Listing()) for ordinal in listed)
        if remote:
            yield from _joined(_listed_together(some, partial(batches, batch_rows=PIECE_ROWS)))
        else:
            for each in some:
                yield from batches(each)


def _numbered_rows(
    raws: Iterator[pa.RecordBatch], start: int, url: str, config: IngestConfig, seen: InputWarnings
) -> Iterator[pa.RecordBatch]:
    """Yields batches of `row_schema`, with row_ids from `start` on, and counts what is noticed in them."""
    schema = row_schema(config)
    for raw in raws:
        batch = _row_batch(raw, start, schema, url, config)
        start += len(raw)
        seen.skipped += len(raw) - len(batch)
        seen.replaced += replaced_rows(raw)
        yield batch


def _is_remote_tar(given: Input) -> bool:
    return given.kind == "tars" and not is_local(given.url)


def _listed_together(
    tars: list[tuple[int, Input]], batches: Callable[..., Iterator[pa.RecordBatch]]
) -> Iterator[pa.RecordBatch | None]:
    """Yields the pieces of each tar, and None after its last, in order."""
    ahead = TARS_AT_ONCE // min(TARS_AT_ONCE, len(tars))

    def pieces(of: tuple[int, Input]) -> Iterator[pa.RecordBatch | None]:
        with unhedged():  # a late answer stops one of many tars; a thread for each request costs more
            yield from batches(of, ahead=ahead)
        yield None

    return streams_in_order(pieces, tars, at_once=TARS_AT_ONCE, size=_bytes_of, limit=WAITING_BYTES)


def _bytes_of(piece: pa.RecordBatch | None) -> int:
    return 0 if piece is None else int(piece.nbytes)


def _joined(pieces: Iterator[pa.RecordBatch | None]) -> Iterator[pa.RecordBatch]:
    """Joins the pieces of each input to batches of BATCH_ROWS."""
    held, num_held = list[pa.RecordBatch](), 0
    for piece in pieces:
        if piece is not None:
            held.append(piece)
            num_held += len(piece)
        if held and (piece is None or num_held >= BATCH_ROWS):
            yield pa.concat_batches(held)
            held, num_held = [], 0


def check(config: IngestConfig) -> None:
    """Raises what `rows` would raise at its beginning, without listing a whole folder; logs which inputs are left out."""
    found = find_inputs(config)
    for given, count in found.held_out.items():
        log.warning(f"{given}: {count:,} held-out shards (holdout-*) are not read; name them to read them too")
    first = found.inputs[0]
    if _is_remote_tar(first):
        samples = samples_of_tar(first, config, Listing(), patience=PATIENT_REQUESTS)
        if any_sample(samples, config, BATCH_ROWS, first.url):
            return
    if first.kind != "files":
        any(map(len, rows(config)))
    elif not has_pictures(first.url):
        raise InputError("no picture here", first.url, "check the name; symbolic links are not followed")


def rows_of_part(
    given: Input, config: IngestConfig, part: ListPart, warnings: InputWarnings
) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a part of a list as `rows` does; a `row_id` counts the rows that were read.

    Raises InputError for a missing column or an unreadable file.
    """
    schema, start = row_schema(config), 0
    with closing(list_batches(given.url, config, BATCH_ROWS, warnings, part)) as batches:
        for raw in batches:
            batch = _row_batch(raw, start, schema, given.url, config)
            start += len(raw)
            warnings.skipped += len(raw) - len(batch)
            yield batch
            if not part.is_bounded and start >= part.rows:
                return


def _input_batches(
    given: Input, config: IngestConfig, listing: Listing, warnings: InputWarnings, batch_rows: int, ahead: int
) -> Iterator[pa.RecordBatch]:
    """Yields batches of the columns that the config names, as the input has them."""
    if given.kind == "lists":
        if config.tags_from_folder:
            raise InputError("a list has no folders", given.url, "leave out --tags-from-folder")
        yield from list_batches(given.url, config, batch_rows, warnings)
    elif given.kind == "tars":
        samples = samples_of_tar(given, config, listing, ahead)
        yield from raw_batches(samples, config, batch_rows, given.url, BATCH_ROWS)
    else:
        yield from raw_batches(samples_of_folder(given, config, listing), config, batch_rows, given.url)


def _row_batch(raw: pa.RecordBatch, start: int, schema: pa.Schema, url: str, config: SourceOptions) -> pa.RecordBatch:
    reading, names = config.reading, config.columns
    ids = pa.array(np.arange(start, start + len(raw), dtype=np.int64))
    for column, value in reading.skip.items():
        keep = pc.fill_null(pc.not_equal(raw[column], value), True)
        raw, ids = raw.filter(keep), ids.filter(keep)
    if config.where is not None:
        keep = _met(config.where, raw, url)
        raw, ids = raw.filter(keep), ids.filter(keep)
    try:
        columns = {"row_id": ids, "url": to_text(raw[names.url]), "tags": _tags(raw, names, config)}
        for name, source in (("licence", names.licence), ("page", names.page)):
            columns[name] = (
                pa.nulls(len(raw), pa.string()) if source is None else drop_empty_words(to_text(raw[source]))
            )
        columns |= _listed_digests(raw, names, url if start % (1 << ROW_BITS) == 0 else None)
        for field in list(schema)[len(columns) :]:
            if field.name == BYTES_FIELD.name:
                columns[field.name] = (
                    raw[BYTES_FIELD.name]
                    if BYTES_FIELD.name in raw.schema.names
                    else pa.nulls(len(raw), BYTES_FIELD.type)
                )
                continue
            columns[field.name] = to_extra(raw[field.name], field.type, field.name in reading.encoded)
    except pa.ArrowException as error:
        raise InputError(f"a column of a type that cannot be read: {error}", url, "cast it to text") from error
    return pa.record_batch([columns[name] for name in schema.names], schema=schema)


def _met(where: str, raw: pa.RecordBatch, url: str) -> pa.BooleanArray:
    from tagmill.ingest.row_filter.condition import parsed_condition  # not above: it needs sqlglot

    try:
        return parsed_condition(where).met(raw)
    except ConfigError as error:
        raise InputError(error.what, f"--where {where}, {url}", error.remedy) from error


def _listed_digests(raw: pa.RecordBatch, names: Columns, check: str | None) -> dict[str, pa.Array]:
    """Returns the digests that the list has, by column. `check` names the input whose first rows these are."""
    found = {}
    for kind, field in LISTED_FIELDS.items():
        if (source := getattr(names, kind)) is not None:
            found[field.name] = read_digests(raw[source], kind)
            if check is not None:
                check_digests(found[field.name], kind, source, check)
    return found


def _tags(raw: pa.RecordBatch, names: Columns, config: SourceOptions) -> pa.Array:
    encoded = config.reading.encoded
    if names.tags is None or names.tags not in raw.schema.names:  # a list of URLs without other columns
        tags = empty_tags(len(raw))
    else:
        tags = to_tags(raw[names.tags], config.tags_separator, names.tags in encoded)
    if names.caption is not None:
        tags = with_hashtags(tags, raw[names.caption], names.caption in encoded)
        if config.caption_nouns:
            tags = with_nouns(tags, raw[names.caption], names.caption in encoded)
    return with_tag(tags, raw[FOLDER_COLUMN]) if config.tags_from_folder else tags
