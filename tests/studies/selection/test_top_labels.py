"""The first labels of an image are those of a plain count, wherever batches end, and equal scores keep their order."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.engines import engine
from tagmill.shards import Store
from tagmill.studies.selection.chosen_rows import SCORED
from tagmill.studies.selection.top_labels import top_labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scores")


@settings(max_examples=60, deadline=None)
@given(
    files=st.lists(st.lists(st.integers(0, 5), max_size=6), min_size=1, max_size=3),
    top=st.integers(1, 6),
    rows=st.integers(1, 8),
)
def test_the_first_rows_of_each_image_stay(folder: Path, files: list[list[int]], top: int, rows: int) -> None:
    names, wanted = [], []
    for number, images in enumerate(files):
        names.append(f"{number}.parquet")
        # Labels fall and scores are equal, so that neither tells which rows come first.
        table = [(f"{number}-{image}", 9 - place, 7) for image, labels in enumerate(images) for place in range(labels)]
        columns = [[row[column] for row in table] for column in range(3)]
        pq.write_table(pa.table(columns, schema=SCORED), folder / names[-1])
        wanted += [row for row in table if 9 - row[1] < top]
    table = top_labels(Store(str(folder)), names, top)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(engine, "TABLE_ROWS", rows)
        found = pa.Table.from_batches([batch for item in table.items for batch in table.make(item)], SCORED)
    assert list(zip(*found.to_pydict().values(), strict=True)) == wanted
