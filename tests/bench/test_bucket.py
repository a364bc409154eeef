"""Tests the counts of a bucket's requests: each belongs to its stage, and what grows a part is named."""

import argparse
from pathlib import Path

import pytest

from tagmill.bench import bucket
from tagmill.bench.bucket import Counted, Stage
from tagmill.bench.nginx import program
from tests.shards.faults import Request
from tests.shards.objectstore import missing_programs

OUTPUT = "/bench/duckdb-2"


def asked(method: str, name: str, size: int = 0, given: int = 0) -> Request:
    return Request(method, f"{OUTPUT}/{name}", 200, size, "", given)


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("GET", f"{OUTPUT}/parts/000012/rows.parquet", ("GET", "parts/N/rows.parquet")),
        ("PUT", f"{OUTPUT}/parts/000012/0123456789abcdef.parquet?partNumber=2", ("PUT", "parts/N/N.parquet")),
        ("GET", "/bench?list-type=2&prefix=duckdb-2%2Fparts%2F&max-keys=1000", ("LIST", "parts/")),
        ("POST", "/bench?delete", ("POST", "?delete")),
        ("HEAD", f"{OUTPUT}/corpus.json", ("HEAD", "corpus.json")),
    ],
)
def test_requests_have_a_kind_and_an_object(method: str, path: str, found: tuple[str, str]) -> None:
    assert bucket.verb_and_name(method, path, OUTPUT) == found


def test_each_request_is_counted_in_its_stage() -> None:
    requests = [
        asked("HEAD", "corpus.json"),
        asked("PUT", "parts/selection/000000.parquet", given=70),
        asked("PUT", "views/default/x/view.json", given=5),
        asked("PUT", "report.json", given=6),
        asked("PUT", "corpus.json", given=7),
        asked("DELETE", "parts/dealt.json"),
        asked("GET", "shards/000000.tar", size=900),
    ]
    marks = [("begin", 0, 1.0), ("select", 1, 2.0), ("select: near", 1, 3.0), ("label", 2, 4.0)]
    marks += [("epoch", 6, 5.0), ("end", 7, 7.5)]
    found = bucket.by_stage(requests, marks, OUTPUT)
    assert {name: stage.requests for name, stage in found.items() if stage.requests} == {
        "begin": 1,
        "select": 1,
        "label": 1,
        "commit": 2,
        "clear": 1,
        "epoch": 1,
    }
    assert (found["select"].put, found["commit"].put, found["epoch"].read) == (70, 13, 900)
    assert (found["select"].seconds, found["epoch"].seconds) == (2.0, 2.5)
    assert sum(stage.requests for stage in found.values()) == len(requests)


def counted(parts: int, requests: int, read: int) -> Counted:
    stages = {name: Stage() for name in bucket.STAGES}
    stages["select"].verbs["GET"], stages["select"].read = requests, read
    return Counted("duckdb", parts, parts * 10, parts * 10, stages)


def test_a_stage_that_reads_more_a_part_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    few = counted(10, 100, 10_000_000)
    assert bucket.grown(few, counted(40, 400, 40_000_000)) == {}
    assert bucket.grown(few, counted(40, 480, 40_000_000)) == {"select: requests": 1.2}
    many = counted(40, 400, 160_000_000)
    assert bucket.grown(few, many) == {"select: read": 4.0}
    bucket.conclude([few, many], tmp_path / "bucket.json")
    said = capsys.readouterr().out
    assert "NOT LINEAR: select: read a part 4.00 times" in said
    assert "select, read a part: 4,000,000, at most 3,000,000 wanted: TOO MUCH" in said
    assert '"duckdb, select, read: 40/10": 4.0' in (tmp_path / "bucket.json").read_text()


@pytest.mark.slow
@pytest.mark.skipif(bool(missing_programs()), reason="no S3 service here")
def test_a_small_ingest_and_an_epoch_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    program()  # nginx
    options = argparse.Namespace(parts=[2], rows_per_part=60, engine=["duckdb"], names=True)
    (found,) = bucket.count(options)
    assert found.rows == 120 and found.samples > 110
    for stage in set(bucket.STAGES) - {"begin", "robots"}:
        assert found.stages[stage].requests > 0, stage
    put = found.stages["fetch"].names
    assert put["PUT parts/N/N.parquet"] == put["PUT parts/N/done.json"] == 2  # of each part
    assert found.stages["commit"].names["PUT corpus.json"] == 1 and found.stages["epoch"].read > 120 * 500
    said = capsys.readouterr().out
    assert "duckdb, 2 parts, 120 rows" in said and "PUT parts/N/rows.parquet" in said
