"""The index of a view agrees with its labels, and one that is not the view's is not used."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.browse.search import label_index
from tagmill.browse.search.cursor import Cursor
from tagmill.browse.search.label_index import SEARCH, SEARCH_FILE, lookup, write_index
from tagmill.browse.search.matchers import WithLabel
from tagmill.browse.search.query import prepare
from tagmill.browse.search.scan import scan
from tagmill.browse.search.snapshot import CorpusWatch, Snapshot
from tagmill.shards.errors import CorpusError, IntegrityError
from tests.pipeline.corpora import NUM_LABELS, make_corpus


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    folder = tmp_path_factory.mktemp("corpus")
    made = make_corpus(folder / "corpus", [4, 1, 9, 3, 2, 6], holdout=[3])
    return CorpusWatch(made.url, None).now()


def file_of(snapshot: Snapshot) -> Path:
    return Path(snapshot.view("default").store.url) / SEARCH_FILE


@settings(max_examples=8)
@given(labels=st.sets(st.integers(0, NUM_LABELS - 1), min_size=1), cap=st.integers(1, 8), group=st.integers(1, 9))
def test_a_search_by_the_index_finds_what_a_search_of_all_shards_finds(
    snapshot: Snapshot, labels: set[int], cap: int, group: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_index, "SHARDS_LISTED", cap)
        patch.setattr(label_index, "GROUP_ROWS", group)
        write_index(snapshot, "default")
    listed = lookup(snapshot, "default", labels)
    assert listed is not None
    rows = [snapshot.view("default").labels(shard, 0, snapshot.corpus.entry(shard).samples) for shard in range(7)]
    for label in labels:
        have = [int((each == label).any(axis=1).sum()) for each in rows]
        assert listed.in_samples[label] == sum(have)
        assert listed.in_shards[label] == np.count_nonzero(have)
    matcher = WithLabel("default", tuple(sorted(labels)))
    by_index = scan(snapshot, matcher, Cursor(), 99, among=listed.shards, among_until=listed.until)
    assert by_index == scan(snapshot, matcher, Cursor(), 99)
    have_any = [shard for shard, each in enumerate(rows) if np.isin(each, list(labels)).any()]
    assert list(listed.shards) == [shard for shard in have_any if shard < listed.until]


def test_a_rare_label_reads_one_row_group(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_index, "GROUP_ROWS", 2)
    write_index(snapshot, "default")
    groups = list[int]()
    real = pq.ParquetFile.read_row_group

    def noted(self: pq.ParquetFile, number: int, **options: object) -> object:
        groups.append(number)
        return real(self, number, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", noted)
    lookup(snapshot, "default", [0])
    assert 0 in groups and len(groups) < pq.ParquetFile(file_of(snapshot)).num_row_groups / 2


def test_an_index_of_another_view_or_none_is_not_used(snapshot: Snapshot) -> None:
    write_index(snapshot, "default")
    table = pq.read_table(file_of(snapshot))
    pq.write_table(table.replace_schema_metadata({b"tagmill.view": b"00" * 32}), file_of(snapshot))
    with pytest.raises(IntegrityError, match=r"another view .*--index"):
        lookup(snapshot, "default", [1])
    search = prepare(snapshot, "label", "label1", "default")
    assert search.listed is None and "another view" in search.warning
    file_of(snapshot).unlink()
    assert lookup(snapshot, "default", [1]) is None


@settings(max_examples=8)
@given(cut=st.integers(0, 400), noise=st.binary(max_size=8))
def test_a_damaged_index_is_an_error_and_no_crash(snapshot: Snapshot, cut: int, noise: bytes) -> None:
    write_index(snapshot, "default")
    whole = file_of(snapshot).read_bytes()
    file_of(snapshot).write_bytes(whole[: max(0, len(whole) - cut)] + noise)
    try:
        found = lookup(snapshot, "default", range(NUM_LABELS))
    except IntegrityError as error:
        assert SEARCH_FILE in str(error)
    else:
        assert cut == 0 and not noise and found is not None
    file_of(snapshot).unlink()


def test_shards_that_are_not_there_are_an_error(snapshot: Snapshot) -> None:
    write_index(snapshot, "default")
    table = pq.read_table(file_of(snapshot))
    moved = table.set_column(1, SEARCH.field("shard"), pa.array([10**6] * len(table), pa.int32()))
    pq.write_table(moved.replace_schema_metadata(table.schema.metadata), file_of(snapshot))
    with pytest.raises(IntegrityError, match="not there"):
        lookup(snapshot, "default", range(NUM_LABELS))
    file_of(snapshot).unlink()


def test_a_shard_whose_labels_are_missing_leaves_no_index(tmp_path: Path) -> None:
    made = make_corpus(tmp_path / "corpus", [4, 5])
    made.view_file("000001.labels.npy").unlink()
    snapshot = CorpusWatch(made.url, None).now()
    with pytest.raises(CorpusError, match="000001"):
        write_index(snapshot, "default")
    assert not file_of(snapshot).exists()
