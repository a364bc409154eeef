"""The input files of each run that made a corpus: a table beside the manifest, which `lineage` in `corpus.json` names.

A run may have hundreds of thousands of input files, and every reader of the corpus reads `corpus.json`. Earlier versions
listed them there (`inputs`); both forms are read. The key of the new form is another (`input_table`), so that an earlier
version refuses to extend such a corpus instead of counting its files wrongly.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import pyarrow as pa

from tagmill.shards.formats.parquet import read_table
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.manifest import Corpus, Named, read_named
from tagmill.shards.storage.store import Store

INPUTS = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("sha256", pa.string()),
        pa.field("listing_sha256", pa.string()),
        pa.field("skipped", pa.int64(), nullable=False),
        pa.field("replaced_rows", pa.int64(), nullable=False),
        pa.field("joined_lines", pa.int64(), nullable=False),
    ]
)
_INLINE = "inputs"  # key of `lineage` in corpora of earlier versions: a list of objects
_TABLE = "input_table"


@dataclass(frozen=True)
class InputTotals:
    """What all input files of a run have together."""

    files: int = 0
    rows: int = 0
    bytes: int = 0
    skipped: int = 0  # rows that `where` or a preset leaves out

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Self:
        """Reads the fields of `asdict`; others are ignored."""
        return cls(**{each.name: found[each.name] for each in fields(cls)})


def put_inputs(
    store: Store, data: bytes, totals: InputTotals, note: Callable[[str], None] = lambda path: None
) -> dict[str, Any]:
    """Writes the table (Parquet bytes, schema INPUTS) under the name of its content, and returns the entry of `lineage`
    that names it; calls `note` with the name first."""
    digest = sha256_hex(data)
    named = Named(f"manifests/inputs-{digest[:12]}.parquet", digest)
    note(named.path)
    if not store.put_new(named.path, data):
        read_named(store, named)  # an object of that name must have the same bytes
    return {_TABLE: {**asdict(named), **asdict(totals)}}


def input_table(run: Mapping[str, Any]) -> Named | None:
    """Returns the table that an entry of `lineage` names; None where it lists its inputs itself, or has none."""
    found = run.get(_TABLE)
    return None if found is None else Named(found["path"], found["sha256"])


def num_inputs(run: Mapping[str, Any]) -> int | None:
    """Returns the number of input files of a run by its entry of `lineage`; None where it does not say."""
    if _TABLE in run:
        return InputTotals.of(run[_TABLE]).files
    return len(run[_INLINE]) if _INLINE in run else None


def read_inputs(corpus: Corpus, run: int) -> pa.Table:
    """Returns the input files of run number `run` (schema INPUTS), in order of their ordinals; no rows where the corpus
    does not list them. Raises IntegrityError if the table is missing or was altered."""
    entry = corpus.file.lineage[run]
    if (named := input_table(entry)) is not None:
        return read_table(read_named(corpus.store, named)).cast(INPUTS)
    default = {"kind": "lists", "skipped": 0, "replaced_rows": 0, "joined_lines": 0}
    return pa.Table.from_pylist([default | each for each in entry.get(_INLINE, [])], INPUTS)
