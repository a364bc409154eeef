"""The image files of an evaluation set: those of a folder, recursively, of tars, and inside Parquet files."""

import re
import tarfile
from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tagmill.ingest.text.text_columns import is_bytes
from tagmill.shards.storage.store import Store

EVALUATION_SUFFIXES = frozenset([".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".ppm"])
_HOLDER = re.compile(r"(.*?\.(?:tar|parquet))/", re.IGNORECASE | re.DOTALL)  # the file that has an image, in its name
_ROWS = 64  # images of a Parquet file in memory
_READ_BYTES = 1 << 20  # of a column of Parquet at a time
_PREFERRED = ("image", "jpg", "png", "picture", "bytes")  # of several columns of bytes


@dataclass(frozen=True)
class EvaluationFile:
    """A file of a set that should be an image."""

    name: str
    body: bytes


def evaluation_files(path: str, most: int, counts: Counter[str]) -> Iterator[EvaluationFile]:
    """Yields the images of a folder, recursively, of a tar, or of a Parquet file; counts files longer than `most` bytes as
    broken.

    In a folder, Parquet files without a column of images are passed over.
    """
    kind = PurePosixPath(path).suffix.lower()
    if kind in (".tar", ".parquet"):
        folder, _, name = path.rpartition("/")
        reader = _of_tar if kind == ".tar" else _of_parquet
        yield from reader(Store(folder or "."), name, most, counts)
        return
    store = Store(path)
    for name in store.names(""):
        kind = PurePosixPath(name).suffix.lower()
        if kind == ".tar":
            yield from _of_tar(store, name, most, counts)
        elif kind == ".parquet":
            yield from _of_parquet(store, name, most, counts)
        elif kind in EVALUATION_SUFFIXES:
            if store.size(name) > most:
                counts["broken"] += 1
            else:
                yield EvaluationFile(name, store.read(name))


def files_named(path: str, names: Set[str], most: int) -> Iterator[EvaluationFile]:
    """Yields those files of a set that have one of `names`, each read once, in the order of `evaluation_files`; none that is
    longer than `most` bytes, and none for a table of hashes."""
    if path.lower().endswith(".csv"):
        return
    folder, _, single = path.rpartition("/")
    alone = PurePosixPath(path).suffix.lower() in (".tar", ".parquet")
    store = Store((folder or ".") if alone else path)
    inside = {found[1] for name in names if (found := _HOLDER.match(name))}
    for each in sorted(inside & {single} if alone else inside):
        reader = _of_tar if each.lower().endswith(".tar") else _of_parquet
        yield from (file for file in reader(store, each, most, Counter()) if file.name in names)
    for name in sorted(names) if not alone else ():
        if not _HOLDER.match(name) and store.exists(name) and store.size(name) <= most:
            yield EvaluationFile(name, store.read(name))


def image_column(schema: pa.Schema) -> str | None:
    """Returns the column of a Parquet file that has images: bytes, or structs with a field `bytes`, as Hugging Face
    writes them."""
    found = [field.name for field in schema if is_bytes(_body_type(field.type))]
    return next((name for name in (*_PREFERRED, *found) if name in found), None)


def _body_type(kind: pa.DataType) -> pa.DataType:
    return kind["bytes"].type if pa.types.is_struct(kind) and "bytes" in kind.names else kind


def _of_tar(store: Store, tar: str, most: int, counts: Counter[str]) -> Iterator[EvaluationFile]:
    with store.open(tar) as file, tarfile.open(fileobj=file, mode="r|") as members:
        for member in members:
            if not member.isfile() or PurePosixPath(member.name).suffix.lower() not in EVALUATION_SUFFIXES:
                continue
            content = members.extractfile(member) if member.size <= most else None
            if content is None:
                counts["broken"] += 1
            else:
                yield EvaluationFile(f"{tar}/{member.name}", content.read())


def _of_parquet(store: Store, name: str, most: int, counts: Counter[str]) -> Iterator[EvaluationFile]:
    """Yields the images of the rows of a Parquet file, each named after the file and the number of its row."""
    with store.open(name) as file:
        parquet = pq.ParquetFile(file, buffer_size=_READ_BYTES)
        if (column := image_column(parquet.schema_arrow)) is None:
            return
        is_struct = pa.types.is_struct(parquet.schema_arrow.field(column).type)
        row = 0
        for group in range(parquet.num_row_groups):
            wanted = [f"{column}.bytes" if is_struct else column]
            for batch in parquet.iter_batches(_ROWS, [group], columns=wanted, use_threads=False):
                cells = pc.struct_field(batch[column], "bytes") if is_struct else batch[column]
                for number, body in enumerate(cells.to_pylist(), row):
                    if body is None or len(body) > most:
                        counts["broken"] += 1
                    else:
                        yield EvaluationFile(f"{name}/{number:09d}", body)
                row += len(batch)
