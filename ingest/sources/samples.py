"""Images from tars and folders with their metadata: samples as batches of rows with byte ranges."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tagmill.ingest.config.sources import SourceOptions
from tagmill.ingest.reasons import Reason
from tagmill.ingest.sources.decompress import LINE_BYTES
from tagmill.ingest.sources.locations import BYTES_FIELD, ByteRange
from tagmill.ingest.sources.text_rows import BATCH_BYTES, text_batch
from tagmill.ingest.text.encoding import decoded_text
from tagmill.shards.errors import InputError

FOLDER_COLUMN = "__folder__"  # column of the folder's name, for --tags-from-folder
_OPTIONAL = "--url-column"  # a stored image needs no URL


class Listing:
    """Size and digest of a tar or folder: over names, offsets, sizes and the metadata that was read; images are not read."""

    __slots__ = ("_digest", "_ended", "bytes")

    def __init__(self) -> None:
        self.bytes = 0
        self._digest = hashlib.sha256()
        self._ended: str | None = None

    def add(self, name: bytes, offset: int, size: int, data: bytes | None = None) -> None:
        self._digest.update(len(name).to_bytes(4, "little") + name + offset.to_bytes(8, "little"))
        self._digest.update(size.to_bytes(8, "little") + (data or b""))

    def end(self) -> None:
        """Keeps only the digest: a run may have hundreds of thousands of tars."""
        self._ended = self.sha256
        del self._digest

    @property
    def sha256(self) -> str:
        return self._ended or self._digest.hexdigest()


@dataclass(slots=True)
class Sample:
    """An image and its metadata files: `texts` holds them by suffix."""

    name: str  # its path below the input, used as URL where the metadata has none
    location: ByteRange
    texts: dict[str, bytes] = field(default_factory=dict)
    folder: str = ""  # name of the folder that it is in

    def refuse(self, detail: str, reason: Reason = Reason.BAD_MEMBER) -> None:
        """Turns the sample into a row without image; the first reason is kept."""
        if self.location.reason is None:
            self.location = ByteRange(
                self.location.object, self.location.length, self.location.offset, 0, reason.value, detail
            )

    def facts(self) -> dict[str, Any]:
        """Returns the metadata by column: the keys of its JSON object, and other texts by their suffix."""
        found: dict[str, Any] = {suffix: decoded_text(data) for suffix, data in self.texts.items()}
        if "json" in self.texts:
            try:
                parsed = json.loads(found.pop("json"))
            except (ValueError, RecursionError):
                self.refuse("its metadata is not JSON")
                return {}
            if not isinstance(parsed, dict):
                self.refuse("its metadata is no JSON object")
                return {}
            found |= parsed
        return found


def folder_of(path: str) -> str:
    """Returns the name of the folder in a path; "" without a folder."""
    name = path.rpartition("/")[0].rpartition("/")[2]
    return "" if name == "." else name


def text_suffixes(config: SourceOptions) -> frozenset[str]:
    """Returns the suffixes of metadata files that are read: `json`, and those that are named as columns (`txt`, `cls`)."""
    return frozenset(["json", *config.columns.flags()])


def check_text(size: int) -> str | None:
    """Returns what is wrong with metadata of `size` bytes, or None."""
    return f"metadata of {size} bytes, {LINE_BYTES} are the limit" if size > LINE_BYTES else None


def raw_batches(
    samples: Iterable[Sample], config: SourceOptions, batch_rows: int, where: str, checked_rows: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Yields batches of the columns that the config names, all but the tags as text, with folder names and byte ranges.

    Raises InputError where a column is missing in all of the first `checked_rows` rows (None: of the first batch), or
    in rows before them that have BATCH_BYTES of metadata.
    """
    flags = config.columns.flags()
    held: list[tuple[Any, ...]] = []
    of_held: list[Sample] = []
    held_bytes = 0
    check = _ColumnCheck(config, where, batch_rows if checked_rows is None else checked_rows)

    def batch() -> pa.RecordBatch:
        texts = text_batch(held, list(flags), (config.columns.tags, config.tags_separator))
        folders = pa.array([sample.folder or None for sample in of_held], pa.string())
        locations = [
            {
                name: getattr(sample.location, name) for name in ByteRange.__slots__
            }  # slots of a dataclass are its fields
            for sample in of_held
        ]
        columns = [*texts.columns, folders, pa.array(locations, BYTES_FIELD.type)]
        return pa.record_batch(columns, [*texts.schema.names, FOLDER_COLUMN, BYTES_FIELD.name])

    for sample in samples:
        facts = sample.facts()
        held_bytes += sum(map(len, sample.texts.values()))
        check.see(sample, facts)
        url = facts.get(config.columns.url)
        facts[config.columns.url] = url if url else sample.name
        held.append(tuple(map(facts.get, flags)))
        of_held.append(sample)
        if len(held) == batch_rows or held_bytes >= BATCH_BYTES:
            yield batch()
            held, of_held, held_bytes = [], [], 0
    check.end()
    if held:
        yield batch()


def any_sample(samples: Iterable[Sample], config: SourceOptions, checked_rows: int, where: str) -> bool:
    """Returns whether there is a sample. Raises what `raw_batches` raises for a missing column, and reads no more samples
    than this takes."""
    check = _ColumnCheck(config, where, checked_rows)
    for sample in samples:
        check.see(sample, sample.facts())
        if check.is_done or check.has_all():
            return True
    check.end()
    return check.rows > 0


class _ColumnCheck:
    """Looks for columns that a flag names in the first `rows` rows, or in BATCH_BYTES of metadata before."""

    def __init__(self, config: SourceOptions, where: str, rows: int) -> None:
        self._config, self._where = config, where
        self._most_rows = rows
        self._seen: set[str] = set()
        self.rows, self._bytes = 0, 0
        self.is_done = False

    def see(self, sample: Sample, facts: Mapping[str, Any]) -> None:
        """Takes one row. Raises InputError where it is the last that counts, and a column was in none."""
        if self.is_done:
            return
        self._seen.update(facts)
        self.rows += 1
        self._bytes += sum(map(len, sample.texts.values()))
        if self.rows == self._most_rows or self._bytes >= BATCH_BYTES:
            self.end()

    def end(self) -> None:
        """Ends the rows."""
        if not self.is_done:
            self.is_done = True
            _check_columns(self._config, self._seen, self._where)

    def has_all(self) -> bool:
        """Returns whether nothing is missing so far."""
        try:
            _check_columns(self._config, self._seen, self._where)
        except InputError:
            return False
        return True


def _check_columns(config: SourceOptions, seen: set[str], where: str) -> None:
    """Raises InputError for missing columns that a flag names.

    Columns that only a default or a preset names may be missing where there is no metadata at all.
    """
    named = {
        "--tags-column": config.tags_column,
        "--caption-column": config.caption_column,
        "--licence-column": config.licence_column,
        "--page-column": config.page_column,
        "--sha256-column": config.sha256_column,
        "--md5-column": config.md5_column,
        "--image-column": config.image_column,
        "--extra-columns": config.extra_columns,
        "--url-column": config.url_column,
        "--where": config.where,
    }
    for column, flag in config.columns.flags().items():
        if column not in seen and (named[flag] or (seen and flag != _OPTIONAL)):
            has = f"the metadata has {', '.join(sorted(seen))}" if seen else "there is no metadata beside the pictures"
            raise InputError(f"no column {column!r}", where, f"name it with {flag}; {has}")
