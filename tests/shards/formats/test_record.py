"""Tests the base row: the same content in the JSON member and in the table."""

import hashlib
import json
import math
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.errors import ConfigError
from tagmill.shards.formats.record import FACTS, RESERVED, Record, facts_schema, key_of, sha256_hex
from tests.shards.corpora import sample

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
WORD = st.integers(-(1 << 63), (1 << 63) - 1)
RECORDS = st.builds(
    Record,
    sha256=st.binary(max_size=9).map(sha256_hex),
    pdq=st.tuples(WORD, WORD, WORD, WORD),
    width=st.integers(1, 65535),
    height=st.integers(1, 65535),
    original_width=st.integers(1, 1 << 30),
    original_height=st.integers(1, 1 << 30),
    tags=st.lists(TEXT, max_size=4).map(tuple),
    url=st.none() | TEXT,
    licence=st.none() | TEXT,
    page=st.none() | TEXT,
    extra=st.dictionaries(
        TEXT.filter(lambda name: name not in RESERVED), st.none() | TEXT | st.integers() | st.floats()
    ),
)


@given(RECORDS)
def test_json_is_plain_sorted_ascii(record: Record) -> None:
    data = record.json()
    assert data.isascii() and b"\n" not in data
    pairs = json.loads(data, object_pairs_hook=list, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    names = [name for name, _ in pairs]
    assert names == sorted(set(names))
    row = dict(pairs)
    assert row.pop("key") == record.key == record.sha256[:32]
    pdq = row.pop("pdq")
    words = [int(pdq[i : i + 16], 16) for i in range(0, 64, 16)]
    assert len(pdq) == 64 and [w - (w >> 63 << 64) for w in words] == list(record.pdq)
    assert tuple(row.pop("tags")) == record.tags
    for name, value in record.extra.items():
        expected = None if isinstance(value, float) and not math.isfinite(value) else value
        assert row.pop(name) == expected
    assert row == {
        name: getattr(record, name)
        for name in ["sha256", "width", "height", "original_width", "original_height", "url", "licence", "page"]
    }
    assert data == replace(record, extra=dict(reversed(list(record.extra.items())))).json()


def test_the_table_row_has_every_column_that_does_not_depend_on_the_shard() -> None:
    record = sample(3).record
    row = record.row()
    assert set(row) == set(FACTS.names) - {"crc32", "offset", "size"} | {"caption", "score"}
    assert [row[f"pdq{i}"] for i in range(4)] == list(record.pdq)
    assert row["tags"] == list(record.tags)


def test_key_of() -> None:
    digest = hashlib.sha256(b"a picture").hexdigest()
    assert len(key_of(digest)) == 32 and digest.startswith(key_of(digest))
    assert sha256_hex(b"a picture") == digest


@pytest.mark.parametrize("name", [*sorted(RESERVED), "a.b"])
def test_reserved_names_raise_an_error(name: str) -> None:
    with pytest.raises(ConfigError, match=r"is taken .*rename it"):
        facts_schema(pa.schema([(name, pa.string())]))


def test_types_that_sql_and_json_do_not_share_raise_an_error() -> None:
    for kind in (pa.list_(pa.string()), pa.binary(), pa.timestamp("ms"), pa.float32()):
        with pytest.raises(ConfigError, match="has type"):
            facts_schema(pa.schema([("mine", kind)]))
    with pytest.raises(ConfigError, match="two columns named"):
        facts_schema(pa.schema([("mine", pa.string()), ("mine", pa.int64())]))


def test_the_sources_own_columns_follow_ours() -> None:
    extra = pa.schema([("b", pa.string()), ("a", pa.int64()), ("c", pa.float64()), ("d", pa.bool_())])
    assert facts_schema(extra).names == [*FACTS.names, "b", "a", "c", "d"]
