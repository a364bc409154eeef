"""First pass of a view whose labels come from a table, one task per shard; it leaves what `count.count_tags` leaves."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tagmill.ingest.views.count import CountedTags
from tagmill.ingest.views.scratch_files import SampleLabels, write_sample_labels
from tagmill.shards.arrays import Int32s
from tagmill.shards.manifest import ShardEntry
from tagmill.shards.reader import whole_index
from tagmill.shards.storage.store import Store


@dataclass(frozen=True)
class RowsTask:
    """One shard, and its labels from the table."""

    store: Store
    entry: ShardEntry
    rows: Path | None  # schema `label_rows.SHARD_LABELS`; None: no sample of the shard has a label
    classes: Path  # text of a label's synset set a line, in order of the ids
    spool: Path


def count_rows(task: RowsTask) -> CountedTags:
    """Counts the samples of one shard by label, and leaves the pairs (sample, label) in the spool."""
    index = whole_index(task.store, task.entry)
    keys = np.ascontiguousarray(index["key"]).view(np.uint8).reshape(-1, 16)
    samples, ids = _read(task.rows)
    there, labels = np.unique(ids, return_inverse=True)
    sets = _texts(task.classes, there)
    write_sample_labels(task.spool, task.entry.name, SampleLabels(samples, labels.astype(np.int32), sets, keys))
    counts = np.bincount(labels, minlength=len(sets)).tolist()
    return CountedTags(task.entry.split, dict(zip(sets, counts, strict=True)), {}, {})


def _read(path: Path | None) -> tuple[Int32s, Int32s]:
    if path is None:
        return np.zeros(0, np.int32), np.zeros(0, np.int32)
    table = pq.read_table(path)
    return table["ordinal"].to_numpy(), table["label"].to_numpy()


def _texts(path: Path, ids: Int32s) -> list[str]:
    lines = path.read_text(encoding="ascii").splitlines()
    return [lines[number] for number in ids.tolist()]
