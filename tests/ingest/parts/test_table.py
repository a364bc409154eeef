"""A part's table holds every row in its order, whenever its outcomes come; and what fails while it is written is not lost."""

import asyncio
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.parts import table as part_table
from tagmill.ingest.parts.table import PART, PART_FACTS, PartTable, part_schema, request_id, write_facts
from tagmill.ingest.reasons import Reason
from tagmill.shards.formats.record import sha256_hex

CONFIG = IngestConfig(input=("list.txt",), output="corpus")
ROWS = pa.schema(
    [*[PART.field(name) for name in ("row_id", "url", "tags", "licence", "page")], ("url_hash", pa.binary())]
)


def partitioned(urls: list[int]) -> io.BytesIO:
    """The rows of a part, by the numbers of their URLs."""
    rows = [
        {"row_id": i, "url": f"http://a/{url}", "tags": [f"t{i}"], "url_hash": bytes([url])}
        for i, url in enumerate(urls)
    ]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, ROWS), sink)
    return io.BytesIO(sink.getvalue())


def outcome(url: int) -> tuple[dict[str, Any], bytes | None]:
    """Every third URL gives no picture."""
    if url % 3 == 0:
        return {"reason": Reason.NOT_FOUND, "detail": f"HTTP {url}"}, None
    jpeg, sha256 = bytes([url]) * (url * 97 % 211), sha256_hex(bytes([url]))
    facts = {"sha256": sha256, "width": url, "height": 2, "original_width": 3, "original_height": 4}
    return {"reason": None, **facts, **dict.fromkeys(["pdq0", "pdq1", "pdq2", "pdq3"], 0), "jpeg_size": len(jpeg)}, jpeg


def made(folder: Path, urls: list[int], order: list[int], pause: int = 1) -> tuple[list[dict[str, Any]], PartTable]:
    """The table's rows, when the outcomes of distinct URLs come in that order, so many at a time."""
    distinct = list(dict.fromkeys(urls))

    async def arrive(table: PartTable) -> None:
        for count, number in enumerate(order):
            table.arrived(number, *outcome(distinct[number]))
            if count % pause == 0:
                await asyncio.sleep(0)

    async def both(table: PartTable) -> None:
        await asyncio.gather(table.write(partitioned(urls)), arrive(table))

    with PartTable(folder, 7, part_schema(CONFIG), len(distinct)) as table:
        asyncio.run(both(table))
    return pq.read_table(table.files.pictures).to_pylist(), table


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 250), min_size=1, max_size=60),
    st.randoms(use_true_random=False),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_rows_are_in_order_whenever_their_outcomes_come(
    tmp_path_factory: pytest.TempPathFactory, urls: list[int], random: Any, group: int, pause: int
) -> None:
    folder = tmp_path_factory.mktemp("part")
    order = list(range(len(set(urls))))
    random.shuffle(order)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(part_table, "ROW_GROUP", group)
        rows, table = made(folder, urls, order, pause)
    assert [(row["row_id"], row["place"], row["part"]) for row in rows] == [(i, i, 7) for i in range(len(urls))]
    metadata = pq.read_metadata(table.files.pictures)
    sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert sizes == [len(urls[start : start + group]) for start in range(0, len(urls), group)]
    seen = set()
    for row, url in zip(rows, urls, strict=True):
        columns, jpeg = outcome(url)
        assert all(row[name] == value for name, value in columns.items())
        assert row["jpeg"] == (None if url in seen else jpeg)
        assert (row["sample_bytes"] is None) == (row["reason"] is not None)
        seen.add(url)
    facts = pq.ParquetFile(table.files.facts)
    assert facts.num_row_groups == 1 and facts.schema_arrow.equals(PART_FACTS)
    assert facts.read().to_pylist() == [{name: row[name] for name in PART_FACTS.names} for row in rows]
    assert table.counts.total() == len(urls) and table.counts["ok"] == sum(url % 3 != 0 for url in urls)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 5), st.sampled_from([None, "right", "wrong"])), min_size=1, max_size=30),
    st.booleans(),
)
def test_the_first_row_whose_digest_is_right_has_the_image(
    tmp_path_factory: pytest.TempPathFactory, given_rows: list[tuple[int, str | None]], keep: bool
) -> None:
    """Rows of one URL may have different digests: the image goes to the first that is no reject, and is there once."""
    urls = [3 * number + 1 for number, _ in given_rows]
    listed = [
        None if kind is None else sha256_hex(bytes([url]) if kind == "right" else b"")
        for url, (_, kind) in zip(urls, given_rows)
    ]
    distinct = list(dict.fromkeys(urls))
    config = IngestConfig(
        input=("list.csv",), output="corpus", sha256_column="hash", altered="keep" if keep else "reject"
    )
    rows = pq.read_table(partitioned(urls)).append_column("listed_sha256", pa.array(listed, pa.string()))
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    with PartTable(tmp_path_factory.mktemp("part"), 0, part_schema(config), len(distinct)) as table:
        for number, url in enumerate(distinct):
            table.arrived(number, *outcome(url))
        asyncio.run(table.write(io.BytesIO(sink.getvalue())))
    found = pq.read_table(table.files.pictures).to_pylist()
    seen = set()
    for row, url, (_, kind) in zip(found, urls, given_rows, strict=True):
        is_image = keep or kind != "wrong"
        assert row["reason"] == (None if is_image else Reason.ALTERED)
        assert row["jpeg"] == (outcome(url)[1] if is_image and url not in seen else None)
        assert not keep or row["altered"] == {None: None, "right": False, "wrong": True}[kind]
        seen |= {url} if is_image else set()
    kinds = [kind for _, kind in given_rows]
    assert table.compared == len(kinds) - kinds.count(None)
    assert table.files.altered == (kinds.count("wrong") if keep else 0)


def test_row_groups_are_written_while_others_are_awaited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_table, "ROW_GROUP", 4)
    urls = list(range(12))

    async def watch(table: PartTable) -> None:
        writing = asyncio.create_task(table.write(partitioned(urls)))
        for number in (1, 2, 3, 5, 6, 7):
            table.arrived(number, *outcome(number))
        await asyncio.sleep(0.2)
        assert table.counts.total() == 0  # the first is still under way
        table.arrived(0, *outcome(0))
        while table.counts.total() < 4:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert table.counts.total() == 4 and not writing.done()  # and so is the fifth
        for number in (4, *range(8, 12)):
            table.arrived(number, *outcome(number))
        await writing

    with PartTable(tmp_path, 0, part_schema(CONFIG), 12) as table:
        asyncio.run(asyncio.wait_for(watch(table), 60))
    for path in (table.files.pictures, table.files.facts):
        assert pq.read_table(path)["row_id"].to_pylist() == urls


def test_what_fails_in_the_thread_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PartTable, "_add", full)
    with pytest.raises(OSError, match="No space left"):
        made(tmp_path, [1, 2], [0, 1])
    assert not (tmp_path / "part.facts.parquet").exists()


def test_a_part_whose_outcomes_do_not_come_can_be_cancelled(tmp_path: Path) -> None:
    async def give_up(table: PartTable) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(table.write(partitioned([1, 2])), 0.2)

    with PartTable(tmp_path, 0, part_schema(CONFIG), 2) as table:
        asyncio.run(give_up(table))
    assert not table.counts


def test_rows_of_one_url_ask_for_one_thing_and_those_that_bring_bytes_each_for_its_own() -> None:
    assert request_id({"row_id": 3, "url_hash": b"x"}) == request_id({"row_id": 4, "url_hash": b"x"}) == b"x"
    brought = {part_table.BYTES_COLUMN: {"file": 0}}
    assert request_id({"row_id": 3, "url_hash": b"x", **brought}) == 3


def test_facts_are_small(tmp_path: Path) -> None:
    """About 95 bytes a row beside its tags: hashes, which do not compress, are 56 of them."""
    dice, count = np.random.default_rng(0), 6_676
    columns: dict[str, Any] = {
        "row_id": dice.integers(0, 1 << 34, count),
        "part": np.full(count, 7),
        "place": np.arange(count),
        "url": [
            f"https://live.staticflickr.com/{dice.integers(9999)}/{dice.integers(1 << 33)}_{dice.bytes(5).hex()}.jpg"
            for _ in range(count)
        ],
        "tags": [[] for _ in range(count)],
        "reason": [None] * count,
        "key": [dice.bytes(16).hex() for _ in range(count)],
        "pdq_quality": dice.integers(60, 100, count),
        "sample_bytes": dice.integers(20, 100, count) * 512,
        "holdout_order": dice.integers(-(1 << 63), 1 << 63, count),
    }
    columns |= {f"pdq{word}": dice.integers(-(1 << 63), 1 << 63, count) for word in range(4)}
    columns |= {f"original_{side}": dice.choice([640, 1024, 768], count) for side in ("width", "height")}
    arrays = [pa.array(columns[field.name]).cast(field.type) for field in PART_FACTS]
    table = pa.Table.from_arrays(arrays, schema=PART_FACTS)
    write_facts(tmp_path / "facts", table)
    assert pq.read_table(tmp_path / "facts").equals(table)
    assert 60 < (tmp_path / "facts").stat().st_size / count < 110
    pq.write_table(table, tmp_path / "plain", compression="zstd")
    assert (tmp_path / "facts").stat().st_size < (tmp_path / "plain").stat().st_size
    places = pq.read_metadata(tmp_path / "facts").row_group(0)
    encodings = {places.column(at).path_in_schema: places.column(at).encodings for at in range(places.num_columns)}
    assert "DELTA_BINARY_PACKED" in encodings["place"] and "RLE_DICTIONARY" in encodings["tags.list.element"]
    assert "RLE_DICTIONARY" not in encodings["key"]
