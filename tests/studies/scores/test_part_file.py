"""A part has the schema that others read, the same bytes for the same scores, and its counts."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards import IntegrityError
from tagmill.studies.scores.part_file import PartCounts, part_bytes, read_counts
from tagmill.studies.scores.score_files import SCORES

COUNTS = PartCounts(3, 4, 2, {"altered": 1, "taken_down": 1})
KEYS = ["ab" * 16, "0c" * 16]


def part(counts: PartCounts = COUNTS, keys: list[str] = KEYS, top: int = 2) -> bytes:
    labels = np.arange(len(keys) * top, dtype=np.int32).reshape(-1, top)
    return part_bytes(counts, keys, labels, 65536 - labels)


def test_rows_are_long_with_the_best_labels_of_each_sample_first() -> None:
    table = pq.read_table(io.BytesIO(part()))
    assert table.schema.equals(SCORES)
    assert table.to_pydict() == {
        "key": [KEYS[0], KEYS[0], KEYS[1], KEYS[1]],
        "label": [0, 1, 2, 3],
        "score": [65536, 65535, 65534, 65533],
    }
    assert read_counts(part(), 3, 4, 2, "here") == COUNTS and part() == part()
    assert json.loads(pq.ParquetFile(io.BytesIO(part())).metadata.metadata[b"tagmill.counts"])["skipped"] == {
        "altered": 1, "taken_down": 1
    }  # fmt: skip


def test_a_part_without_scores_has_no_rows() -> None:
    none = PartCounts(0, 2, 0, {"decoder_failed": 2})
    assert read_counts(part(none, []), 0, 2, 2, "here") == none


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (part()[:-9], "not the part"),
        (b"", "not the part"),
        (part(PartCounts(2, 4, 2, {"altered": 2})), "other samples"),
        (part(PartCounts(3, 5, 2, {"altered": 3})), "other samples"),
        (part(top=3), "other samples"),
        (part(PartCounts(3, 4, 2, {"altered": 1})), "counts that disagree"),
    ],
)
def test_other_files_are_refused(data: bytes, says: str) -> None:
    with pytest.raises(IntegrityError, match=rf"{says}.*\(here\): delete the file"):
        read_counts(data, 3, 4, 2, "here")


def test_a_table_of_someone_else_is_refused() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"key": ["a"]}), sink)
    with pytest.raises(IntegrityError, match="KeyError"):
        read_counts(sink.getvalue(), 0, 1, 1, "here")


@given(st.binary(max_size=200), st.integers(0, 400))
def test_no_bytes_break_the_reader(junk: bytes, place: int) -> None:
    good = part()
    for data in (junk, good[:place] + junk + good[place + len(junk) :]):
        try:
            assert read_counts(data, 3, 4, 2, "here") == COUNTS  # only bytes of the pages were altered
        except IntegrityError:
            continue
