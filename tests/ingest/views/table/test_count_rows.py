"""The first pass over a table's labels: counts by label, and the pairs that later passes read."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.views.scratch_files import read_sample_labels
from tagmill.ingest.views.table.count_rows import RowsTask, count_rows
from tagmill.ingest.views.table.label_rows import SHARD_LABELS
from tests.ingest.tagged import make


def test_a_shard_keeps_only_the_labels_that_it_has(tmp_path: Path) -> None:
    made = make(tmp_path, [[["a"], ["b"], ["c"]]], [[["d"]]])
    (classes := tmp_path / "classes").write_text("n1\nn2+n3\nn4\n")
    pq.write_table(pa.table([[0, 0, 2], [1, 2, 2]], schema=SHARD_LABELS), tmp_path / "rows.parquet")
    store, (entry, held) = made.corpus.store, made.entries
    found = count_rows(RowsTask(store, entry, tmp_path / "rows.parquet", classes, tmp_path))
    assert (found.split, found.labels, found.tags) == ("train", {"n2+n3": 1, "n4": 2}, 0)
    pairs = read_sample_labels(tmp_path, entry.name)
    assert [(n, pairs.sets[label]) for n, label in zip(pairs.samples.tolist(), pairs.labels.tolist())] == [
        (0, "n2+n3"),
        (0, "n4"),
        (2, "n4"),
    ]
    assert [row.tobytes().hex() for row in pairs.keys] == made.keys[:3]
    empty = count_rows(RowsTask(store, held, None, classes, tmp_path))
    assert (empty.split, empty.labels) == ("holdout", {}) and len(read_sample_labels(tmp_path, held.name).keys) == 1
