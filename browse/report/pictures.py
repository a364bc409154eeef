"""Small images for the page: of samples from their shards, of other rows from the file that ingest kept of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from tagmill.browse.report.sample_facts import Place
from tagmill.browse.report.side_facts import MAX_TAGS, cut
from tagmill.browse.takedown_rules import ForbiddenRows
from tagmill.shards import Corpus, ShardReader, TagmillError, Unreadable
from tagmill.shards.formats.report_pictures import MAX_PICTURES, REPORT_PICTURES, read_pictures_file, small_picture

_GAP = 1 << 14  # bytes between two images that one read fetches for nothing: the images are far apart


@dataclass(frozen=True)
class SamplePicture:
    """A sample as the page shows it."""

    key: str
    url: str | None
    tags: tuple[str, ...]
    jpeg: bytes | None


@dataclass
class KeptPictures:
    """Images that ingest kept beside the report, without those that the takedown list forbids."""

    by_row: dict[int, bytes] = field(default_factory=dict)
    evaluation: dict[tuple[str, str], bytes] = field(default_factory=dict)  # by set and name
    by_reason: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @classmethod
    def of(cls, corpus: Corpus, forbidden: ForbiddenRows) -> "KeptPictures":
        """Reads the file of a corpus; nothing where there is none."""
        found = cls()
        try:
            rows = read_pictures_file(corpus.store.read(REPORT_PICTURES))
        except FileNotFoundError:
            return found
        for row in rows[:MAX_PICTURES]:
            if forbidden.picture(row):
                continue
            if row["set"] is not None:
                found.evaluation[row["set"], row["name"]] = row["jpeg"]
            else:
                if row["row_id"] is not None:
                    found.by_row[row["row_id"]] = row["jpeg"]
                if row["reason"] is not None:
                    found.by_reason.setdefault(row["reason"], []).append(row)
        return found


def sample_pictures(corpus: Corpus, places: Iterable[Place], most: int = MAX_PICTURES) -> dict[Place, SamplePicture]:
    """Reads facts and images of samples, each image by its range; samples that are taken down are left out."""
    by_shard: dict[int, list[int]] = {}
    for place in sorted(set(places))[:most]:
        by_shard.setdefault(place.shard, []).append(place.ordinal)
    found: dict[Place, SamplePicture] = {}
    for number, ordinals in by_shard.items():
        try:
            found.update(_of_shard(corpus, number, ordinals))
        except (TagmillError, OSError, ValueError, KeyError):
            continue  # the page says which samples have no picture, and its list of faults names the shard
    return found


def _of_shard(corpus: Corpus, number: int, ordinals: list[int]) -> dict[Place, SamplePicture]:
    entry = corpus.entry(number)
    reader = ShardReader.of(corpus, entry)
    gone = reader.is_taken_down(np.array(ordinals))
    ordinals = [ordinal for ordinal, out in zip(ordinals, gone.tolist(), strict=True) if not out]
    if not ordinals:
        return {}
    with corpus.store.open(f"shards/{entry.name}.parquet") as file:
        table = pq.ParquetFile(file, pre_buffer=False).read(["key", "url", "tags"], use_threads=False)
    facts = table.take(ordinals).to_pylist()
    records = reader.index(0, entry.samples)[ordinals]
    found = {}
    for ordinal, row, picture in zip(ordinals, facts, reader.pictures(records, _GAP), strict=True):
        jpeg = None if isinstance(picture, Unreadable) else small_picture(picture)
        tags = tuple(cut(tag) or "" for tag in (row["tags"] or ())[:MAX_TAGS])
        found[Place(number, ordinal)] = SamplePicture(row["key"], cut(row["url"]), tags, jpeg)
    return found
