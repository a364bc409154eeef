"""Parts from a small lying web: what is in them, and that neither processes, kills nor rivals change it."""

import dataclasses
import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.filters.takedown_rules import Denylist, rule
from tagmill.ingest.http.urls import normalise
from tagmill.ingest.images.fingerprint import holdout_order
from tagmill.ingest.layout import TAKEDOWN_PIN, attempt_file, done_file, facts_file
from tagmill.ingest.parts import make as parts
from tagmill.ingest.parts import table as part_table
from tagmill.ingest.parts.make import PartSummary, PartTask, run_part
from tagmill.ingest.parts.partition import partition
from tagmill.ingest.parts.table import PART, PART_FACTS, part_schema, record_of
from tagmill.ingest.progress.host_times import FetchStats
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.formats.shard_index import sample_bytes
from tagmill.shards.storage.store import Store
from tests.ingest.liar import Crowd, Liar, Lie, redirect
from tests.ingest.parts.conftest import usual_decoders

LEDGER = ["http_status", "fetched_at", "seconds", "host"]
NUM_PICTURES = 40


def picture(seed: int) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(sink, "PNG")
    return sink.getvalue()


@pytest.fixture(scope="module")
def web() -> Iterator[Liar]:
    answers: dict[str, Any] = {f"/{i}.png": Lie(picture(i)) for i in range(NUM_PICTURES)}
    answers |= {"/copy.png": Lie(picture(0)), "/moved": redirect("/1.png"), "/html": Lie(b"<html>"), "/empty": Lie()}
    answers |= {
        "/cut.png": Lie(picture(2)[:-900]),
        "/huge": Lie(headers=(("X", "x" * 99_999),)),
        "/500": Lie(status=500),
    }
    with Liar(answers) as web:
        yield web


def rows_of(web: Liar) -> list[dict[str, Any]]:
    paths = [*web.answers, "/404", "/404"]
    lines = [{"url": web.url(path), "tags": f"tag {path}", "by": "me", "n": i} for i, path in enumerate(paths)]
    odd = [None, "", "no url", web.url("/3.png").upper().replace(".PNG", ".png") + "#again", web.url("/3.png")]
    return [*lines, *({"url": url, "tags": "again", "by": None, "n": None} for url in odd)]


def begun(folder: Path, web: Liar, **settings: Any) -> IngestConfig:
    """Returns a config whose rows are partitioned."""
    folder.mkdir(exist_ok=True)
    table = pa.Table.from_pylist(rows_of(web))
    pq.write_table(table, folder / "list.parquet")
    plain: dict[str, Any] = {"licence_column": "by", "extra_columns": ("n",), "allow_private": True, "timeout": 10.0}
    plain |= {
        "retries": 0,
        "image_size": 32,
        "rows_per_part": 14,
        "processes": 1,
        "concurrency": 8,
        "honour_robots": False,
    }
    config = IngestConfig(input=(str(folder / "list.parquet"),), output=str(folder / "corpus"), **{**plain, **settings})
    partition(config, Store(config.output), folder / "spool")
    return config


def task(config: IngestConfig, part: int = 0) -> PartTask:
    return PartTask(config, Store(config.output), part, part_schema(config), concurrency=8)


def table_of(config: IngestConfig, summary: PartSummary) -> pa.Table:
    return pq.read_table(Path(config.output, attempt_file(summary.part, summary.attempt)))


def check_facts(config: IngestConfig, summary: PartSummary) -> None:
    """The facts of a part are columns of its pictures' file, in one row group, and its marker names the sizes of both."""
    path = Path(config.output, facts_file(summary.part, summary.attempt))
    facts = pq.ParquetFile(path)
    assert facts.num_row_groups == 1 and facts.schema_arrow.equals(PART_FACTS)
    assert facts.read().equals(table_of(config, summary).select(PART_FACTS.names))
    pictures = Path(config.output, attempt_file(summary.part, summary.attempt))
    assert (summary.size, summary.facts_size) == (pictures.stat().st_size, path.stat().st_size)
    assert PartSummary.parse(Store(config.output).read(done_file(summary.part))) == summary


def content(config: IngestConfig, summaries: list[PartSummary]) -> list[dict[str, Any]]:
    """All that must be the same in every run."""
    return [row for made in summaries for row in table_of(config, made).drop_columns(LEDGER).to_pylist()]


def test_a_part_holds_every_row_with_its_facts(tmp_path: Path, web: Liar) -> None:
    before = web.hits["/3.png"]
    config = begun(tmp_path, web, rows_per_part=1000, seed=5)
    told: Counter[str] = Counter()
    summary = run_part(task(config), lambda outcome, num_rows: told.update({outcome: num_rows}))
    table = table_of(config, summary)
    assert table.schema.equals(part_schema(config)) and table.schema.names[7] == "n"
    assert set(table.schema.names) == {*PART.names, "n"}
    check_facts(config, summary)
    rows = table.to_pylist()
    assert [row["place"] for row in rows] == list(range(len(rows_of(web))))
    assert sorted(row["row_id"] for row in rows) == list(range(len(rows)))
    assert told == Counter(row["reason"] or "ok" for row in rows) == Counter(summary.reasons) + Counter(ok=summary.ok)
    assert (summary.rows, summary.part) == (len(rows), 0)
    fates = {(row["url"] or "").removeprefix(web.url("")): row["reason"] for row in rows}
    assert {path: fates[path] for path in ("/html", "/empty", "/cut.png", "/huge", "/500", "/404", "no url", "")} == {
        "/html": "not_an_image",
        "/empty": "empty",
        "/cut.png": "truncated",
        "/huge": "bad_headers",
        "/500": "http_error",
        "/404": "not_found",
        "no url": "bad_url",
        "": "bad_url",
    }
    assert all(fates[f"/{i}.png"] is None for i in range(NUM_PICTURES)) and fates["/moved"] is None
    assert web.hits["/3.png"] == before + 1  # three rows, one request
    for row in rows:
        check_row(row, rows_of(web)[row["row_id"]], web)
    first: dict[str, dict[str, Any]] = {}
    for row in rows:
        same = first.setdefault(normalise(row["url"] or ""), row)
        assert (row["jpeg"] is not None) == (row["reason"] is None and same is row)
        shared = ["reason", "sha256", "pdq0", "width", "jpeg_size", "holdout_order", *LEDGER]
        assert [row[name] for name in shared] == [same[name] for name in shared]


def test_a_process_keeps_its_decoders_from_part_to_part(
    tmp_path: Path, web: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "_decoders", usual_decoders)
    config = begun(tmp_path, web)
    run_part(task(config, 0))
    first = [process._process.pid for process in parts._decoders(config)._processes]
    run_part(task(config, 1))
    assert len(first) == 1 and [process._process.pid for process in parts._decoders(config)._processes] == first
    other = dataclasses.replace(config, image_size=40)
    assert not parts._decoders(other)._processes  # another config starts other decoders
    assert not Path(f"/proc/{first[0]}").exists()


def check_row(row: dict[str, Any], source: dict[str, Any], web: Liar) -> None:
    """One row of a part against its row of the input."""
    assert (row["url"], row["tags"], row["licence"], row["n"]) == (
        *(source["url"], [source["tags"]]),
        *(source["by"], source["n"]),
    )
    facts = ["key", "sha256", "pdq0", "pdq_quality", "width", "original_height", "jpeg_size", "sample_bytes"]
    if row["reason"] is not None:
        assert all(row[name] is None for name in [*facts, "holdout_order", "jpeg"])
        return
    path = normalise(row["url"]).removeprefix(web.url(""))
    lie = web.answers["/1.png" if path == "/moved" else path]
    assert isinstance(lie, Lie)
    assert row["sha256"] == sha256_hex(lie.body) and row["key"] == row["sha256"][:32]
    assert (row["width"], row["height"], row["original_width"], row["original_height"]) == (48, 32, 60, 40)
    record = record_of(row)
    assert (record.key, record.url, record.extra) == (row["key"], row["url"], {"n": row["n"]})
    assert row["sample_bytes"] == sample_bytes(row["jpeg_size"], len(record.json()))
    assert row["holdout_order"] == holdout_order(row["sha256"], 5)
    assert (row["http_status"], row["host"]) == (200, "127.0.0.1") and row["seconds"] > 0
    assert row["jpeg"] is None or len(row["jpeg"]) == row["jpeg_size"]


def test_a_parts_marker_has_what_was_fetched_and_the_hosts(tmp_path: Path, web: Liar) -> None:
    """Of this part alone, so that those who see no more than markers can add them up; earlier versions wrote none of it."""
    config = begun(tmp_path, web)
    first, second = run_part(task(config)), run_part(task(config, 1))
    for summary in (first, second):
        assert summary.traffic.size > 0 and [each.host for each in summary.traffic.slowest] == ["127.0.0.1"]
        assert (
            PartSummary.parse(Store(config.output).read(done_file(summary.part))).traffic.size == summary.traffic.size
        )
    asked = sum(each.urls for summary in (first, second) for each in summary.traffic.slowest)
    assert 0 < asked <= first.rows + second.rows
    old = {name: value for name, value in json.loads(first.json()).items() if name != "traffic"}
    assert PartSummary.parse(json.dumps(old).encode()) == dataclasses.replace(first, traffic=FetchStats())


def test_what_is_denied_is_rejected_and_not_asked_for_where_its_address_says_so(tmp_path: Path, web: Liar) -> None:
    plain = begun(tmp_path / "plain", web, rows_per_part=1000)
    rows = {row["url"]: row for row in table_of(plain, run_part(task(plain))).to_pylist()}
    listed = [
        ("url", web.url("/5.png")),
        ("sha256", rows[web.url("/6.png")]["sha256"]),
        ("key", rows[web.url("/7.png")]["key"]),
    ]
    words = [rows[web.url("/8.png")][f"pdq{i}"] & (1 << 64) - 1 for i in range(4)]
    rules = [*(rule(*each) for each in listed), rule("pdq", "".join(f"{word:016x}" for word in words), 0)]
    config = begun(tmp_path / "denied", web, rows_per_part=1000)
    Store(config.output).put(TAKEDOWN_PIN, Denylist(frozenset(rules)).json())
    before = Counter(web.hits)
    told: Counter[str] = Counter()
    summary = run_part(task(config), lambda outcome, num_rows: told.update({outcome: num_rows}))
    assert told["taken_down"] == summary.reasons["taken_down"] == 4
    assert web.hits["/5.png"] == before["/5.png"] and web.hits["/6.png"] == before["/6.png"] + 1
    for row in table_of(config, summary).to_pylist():
        path = (row["url"] or "").removeprefix(web.url(""))
        why = {"/5.png": "url", "/6.png": "sha256", "/7.png": "key", "/8.png": "pdq"}.get(path)
        assert (row["reason"] == "taken_down") == (why is not None)
        if why:
            assert row["detail"] == why and row["key"] is row["sha256"] is row["pdq0"] is row["jpeg"] is None


def test_row_groups_are_small_and_in_order(tmp_path: Path, web: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_table, "ROW_GROUP", 10)
    config = begun(tmp_path, web, rows_per_part=1000)
    summary = run_part(task(config))
    metadata = pq.read_metadata(Path(config.output, attempt_file(0, summary.attempt)))
    sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert sizes == [10] * (summary.rows // 10) + [summary.rows % 10]
    check_facts(config, summary)


def test_an_empty_part(tmp_path: Path, web: Liar) -> None:
    config = begun(tmp_path, web, rows_per_part=1)
    store = Store(config.output)
    empty = next(
        p for p in range(1000) if not pq.read_metadata(tmp_path / f"corpus/parts/{p:06d}/rows.parquet").num_rows
    )
    summary = run_part(PartTask(config, store, empty, part_schema(config), 8))
    assert (summary.rows, summary.ok, summary.reasons) == (0, 0, {})
    assert table_of(config, summary).schema.equals(part_schema(config))
    check_facts(config, summary)


def test_of_rivals_one_wins_and_the_other_leaves_nothing(
    tmp_path: Path, web: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = begun(tmp_path, web, rows_per_part=1000)
    winners: list[PartSummary] = []
    put_new = Store.put_new

    def second(store: Store, name: str, source: bytes | Path) -> bool:
        if not winners:  # the other finishes just before us
            winners.append(PartSummary(0, "ff", 1, 1, {}, 1))
            winners.append(run_part(task(config)))
        return put_new(store, name, source)

    monkeypatch.setattr(Store, "put_new", second)
    loser = run_part(task(config))
    assert loser == winners[1]
    kept = [name for name in Store(config.output).names("parts/000000") if name.endswith(".parquet")]
    files = [attempt_file(0, loser.attempt), facts_file(0, loser.attempt)]
    assert sorted(kept) == sorted([*files, "parts/000000/rows.parquet"])
    check_facts(config, loser)
    hits = web.hits.total()
    assert run_part(task(config)) == loser  # done: nothing is fetched again
    assert web.hits.total() == hits


@pytest.mark.parametrize("kill", [0, 1, 2])
def test_killed_between_two_puts_a_part_does_not_count(
    tmp_path: Path, web: Liar, monkeypatch: pytest.MonkeyPatch, kill: int
) -> None:
    """Of an attempt the facts come first, then the pictures, then the marker."""
    config = begun(tmp_path, web, rows_per_part=1000)
    put, put_new, order = Store.put, Store.put_new, list[str]()

    def note(name: str) -> None:
        if len(order) == kill:
            raise KeyboardInterrupt
        order.append(name)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", lambda self, name, *of, **how: (note(name), put(self, name, *of, **how))[1])
        patch.setattr(Store, "put_new", lambda self, name, source: (note(name), put_new(self, name, source))[1])
        with pytest.raises(KeyboardInterrupt):
            run_part(task(config))
    assert [name.split(".", 1)[1] for name in order] == ["facts.parquet", "parquet"][:kill]
    assert not Store(config.output).exists(done_file(0))
    hits = web.hits.total()
    summary = run_part(task(config))
    assert web.hits.total() > hits
    check_facts(config, summary)
    assert f"parts/000000/{summary.attempt}.parquet" not in order


def test_a_host_that_is_down_for_one_part_is_down_for_the_next(tmp_path: Path, web: Liar) -> None:
    """What a worker has learnt stays with it, and every row of the dead host is counted."""
    with Liar() as dead:
        gone = dead.url("")
    table = pa.table({"url": [f"{gone}/{i}" for i in range(400)], "tags": ["x"] * 400})
    pq.write_table(table, tmp_path / "dead.parquet")
    places: Any = {"input": (str(tmp_path / "dead.parquet"),), "output": str(tmp_path / "dead")}
    config = IngestConfig(
        **places, allow_private=True, honour_robots=False, retries=0, rows_per_part=100, host_failures=7
    )
    partition(config, Store(config.output), tmp_path / "spool")
    told = [run_part(task(config, part)).reasons for part in range(4)]
    assert sum(map(Counter, told), Counter()).total() == 400
    tried = sum(reasons.get("connection", 0) for reasons in told)
    assert 7 <= tried < 7 + 8  # those that were in flight when it was found out
    assert all(set(reasons) == {"host_down"} for reasons in told[1:])


def test_workers_share_the_limits_of_a_host(tmp_path: Path, web: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    config, crowd = begun(tmp_path, web, host_concurrency=4), Crowd()
    monkeypatch.setattr(web, "answers", dict.fromkeys(web.answers, crowd))
    run_part(dataclasses.replace(task(config), workers=2))
    assert crowd.most == 2
