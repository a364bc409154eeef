"""JSON lines and plain URLs: any bytes give rows or an error with the line; batch sizes change nothing."""

import codecs
import io
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.sources import text_rows
from tagmill.ingest.sources.input_warnings import InputWarnings
from tagmill.ingest.sources.text_rows import json_rows, plain_urls
from tagmill.shards.errors import InputError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


def raw(data: bytes) -> io.RawIOBase:
    return io.BytesIO(data)  # type: ignore[return-value]


def parsed(data: bytes, batch_rows: int = 100) -> list[dict[str, Any]]:
    batches = json_rows(raw(data), ["a", "b"], ("b", ","), batch_rows, "list.jsonl", InputWarnings())
    return [row for batch, _ in batches for row in batch.to_pylist()]


@given(st.lists(st.dictionaries(st.sampled_from("abc"), JSON, max_size=3), max_size=12), st.integers(1, 5))
def test_any_objects_are_rows(objects: list[dict[str, Any]], batch_rows: int) -> None:
    data = b"".join(json.dumps(row).encode() + b"\r\n \n" for row in objects)
    found = parsed(data)
    assert len(found) == len(objects)
    for row, made in zip(found, objects, strict=True):
        assert isinstance(row["b"], list)
        if isinstance(made.get("a"), str):
            assert row["a"] == made["a"].encode("utf-8", "replace").decode()
        none = made.get("a") is None or (isinstance(made["a"], float) and not math.isfinite(made["a"]))
        assert (row["a"] is None) == none
    assert parsed(data, batch_rows) == found
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_rows, "BATCH_BYTES", 20)
        assert parsed(data) == found


@given(st.lists(st.binary(max_size=20) | st.sampled_from([b"{}", b'{"a": 1}', b"[" * 100_000, b"9" * 5_000])))
def test_any_bytes_are_rows_or_an_error_that_names_the_line(some: list[bytes]) -> None:
    data = b"\n".join(some)
    try:
        found = parsed(data)
    except InputError as error:
        number = int(str(error).split()[1])
        bad = data.split(b"\n")[number - 1]
        assert "list.jsonl" in str(error)
        with pytest.raises(InputError, match="line 2 is"):
            parsed(b"{}\n" + (bad if number > 1 else bad.removeprefix(codecs.BOM_UTF8)))
        parsed(b"\n".join(data.split(b"\n")[: number - 1]))
    else:
        assert len(found) == sum(bool(line.strip()) for line in data.removeprefix(codecs.BOM_UTF8).split(b"\n"))


def test_invalid_utf8_and_byte_order_marks() -> None:
    assert parsed(b'\xef\xbb\xbf{"a": "x\xff"}') == [{"a": "x\ufffd", "b": []}]
    assert list(plain_urls(raw(b"\xef\xbb\xbf"), "url", 9, InputWarnings())) == []


def test_numbers_that_are_none_are_null() -> None:
    found = parsed(b'{"a": NaN, "b": NaN}\n{"a": Infinity, "b": [NaN, "x", null]}\n{"a": "NaN", "b": "None"}\n')
    assert found == [{"a": None, "b": []}, {"a": None, "b": ["x"]}, {"a": "NaN", "b": []}]


def test_the_columns_that_were_seen_come_with_each_batch() -> None:
    batches = json_rows(raw(b'{"a": 1}\n{"b": "x,y", "c": 0}'), ["a", "b"], ("b", ","), 1, "x", InputWarnings())
    assert [(batch.to_pylist(), seen) for batch, seen in batches] == [
        ([{"a": "1", "b": []}], {"a"}),
        ([{"a": None, "b": ["x", "y"]}], {"b", "c"}),
    ]


@given(st.text(), st.integers(1, 4), st.integers(1, 30))
def test_plain_urls_are_the_lines_that_are_not_blank(text: str, batch_rows: int, batch_bytes: int) -> None:
    data = text.encode("utf-8", "replace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_rows, "BATCH_BYTES", batch_bytes)
        batches = list(plain_urls(raw(data), "url", batch_rows, InputWarnings()))
    assert all(0 < len(batch) <= batch_rows for batch in batches)
    wanted = [line.strip() for line in data.removeprefix(codecs.BOM_UTF8).split(b"\n") if line.strip()]
    assert [row["url"] for batch in batches for row in batch.to_pylist()] == [w.decode().strip() for w in wanted]
