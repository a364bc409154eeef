"""Conditions on rows: what they mean beside an SQL engine, how text is compared, and what is refused."""

import io
import json
import math
import tarfile
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.row_filter.condition import MAX_CONDITION, parsed_condition
from tagmill.ingest.sources.input_warnings import InputWarnings
from tagmill.ingest.sources.rows import rows
from tagmill.shards.errors import ConfigError, InputError

NUMBERS = pa.record_batch(
    {
        "a": pa.array([1, 5, None, -3, 7], pa.int32()),
        "b": pa.array([0.1, None, 0.3, 5.5, 7.0], pa.float64()),
        "t": pa.array(["cat", "Dog", None, "", "catfish"]),
        "yes": pa.array([True, False, None, True, False]),
        "big": pa.array([2**53 + 1, 0, None, 5, -1], pa.int64()),
    }
)


def met(text: str, batch: pa.RecordBatch = NUMBERS) -> list[bool]:
    found: list[bool] = parsed_condition(text).met(batch).to_pylist()
    return found


@pytest.mark.parametrize(
    "text",
    [
        "a > 2",
        "a >= 5 and b < 6",
        "not (a > 2 or b < 0.2)",
        "a between -3 and 1",
        "a not between 0 and 6",
        "a in (1, -3, 9)",
        "a not in (1, 2)",
        "t like 'cat%'",
        "t ilike '%D%'",
        "t not like '%a%'",
        "t not ilike '%A%'",
        "t = 'cat' or t is null",
        "b is not null and yes",
        "not yes",
        "yes = false",
        "a * 2 - 1 > b + 3",
        "a / 2 >= 2.5",
        "-a < b",
        "big = 9007199254740993",
        "a <> 5",
        "(a > b) = yes",
        "t >= 'D' and t < 'd'",
        "null or a = 1",
        '"a" = 5',
    ],
)
def test_means_what_it_means_in_duckdb(text: str) -> None:
    found = duckdb.sql(f"SELECT coalesce(({text}), false) AS met FROM NUMBERS").fetchall()
    assert met(text) == [row[0] for row in found]


ATOMS = st.sampled_from(
    [
        "a > 1",
        "b <= 0.3",
        "t like '%a%'",
        "yes",
        "a is null",
        "b in (0.1, 7)",
        "a between 1 and 5",
        "a + b > 6",
        "t <> 'cat'",
    ]
)
TREES = st.recursive(
    ATOMS,
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner) | inner.map("(not {})".format)
    ),
    max_leaves=6,
)


@given(TREES)
def test_any_combination_means_what_it_means_in_duckdb(text: str) -> None:
    found = duckdb.sql(f"SELECT coalesce({text}, false) AS met FROM NUMBERS").fetchall()
    assert met(text) == [row[0] for row in found]


def test_numbers_in_text_are_numbers_and_other_text_is_unknown() -> None:
    batch = pa.record_batch({"s": pa.array(["5", " 6.5 ", "1e1", "n/a", "", "nan", None, "inf", "-.5", "٣"])})
    assert met("s > 5", batch) == [False, True, True, *[False] * 7]
    assert met("not s > 5", batch) == [True, False, False, False, False, False, False, False, True, False]
    assert met("s = '5'", batch) == [True, *[False] * 9]


def test_not_a_number_is_null() -> None:
    batch = pa.record_batch({"x": pa.array([math.nan, 1.0, math.inf, None])})
    assert met("x > 0", batch) == [False, True, False, False] and met("x is null", batch) == [True, False, True, True]
    assert met("x / 0 > 0 or x = 1", batch) == [False, True, False, False]


@pytest.mark.parametrize(
    "kind",
    [
        pa.uint64(),
        pa.float16(),
        pa.decimal128(30, 2),
        pa.dictionary(pa.int32(), pa.int64()),
        pa.large_string(),
        pa.binary(),
    ],
)
def test_columns_of_other_types(kind: pa.DataType) -> None:
    values: list[Any] = [1, 3]
    if pa.types.is_binary(kind) or pa.types.is_large_string(kind):
        values = ["1", "3"]
    column = pa.array(values).cast(pa.float32()).cast(kind) if kind == pa.float16() else pa.array(values)
    column = column.dictionary_encode() if pa.types.is_dictionary(kind) else column.cast(kind)
    assert met("n > 2", pa.record_batch({"n": column})) == [False, True]


def test_dates_are_compared_as_text() -> None:
    batch = pa.record_batch({"day": pa.array(["2020-01-01", "2024-05-05"]).cast(pa.date32())})
    assert met("day >= '2024-01-01'", batch) == [False, True]


def test_the_columns_that_are_read_are_named() -> None:
    assert parsed_condition('b > 1 and (a < 2 or "punsafe score" is null) and a > 0').columns == (
        "a",
        "b",
        "punsafe score",
    )


@pytest.mark.parametrize(
    "text",
    [
        "random() > 0.5",
        "now() > a",
        "current_setting('x') = 'y'",
        "a in (select 1)",
        "exists (select 1)",
        "(select count(*) from 'file.csv') > 0",
        "a > 1; drop table x",
        "select 1",
        "a > (select max(a) from read_csv('/etc/passwd'))",
        "getenv('HOME') like '%'",
        "a::int > 1",
        "cast(a as int) > 1",
        "case when a then b end",
        "other.a > 1",
        "a like b",
        "a in (b)",
        "a is true",
        "a + 1",
        "5",
        "'text'",
        "1 = 1",
        "*",
        "",
        "a >",
        "a > $1",
        "a > ?",
        "x -> x + 1",
        "a and 5",
        "lower(t) = 'cat'",
        "a || b = 'x'",
        "a between symmetric 5 and 1",
        "a not between symmetric 5 and 1",
        "a <> all (1)",
        "a // 2 = 1",
        "a % 2 = 1",
        "t like 'a' escape 'b'",
        "t collate nocase = 'x'",
        "[a] = [1]",
        "a > 1 limit 5",
    ],
)
def test_anything_but_a_condition_on_columns_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed_condition(text)
    assert caught.value.where == "--where" and caught.value.remedy


def test_what_is_too_long_or_too_deep_is_refused() -> None:
    for text in ("a > 1" + " or a > 1" * MAX_CONDITION, "(" * 4000 + "a > 1" + ")" * 4000, "not " * 2400 + "yes"):
        with pytest.raises(ConfigError):
            parsed_condition(text)
    with pytest.raises(ConfigError, match="too deeply"):  # here, and not when the first rows come
        parsed_condition("a>1" + " or a>1" * 900)
    assert met("a > 6" + " or a > 6" * 150) == [False, False, False, False, True]


def test_a_column_that_is_neither_true_nor_false_or_has_lists_is_refused() -> None:
    with pytest.raises(ConfigError, match="neither true nor false"):
        met("t")
    with pytest.raises(ConfigError, match="lists or objects"):
        met("l = 1", pa.record_batch({"l": pa.array([[1]])}))


LINES = [
    {"url": "http://a/1", "score": 6.5, "note": "x", "tags": "cat"},
    {"url": "http://a/2", "score": 4.0, "note": "x", "tags": "cat"},
    {"url": "http://a/3", "score": None, "note": "x", "tags": "cat"},
    {"url": "http://a/4", "score": 9.0, "note": "no", "tags": "cat"},
]


def list_of(folder: Path, form: str) -> str:
    place = folder / f"list.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(LINES), place)
    elif form == "jsonl":
        place.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    else:
        cells = [
            "url,score,note,tags",
            *(",".join("" if each is None else str(each) for each in line.values()) for line in LINES),
        ]
        place.write_text("\n".join(cells) + "\n")
    return str(place)


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_a_list_of_each_form_gives_the_rows_that_meet_it_with_their_ids(tmp_path: Path, form: str) -> None:
    where, noticed = "score > 5 and note like 'x%'", dict[int, InputWarnings]()
    config = IngestConfig(input=(list_of(tmp_path, form),), output="corpus", where=where)
    found = [row for batch in rows(config, noticed) for row in batch.to_pylist()]
    assert [(row["row_id"], row["url"]) for row in found] == [(0, "http://a/1")] and "score" not in found[0]
    assert noticed[0].counts() == {"skipped": 3}
    kept = IngestConfig(input=config.input, output="corpus", where="note = 'no'", extra_columns=("score",))
    assert [row["score"] for batch in rows(kept) for row in batch.to_pylist()] == [9.0 if form == "parquet" else "9.0"]


def test_a_missing_column_and_a_condition_that_nothing_meets_are_said(tmp_path: Path) -> None:
    place = list_of(tmp_path, "csv")
    with pytest.raises(InputError, match="nothere"):
        list(rows(IngestConfig(input=(place,), output="corpus", where="nothere > 1")))
    with pytest.raises(InputError, match="no row is left"):
        list(rows(IngestConfig(input=(place,), output="corpus", where="score > 100")))
    with pytest.raises(ConfigError, match=r"RANDOM\(\)"):
        IngestConfig(input=(place,), output="corpus", where="random() > 0.5")


def test_metadata_of_a_tar_is_filtered(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for number, line in enumerate(LINES):
            for suffix, data in (("jpg", b"picture"), ("json", json.dumps(line).encode())):
                member = tarfile.TarInfo(f"{number}.{suffix}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    config = IngestConfig(input=(str(tmp_path / "a.tar"),), output="corpus", where="score >= 6.5")
    assert [row["row_id"] for batch in rows(config) for row in batch.to_pylist()] == [0, 3]


@given(st.text(max_size=30))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        assert parsed_condition(text).columns
    except ConfigError as error:
        assert error.remedy
