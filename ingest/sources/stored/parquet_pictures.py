"""Reads Parquet files that hold the images themselves: a column of bytes, or of structs of bytes and path.

Rows are partitioned by hash, so that a part needs single images from all over a file, and Parquet gives no access to one value.
So images are copied once, in the order of the file, to where single ones can be read. Other columns stay as they are.
"""

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.reasons import Reason
from tagmill.ingest.sources.decompress import open_input
from tagmill.ingest.sources.inputs import Input, format_of
from tagmill.ingest.sources.locations import BYTES_FIELD
from tagmill.ingest.sources.samples import Listing
from tagmill.ingest.sources.tables import check_columns
from tagmill.ingest.text.text_columns import is_bytes, to_text
from tagmill.shards.errors import InputError

IMAGES_READ = 64  # with their images in memory
READ_BYTES = 1 << 20  # of a column chunk at a time
COPIED_BYTES = 1 << 26  # of images in one copy, about
_REMEDY = "name a column of bytes, or of structs with a field bytes, as Hugging Face writes images"


class Pictures(Protocol):
    """Where images are copied to: one after the other, in copies of COPIED_BYTES."""

    def begin(self, ordinal: int, row: int) -> None:
        """Begins a copy for the images from a row of an input on."""

    def add(self, picture: bytes) -> int:
        """Appends an image; returns where it begins in the copy."""

    def end(self) -> tuple[str, int]:
        """Completes the copy; returns its URL and its length in bytes."""


def footer_listing(parquet: pq.ParquetFile, size: int, listing: Listing) -> None:
    """Adds to a listing what tells a file from others without its images: its length, and its footer, which has place,
    size and statistics of every column chunk."""
    listing.bytes += size
    footer = pa.BufferOutputStream()
    parquet.metadata.write_metadata_file(footer)
    listing.add(b"footer", 0, size, footer.getvalue().to_pybytes())


def picture_batches(
    ordinal: int,
    given: Input,
    config: IngestConfig,
    listing: Listing,
    pictures: Pictures | None,
    groups: range | None = None,
    first_row: int = 0,
) -> Iterator[pa.RecordBatch]:
    """Yields the columns that the config names of a Parquet file with images, with URLs and places (BYTES_FIELD).

    With `groups` only these row groups, the first of which begins with row `first_row`. `listing` gets what tells the file
    from others. Raises InputError for a missing column, a column without images, and lists that are not Parquet.
    """
    chosen = config.columns
    assert chosen.image is not None
    if format_of(given.url, config.reading) != "parquet":
        raise InputError(
            "images are read from Parquet, and not from other lists", given.url, "leave out --image-column"
        )
    with open_input(given.url) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        parquet = pq.ParquetFile(file, buffer_size=READ_BYTES)
        there = parquet.schema_arrow.names
        optional = {chosen.url} if config.url_column is None else set[str]()
        flags = {name: flag for name, flag in chosen.flags().items() if name in there or name not in optional}
        check_columns(flags, there, given.url)
        footer_listing(parquet, size, listing)
        found = PictureRows(parquet, chosen.image, given.url, ordinal, config.max_bytes)
        every = range(parquet.num_row_groups) if groups is None else groups
        yield from found.batches(every, first_row, list(flags), chosen.url, pictures)


class PictureRows:
    """The rows of one file with images."""

    def __init__(self, parquet: pq.ParquetFile, image: str, url: str, ordinal: int, max_bytes: int) -> None:
        """`parquet` is opened with a buffer of READ_BYTES; `image` is the column, `url` that of the file. Raises
        InputError where the column has no images."""
        self._parquet, self._image, self._url, self._ordinal = parquet, image, url, ordinal
        self._max_bytes = max_bytes
        kind = parquet.schema_arrow.field(image).type
        self._is_struct = pa.types.is_struct(kind)
        if not is_bytes(kind) and not (self._is_struct and "bytes" in kind.names and is_bytes(kind["bytes"].type)):
            raise InputError(f"column {image!r} is of type {kind}", url, _REMEDY)
        self._has_path = self._is_struct and "path" in kind.names
        self._names = class_names(parquet.schema_arrow)

    def batches(
        self, groups: Sequence[int], first_row: int, columns: Sequence[str], url_column: str, pictures: Pictures | None
    ) -> Iterator[pa.RecordBatch]:
        """Yields the rows of row groups: `columns`, the URL in `url_column`, and the places of images (BYTES_FIELD).

        `first_row` is the number of the first row in the file. A row without image has the URL in its path, or in
        `url_column`. Other rows have path or number as name, after the name of the file. Without `pictures` images are
        neither read nor copied.
        """
        wanted = [name for name in columns if name != self._image]
        row = first_row
        for group in groups:
            begun, held = row, list[pa.RecordBatch]()
            copied = 0
            for batch in self._parquet.iter_batches(
                IMAGES_READ, [group], columns=[*wanted, *self._columns(read=pictures is not None)], use_threads=False
            ):
                if not held and pictures is not None:
                    pictures.begin(self._ordinal, begun)
                some, size = self._batch(batch, wanted, row, url_column, pictures)
                held.append(some)
                row += len(batch)
                copied += size
                if copied >= COPIED_BYTES:
                    yield _placed(held, pictures)
                    begun, held, copied = row, [], 0
            if held:
                yield _placed(held, pictures)

    def _columns(self, *, read: bool) -> list[str]:
        """Returns the columns of images to read, by their paths in the file."""
        if not self._is_struct:
            return [self._image] if read else []
        return [f"{self._image}.bytes"] * read + [f"{self._image}.path"] * self._has_path

    def _batch(
        self, batch: pa.RecordBatch, wanted: Sequence[str], row: int, url_column: str, pictures: Pictures | None
    ) -> tuple[pa.RecordBatch, int]:
        """Returns rows, with the places of images in a copy whose URL is not known yet, and the bytes of their images."""
        bodies, paths = self._cells(batch, read=pictures is not None)
        given = to_text(batch[url_column]).to_pylist() if url_column in wanted else [None] * len(batch)
        urls, places, size = list[str | None](), list[dict[str, Any] | None](), 0
        for number, (body, path, own) in enumerate(zip(bodies, paths, given, strict=True), row):
            url = own or (path if path and "://" in path else None)
            if body is None and pictures is not None and url:
                places.append(None)  # it is fetched
            else:
                places.append(self._place(body, pictures))
                size += 0 if body is None else len(body)
            urls.append(url or f"{self._url.rpartition('/')[2]}/{path or number}")
        columns = {name: _decoded(batch[name], self._names.get(name)) for name in wanted}
        columns[url_column] = pa.array(urls, pa.string())
        columns[BYTES_FIELD.name] = pa.array(places, BYTES_FIELD.type)
        return pa.record_batch(columns), size

    def _place(self, body: bytes | None, pictures: Pictures | None) -> dict[str, Any]:
        nowhere = {"object": "", "length": 0, "offset": 0, "size": 0, "reason": None, "detail": None}
        if pictures is None:
            return nowhere
        if body is None:
            return nowhere | {"reason": Reason.BAD_MEMBER.value, "detail": "neither bytes nor a URL"}
        if len(body) > self._max_bytes:
            return nowhere | {"reason": Reason.TOO_BIG.value, "detail": f"{len(body)} bytes"}
        return nowhere | {"offset": pictures.add(body), "size": len(body)}

    def _cells(self, batch: pa.RecordBatch, *, read: bool) -> tuple[list[bytes | None], list[str | None]]:
        bodies: list[bytes | None] = [None] * len(batch)
        paths: list[str | None] = [None] * len(batch)
        if self._is_struct and read:
            bodies = pc.struct_field(batch[self._image], "bytes").to_pylist()
        elif read:
            bodies = batch[self._image].to_pylist()
        if self._has_path:
            paths = pc.struct_field(batch[self._image], "path").to_pylist()
        return bodies, paths


def _placed(held: list[pa.RecordBatch], pictures: Pictures | None) -> pa.RecordBatch:
    """Joins rows whose images are in one copy, and gives them its URL and length."""
    joined = pa.concat_batches(held)
    if pictures is None:
        return joined
    url, length = pictures.end()
    at = joined.schema.get_field_index(BYTES_FIELD.name)
    places = joined[BYTES_FIELD.name].to_pylist()
    found = [
        place if place is None or place["reason"] is not None else place | {"object": url, "length": length}
        for place in places
    ]
    return joined.set_column(at, BYTES_FIELD, pa.array(found, BYTES_FIELD.type))


def class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Returns the names of the classes of columns of integers, by column, as Hugging Face notes them in a file
    (`ClassLabel`); none where there is no such note."""
    try:
        noted = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = noted["info"]["features"].items()
        found = {name: each["names"] for name, each in features if each.get("_type") == "ClassLabel"}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return {
        name: names
        for name, names in found.items()
        if isinstance(names, list) and all(isinstance(each, str) for each in names)
    }


def _decoded(array: pa.Array, names: list[str] | None) -> pa.Array:
    """Returns a column with the names of classes in place of their numbers; -1, or any other without a name, is null."""
    if names is None or not pa.types.is_integer(array.type):
        return array
    known = [None if n is None or not 0 <= n < len(names) else names[n] for n in array.to_pylist()]
    return pa.array(known, pa.string())
