"""An export as Parquet files that hold the images, with the features that Hugging Face `datasets` reads from a schema.

A file has the name `data/SPLIT-NNNNN-of-NNNNN.parquet`, by which `datasets` finds splits. A row group has at most
`BLOCK_ROWS` rows and about `BLOCK_BYTES` of images, so that a reader needs no more memory than that.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.shards.exchange.columns import PLAIN_FACTS, column, pdq_hex, renamed
from tagmill.shards.exchange.samples import Block, Part
from tagmill.shards.formats.record import FACTS

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
FIRST = ("image", "key", "labels", "repeat")  # then the other facts, `pdq`, and the source's own columns
DTYPES = {pa.string(): "string", pa.int64(): "int64", pa.int32(): "int32", pa.float64(): "float64", pa.bool_(): "bool"}


@dataclass(frozen=True)
class ParquetFiles:
    """The format `parquet` of an export."""

    labels: Sequence[str]  # names by id, all different
    own: pa.Schema  # the source's own columns
    parts: Mapping[str, int]  # by split

    def names(self, part: Part) -> list[str]:
        """Returns the objects of a part."""
        split = part.entry.split
        return [f"data/{split}-{part.place:05d}-of-{self.parts[split]:05d}.parquet"]

    def write(self, part: Part, blocks: Iterable[Block], folder: Path) -> int:
        """Writes the objects of a part below a local folder and returns the number of samples. The same samples give the
        same bytes."""
        (path,) = (folder / name for name in self.names(part))
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = 0
        # Images are compressed already.
        packed = {leaf: "none" if leaf == "image.bytes" else "zstd" for leaf in _leaves(self.schema)}
        plain = [leaf for leaf in packed if leaf not in ("image.bytes", "image.path", "key", "sha256")]
        with pq.ParquetWriter(
            path, self.schema, compression=packed, use_dictionary=plain, write_statistics=plain
        ) as file:
            for block in blocks:
                file.write_table(self.table(block), row_group_size=max(1, len(block.images)))
                rows += len(block.images)
        return rows

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns, with the features of `datasets` as metadata."""
        facts = [FACTS.field(name).with_nullable(True) for name in PLAIN_FACTS if name != "key"]
        fields = [
            pa.field("image", IMAGE),
            pa.field("key", pa.string()),
            pa.field("labels", pa.list_(pa.int64())),
            pa.field("repeat", pa.float64()),
            *facts,
            pa.field("pdq", pa.string()),
        ]
        fields += [pa.field(self._own_names[field.name], field.type) for field in self.own]
        features = {field.name: self._feature(field) for field in fields}
        return pa.schema(fields, {"huggingface": json.dumps({"info": {"features": features}})})

    @cached_property
    def _own_names(self) -> dict[str, str]:
        return renamed(self.own.names, [*FIRST, *PLAIN_FACTS, "pdq"])

    def _feature(self, field: pa.Field) -> dict[str, Any]:
        """A feature of `datasets`, as its metadata in Parquet files writes it."""
        if field.name == "image":
            return {"_type": "Image"}
        if field.name == "labels":  # ClassLabel refuses an empty list of names
            label = {"names": list(self.labels), "_type": "ClassLabel"} if self.labels else _value(pa.int64())
            return {"feature": label, "_type": "Sequence"}
        if field.name == "tags":
            return {"feature": _value(pa.string()), "_type": "Sequence"}
        return _value(field.type)

    def table(self, block: Block) -> pa.Table:
        """Returns a block as rows of `schema`."""
        facts, keys = block.facts, block.facts["key"].combine_chunks()
        paths = pa.array([f"{key}.jpg" for key in keys.to_pylist()], pa.string())
        columns = [
            pa.StructArray.from_arrays([pa.array(block.images, pa.binary()), paths], fields=list(IMAGE)),
            keys,
            pa.array(block.labels, pa.list_(pa.int64())),
            pa.array(block.repeats, pa.float64()),
            *(column(facts, name, FACTS.field(name).type) for name in PLAIN_FACTS if name != "key"),
            pdq_hex(facts),
            *(column(facts, field.name, field.type) for field in self.own),
        ]
        return pa.Table.from_arrays(columns, schema=self.schema)


def _value(kind: pa.DataType) -> dict[str, Any]:
    return {"dtype": DTYPES[kind], "_type": "Value"}


def _leaves(schema: pa.Schema) -> list[str]:
    """The names of a schema's columns in a Parquet file."""
    found = list[str]()
    for field in schema:
        if pa.types.is_struct(field.type):
            found += [f"{field.name}.{inner.name}" for inner in field.type]
        else:
            found.append(f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name)
    return found
