"""Columns of an export: one type for all parts, names that are all different, PDQ hashes as everywhere else."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.exchange.columns import column, label_names, own_columns, pdq_hex, renamed
from tagmill.shards.exchange.samples import Part
from tagmill.shards.storage.store import Store
from tagmill.shards.vocabulary import Label, Vocabulary
from tagmill.shards.writer import publish
from tests.shards.corpora import sample, write_shard

WORDS = st.text("ab_", max_size=4)


def test_columns_of_shards_of_several_runs_become_one_schema(tmp_path: Path) -> None:
    store, found = Store(str(tmp_path / "corpus")), list[Part]()
    kinds = [{"a": pa.int64(), "b": pa.int64()}, {"b": pa.float64(), "c": pa.string()}, {"a": pa.bool_()}]
    for number, kind in enumerate(kinds):
        made = sample(number, extra=dict.fromkeys(kind))
        entry = write_shard(tmp_path / "spool", f"{number:06d}", [made], extra=pa.schema(list(kind.items())))
        publish(store, tmp_path / "spool", entry.name)
        found.append(Part(number, entry, number, 1))
    assert own_columns(store, found) == pa.schema([("a", pa.string()), ("b", pa.float64()), ("c", pa.string())])
    assert own_columns(store, found[1:2]) == pa.schema([("b", pa.float64()), ("c", pa.string())])


def test_a_column_that_a_shard_does_not_have_is_null() -> None:
    table = pa.table({"a": [1, 2]})
    assert column(table, "b", pa.string()).to_pylist() == [None, None]
    assert column(table, "a", pa.string()).to_pylist() == ["1", "2"]


def test_a_pdq_hash_is_that_of_the_json_member() -> None:
    records = [sample(number).record for number in range(3)]
    columns = {f"pdq{word}": [record.pdq[word] for record in records] + [None] for word in range(4)}
    found = pdq_hex(pa.table({name: pa.array(values, pa.int64()) for name, values in columns.items()})).to_pylist()
    assert found[-1] is None
    for record, text in zip(records, found, strict=False):
        assert f'"pdq":"{text}"' in record.json().decode()


@given(st.lists(WORDS, unique=True), st.sets(WORDS | st.just("source_a")))
def test_names_of_columns_are_all_different_and_mostly_the_same(own: list[str], taken: set[str]) -> None:
    found = renamed(own, taken)
    assert list(found) == own and len(set(found.values())) == len(own) and not set(found.values()) & taken
    assert all(found[name] == name for name in own if name not in taken)


@given(st.lists(st.sampled_from(["bear", "bear (n1)", "bear (n1) (2)", "oak"]), max_size=8))
def test_names_of_labels_are_all_different_and_mostly_the_same(names: list[str]) -> None:
    labels = [Label(number, name, (f"n{number}",), ()) for number, name in enumerate(names)]
    found = label_names(Vocabulary(tuple(labels)))
    assert len(set(found)) == len(names)
    if len(set(names)) == len(names):
        assert found == names


def test_a_name_of_two_labels_gets_their_synsets() -> None:
    crane = [Label(0, "crane", ("n02012849",), ()), Label(1, "crane", ("n03126707",), ()), Label(2, "oak", ("n1",), ())]
    assert label_names(Vocabulary(tuple(crane))) == ["crane (n02012849)", "crane (n03126707)", "oak"]


@pytest.mark.parametrize(("name", "wanted"), [("source_key", "source_key"), ("key", "source_source_key")])
def test_a_name_in_the_way_is_not_taken_twice(name: str, wanted: str) -> None:
    assert renamed(["source_key", "key"], {"key"})[name] == wanted
