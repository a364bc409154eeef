"""An export in the layout of img2dataset: NNNNN.tar with image, caption and JSON of each sample, NNNNN.parquet with a row
each, and NNNNN_stats.json. The train and holdout splits are in folders of these names."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.shards.exchange.columns import PLAIN_FACTS, column, pdq_hex, renamed
from tagmill.shards.exchange.samples import Block, Part
from tagmill.shards.formats.record import FACTS
from tagmill.shards.manifest import stats_json
from tagmill.shards.writer import PlainTar

CAPTION = "caption"
# img2dataset's own columns, in its order; then ours.
THEIRS = {
    "url": pa.string(),
    CAPTION: pa.string(),
    "key": pa.string(),
    "status": pa.string(),
    "error_message": pa.string(),
    "width": pa.int32(),
    "height": pa.int32(),
    "original_width": pa.int32(),
    "original_height": pa.int32(),
    "exif": pa.string(),
    "sha256": pa.string(),
}
OURS = {
    "tags": pa.list_(pa.string()),
    "labels": pa.list_(pa.string()),
    "label_ids": pa.list_(pa.int64()),
    "repeat": pa.float64(),
    "licence": pa.string(),
    "page": pa.string(),
    "pdq": pa.string(),
}
FROM_SOURCE = (CAPTION, "exif")  # of the source's own columns, those that img2dataset has too


@dataclass(frozen=True)
class Img2datasetFiles:
    """The format `img2dataset` of an export."""

    labels: Sequence[str]  # names by id, all different
    own: pa.Schema  # the source's own columns

    def names(self, part: Part) -> list[str]:
        """Returns the objects of a part."""
        return [f"{part.entry.split}/{part.place:05d}{end}" for end in (".tar", ".parquet", "_stats.json")]

    def write(self, part: Part, blocks: Iterable[Block], folder: Path) -> int:
        """Writes the objects of a part below a local folder and returns the number of samples. The same samples give the
        same bytes."""
        tar_path, table_path, stats_path = (folder / name for name in self.names(part))
        tar_path.parent.mkdir(parents=True, exist_ok=True)
        rows = 0
        tar = PlainTar(tar_path)
        try:
            with pq.ParquetWriter(table_path, self.schema, compression="zstd", store_schema=False) as file:
                for block in blocks:
                    table = self.table(block)
                    file.write_table(table)
                    for image, row in zip(block.images, table.to_pylist(), strict=True):
                        tar.add(f"{row['key']}.jpg", image)
                        tar.add(f"{row['key']}.json", _json(row))
                        tar.add(f"{row['key']}.txt", (row[CAPTION] or "").encode())
                    rows += len(block.images)
            tar.finish()
        finally:
            tar.discard()
        stats_path.write_bytes(stats_json(rows))
        return rows

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of the tables."""
        own = [(new, self.own.field(name).type) for name, new in self._own_names.items()]
        return pa.schema([*THEIRS.items(), *OURS.items(), *own])

    @cached_property
    def _own_names(self) -> dict[str, str]:
        others = [name for name in self.own.names if name not in FROM_SOURCE]
        return renamed(others, [*THEIRS, *OURS])

    def table(self, block: Block) -> pa.Table:
        """Returns a block as rows of `schema`."""
        facts, rows = block.facts, len(block.images)
        texts = {name: column(facts, name, pa.string()) for name in FROM_SOURCE}
        made: dict[str, Any] = {name: column(facts, name, FACTS.field(name).type) for name in PLAIN_FACTS}
        captions = zip(texts[CAPTION].to_pylist(), facts["tags"].to_pylist(), strict=True)
        made |= {
            CAPTION: [text if text is not None else caption_of(tags or ()) for text, tags in captions],
            "status": ["success"] * rows,
            "error_message": [None] * rows,
            "exif": texts["exif"].fill_null("{}"),
            "labels": [[self.labels[each] for each in labels] for labels in block.labels],
            "label_ids": block.labels,
            "repeat": block.repeats,
            "pdq": pdq_hex(facts),
        }
        made |= {new: column(facts, name, self.own.field(name).type) for name, new in self._own_names.items()}
        columns = [
            made[f.name] if isinstance(made[f.name], pa.Array) else pa.array(made[f.name], f.type) for f in self.schema
        ]
        return pa.Table.from_arrays(columns, schema=self.schema)


def caption_of(tags: Iterable[str]) -> str:
    """Returns tags as a caption: hashtags, from which `tagmill ingest` reads the same tags; a tag with spaces is no
    hashtag and stays as it is."""
    return " ".join(tag if tag.startswith("#") or len(tag.split()) != 1 else f"#{tag}" for tag in tags)


def _json(row: dict[str, Any]) -> bytes:
    """The JSON member; NaN, which other readers refuse, becomes null."""
    plain = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()
    }
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode("ascii")
