"""The first pass over a shard: distinct tags, the limit of tags, labels by number, and tags without labels."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.labels.coverage import MAX_TAG_CHARS
from tagmill.ingest.labels.matching import MatchRules
from tagmill.ingest.labels.synsets import labels_of, set_text
from tagmill.ingest.views.count import MAX_DROPPED, MAX_TAGS, MAX_UNMATCHED, CountTask, count_tags, distinct_pairs
from tagmill.ingest.views.scratch_files import read_sample_labels
from tagmill.ingest.views.tag_union import UNION
from tagmill.shards.errors import CorpusError
from tests.ingest.tagged import make

LISTS = st.lists(st.one_of(st.none(), st.lists(st.one_of(st.none(), st.sampled_from("abcde")), max_size=6)), max_size=6)


@given(LISTS, st.lists(st.tuples(st.integers(0, 5), st.sampled_from("cdefg"), st.integers(1, 4)), max_size=6))
def test_pairs_are_distinct(lists: list[list[str | None] | None], extra: list[tuple[int, str, int]]) -> None:
    extra = [row for row in extra if row[0] < len(lists)]
    table = pa.Table.from_pylist([dict(zip(UNION.names, row)) for row in extra], UNION)
    column = pa.chunked_array([pa.array(lists, pa.list_(pa.string()))])
    for union in (None, table):
        samples, numbers, words = distinct_pairs(column, union)
        found = [(sample, words[number]) for sample, number in zip(samples.tolist(), numbers.tolist())]
        wanted = {(sample, tag) for sample, tags in enumerate(lists) for tag in tags or [] if tag is not None}
        wanted |= {(sample, tag) for sample, tag, _ in extra} if union is not None else set()
        assert sorted(found) == sorted(wanted) and len(found) == len(set(found))
        assert sorted(samples.tolist()) == samples.tolist()


def test_of_too_many_tags_the_commonest_are_kept() -> None:
    tags = [f"t{n:05d}" for n in range(MAX_TAGS + 50)]
    column = pa.chunked_array([pa.array([["a"], tags, tags[:MAX_TAGS]])])
    samples, numbers, words = distinct_pairs(column, None)
    assert sorted(words[n] for s, n in zip(samples, numbers) if s == 1) == tags[:MAX_TAGS]
    assert np.bincount(samples).tolist() == [1, MAX_TAGS, MAX_TAGS]
    union = pa.Table.from_pylist([{"ordinal": 1, "tag": tags[-1], "copies": 2}], UNION)
    samples, numbers, words = distinct_pairs(column, union)
    kept = {words[n] for s, n in zip(samples, numbers) if s == 1}
    assert len(kept) == MAX_TAGS and tags[-1] in kept and tags[MAX_TAGS - 1] not in kept


def test_labels_and_tokens_are_counted_once_a_sample(tmp_path: Path) -> None:
    made = make(tmp_path, [[["#cat", "cat", "CAT!", "cats"], ["nosuch", "#nosuch"], ["cat", "jaguar"], []]])
    task = CountTask(made.corpus.store, made.entries[0], MatchRules("all"), None, tmp_path)
    found = count_tags(task)
    assert found.tokens == {"cat": 2, "cats": 1, "jaguar": 1}
    cats = {set_text(label) for label in labels_of("cat", "all")}
    assert all(found.labels[name] == 2 for name in cats)
    assert found.dropped == {"nosuch": 2} and (found.tags, found.tags_matched) == (8, 6)
    assert found.unmatched == {"nosuch": 1, "#nosuch": 1}
    left = read_sample_labels(tmp_path, "000000")
    pairs = {(int(sample), left.sets[label]) for sample, label in zip(left.samples, left.labels)}
    assert left.keys.tobytes().hex() == "".join(made.keys)
    assert {name for sample, name in pairs if sample == 0} == cats and not {s for s, _ in pairs} & {1, 3}


def test_reported_tags_without_labels_are_bounded(tmp_path: Path) -> None:
    tags = [
        [f"nosuch{number:04d}" for number in range(900)],
        ["often so", "x" * 500_000 + "y"],
        ["often so", "x" * 500_000],
    ]
    made = make(tmp_path, [tags])
    found = count_tags(CountTask(made.corpus.store, made.entries[0], MatchRules(), None, tmp_path))
    assert len(found.unmatched) == MAX_UNMATCHED and next(iter(found.unmatched)) == "often so"
    assert found.unmatched["often so"] == 2 and max(map(len, found.unmatched)) <= MAX_TAG_CHARS
    assert len(found.dropped) == MAX_DROPPED


def test_a_table_that_is_not_the_manifests_is_refused(tmp_path: Path) -> None:
    made = make(tmp_path, [[["cat"]], [["dog"], ["oak"]]])
    store = made.corpus.store
    store.put("shards/000000.parquet", store.read("shards/000001.parquet"))
    with pytest.raises(CorpusError, match="2 rows, the manifest says 1"):
        count_tags(CountTask(store, made.entries[0], MatchRules(), None, tmp_path))
