"""Pictures that bring their bytes, with what stands beside them: samples of a tar or folder as batches of rows with places."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tagmill.ingest.config.sources import SourceOptions
from tagmill.ingest.reasons import Reason
from tagmill.ingest.sources.decompress import LINE_BYTES
from tagmill.ingest.sources.locations import PLACE, Place
from tagmill.ingest.sources.text_rows import BATCH_BYTES, text_batch
from tagmill.ingest.text.encoding import decoded_text
from tagmill.shards.errors import InputError

FOLDER_COLUMN = "__folder__"  # the column with the folder's name, for --tags-from-folder
_OPTIONAL = "--url-column"  # a picture that is there needs no URL


class Listing:
    """What was seen of a tar or folder: its bytes, and a digest over names, places and sizes and the metadata that was read.

    The pictures themselves are not read for it.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._digest = hashlib.sha256()

    def add(self, name: bytes, offset: int, size: int, data: bytes | None = None) -> None:
        self._digest.update(len(name).to_bytes(4, "little") + name + offset.to_bytes(8, "little"))
        self._digest.update(size.to_bytes(8, "little") + (data or b""))

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


@dataclass(slots=True)
class Sample:
    """A picture and what stands beside it: `texts` holds the metadata, by suffix."""

    name: str  # its path below the input, which is its URL where the metadata has none
    place: Place
    texts: dict[str, bytes] = field(default_factory=dict)
    folder: str = ""  # the name of the folder that it lies in, in its tar or below the input

    def refuse(self, detail: str, reason: Reason = Reason.BAD_MEMBER) -> None:
        """Makes this a row without a picture; the first reason stays."""
        if self.place.reason is None:
            self.place = Place(self.place.object, self.place.length, self.place.offset, 0, reason.value, detail)

    def facts(self) -> dict[str, Any]:
        """The metadata by column: the keys of its JSON object, and other texts by their suffix."""
        found: dict[str, Any] = {suffix: decoded_text(data) for suffix, data in self.texts.items()}
        if "json" in self.texts:
            try:
                told = json.loads(found.pop("json"))
            except (ValueError, RecursionError):
                self.refuse("its metadata is not JSON")
                return {}
            if not isinstance(told, dict):
                self.refuse("its metadata is no JSON object")
                return {}
            found |= told
        return found


def folder_of(path: str) -> str:
    """The name of the folder that a path lies in; empty where there is none."""
    name = path.rpartition("/")[0].rpartition("/")[2]
    return "" if name == "." else name


def text_suffixes(config: SourceOptions) -> frozenset[str]:
    """Suffixes of the texts beside a picture that are read: `json`, and those that are named as columns (`txt`, `cls`)."""
    return frozenset(["json", *config.columns.flags()])


def check_text(size: int) -> str | None:
    """What is wrong with metadata of so many bytes."""
    return f"metadata of {size} bytes, {LINE_BYTES} are the limit" if size > LINE_BYTES else None


def raw_batches(
    samples: Iterable[Sample], config: SourceOptions, batch_rows: int, where: str
) -> Iterator[pa.RecordBatch]:
    """Batches of the columns that the config names, all but the tags as text, with FOLDER and the places.

    Raises InputError where a column is missing in all of the first batch.
    """
    flags = config.columns.flags()
    held: list[tuple[Any, ...]] = []
    of_held: list[Sample] = []
    held_bytes, seen, first = 0, set[str](), True

    def batch() -> pa.RecordBatch:
        texts = text_batch(held, list(flags), (config.columns.tags, config.tags_separator))
        folders = pa.array([sample.folder or None for sample in of_held], pa.string())
        places = [
            {name: getattr(sample.place, name) for name in Place.__slots__}  # a dataclass's slots are its fields
            for sample in of_held
        ]
        columns = [*texts.columns, folders, pa.array(places, PLACE.type)]
        return pa.record_batch(columns, [*texts.schema.names, FOLDER_COLUMN, PLACE.name])

    for sample in samples:
        facts = sample.facts()
        if first:
            seen.update(facts)
        url = facts.get(config.columns.url)
        facts[config.columns.url] = url if url else sample.name
        held.append(tuple(map(facts.get, flags)))
        of_held.append(sample)
        held_bytes += sum(map(len, sample.texts.values()))
        if len(held) == batch_rows or held_bytes >= BATCH_BYTES:
            if first:
                _check_columns(config, seen, where)
            yield batch()
            held, of_held, held_bytes, first = [], [], 0, False
    if first:
        _check_columns(config, seen, where)
    if held:
        yield batch()


def _check_columns(config: SourceOptions, seen: set[str], where: str) -> None:
    """What a flag names must be there. What only habit or a preset names may be missing where there is no metadata at all."""
    named = {
        "--tags-column": config.tags_column,
        "--caption-column": config.caption_column,
        "--licence-column": config.licence_column,
        "--page-column": config.page_column,
        "--extra-columns": config.extra_columns,
        "--url-column": config.url_column,
    }
    for column, flag in config.columns.flags().items():
        if column not in seen and (named[flag] or (seen and flag != _OPTIONAL)):
            has = f"the metadata has {', '.join(sorted(seen))}" if seen else "there is no metadata beside the pictures"
            raise InputError(f"no column {column!r}", where, f"name it with {flag}; {has}")
