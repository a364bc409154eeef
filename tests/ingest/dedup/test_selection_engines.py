"""A selection on both engines: the same bytes, written by the tasks of a cluster, and each object of facts read few times."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagmill.ingest.dedup.near_duplicates import NearRules
from tagmill.ingest.dedup.placeholders import TAGGED
from tagmill.ingest.dedup.resolve import SetRules
from tagmill.ingest.dedup.selection import select
from tagmill.ingest.engines.duckdb import DuckDB
from tagmill.ingest.engines.engine import Engine, Parquet
from tagmill.ingest.layout import SELECTION_MARKER, sets_marker
from tagmill.shards.storage.store import Store
from tests.ingest.dedup.factfiles import files_of, in_parts, put_facts, selection_of
from tests.ingest.dedup.test_resolve import existing_of, sets_of, world
from tests.ingest.dedup.test_selection_kills import STAGES, Killed, killed_after
from tests.ingest.java import needs_spark
from tests.ingest.one_spark import OneSpark
from tests.shards.faults import faulty
from tests.shards.objectstore import ObjectStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
FEW_PARTS, NUM_PARTS = 4, 8
PART_ROWS = 6_676  # of a part of usual size
MOST_BYTES, MOST_REQUESTS = 3_000_000, 20  # a part, for a whole selection
WHOLE = bool(os.environ.get("TAGMILL_WHOLE"))  # whether each engine takes each turn


@contextmanager
def duckdb(folder: Path, one_spark: OneSpark) -> Iterator[Engine]:
    del one_spark
    with closing(DuckDB(folder / "duckdb", memory_limit="500MB", threads=2)) as engine:
        yield engine


@contextmanager
def spark(folder: Path, one_spark: OneSpark) -> Iterator[Engine]:
    from tagmill.ingest.engines.spark import Spark

    with closing(one_spark.cluster(folder / "spark")) as cluster:
        cluster.session.conf.set("spark.sql.shuffle.partitions", "3")
        with closing(Spark(cluster)) as engine:
            yield engine


ENGINES = [duckdb, pytest.param(spark, marks=needs_spark)]
Opened = Callable[[Path, OneSpark], Any]


class Case:
    """Facts of a few families of near images in four parts, with copies, placeholders, leaks and an existing corpus."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rows, existing, evaluation = world(5)
        self.lines = in_parts(rows, FEW_PARTS)
        near = NearRules(bits=0, tables=1, bucket=1000)
        rules = SetRules(placeholder_urls=3, near=near, evaluation=sets_of(evaluation), threads=2)
        self.given: dict[str, Any] = {"holdout": 4, "existing": lambda: existing_of(existing), "rules": rules}

    def place(self, name: str) -> tuple[Store, Parquet]:
        store = Store(str(self.folder / name))
        return store, put_facts(store, self.lines, FEW_PARTS)

    def select(self, engine: Engine, store: Store, facts: Parquet) -> dict[str, bytes]:
        (self.folder / "spool").mkdir(exist_ok=True)
        return selection_of(engine, store, facts, spool=self.folder / "spool", **self.given)


@needs_spark
def test_both_leave_the_same_bytes_and_one_may_go_on_where_the_other_was_killed(
    tmp_path: Path, one_spark: OneSpark
) -> None:
    case = Case(tmp_path)
    with duckdb(tmp_path, one_spark) as engine:
        expected = case.select(engine, *case.place("duckdb-alone"))
    with spark(tmp_path, one_spark) as cluster:
        store, facts = case.place("spark-alone")
        with killed_after(1 << 30) as changes:
            assert case.select(cluster, store, facts) == expected
        written = {name for name in changes if name in expected}
        assert written == {SELECTION_MARKER, "decontamination.parquet"}, "the rest is put by tasks, not by this process"

        def go_on(by_spark: bool, store: Store, facts: Parquet) -> dict[str, bytes]:
            if by_spark:
                return case.select(cluster, store, facts)
            with duckdb(tmp_path, one_spark) as engine:
                return case.select(engine, store, facts)

        # They take turns: each begins where the other was killed, after every stage.
        for first in (True, False) if WHOLE else (True,):
            turn, (store, facts) = first, case.place(f"turns-{first}")
            for last in STAGES:
                with killed_after(sets_marker(last)) as changes, pytest.raises(Killed):
                    go_on(turn, store, facts)
                assert sets_marker(last) in changes and SELECTION_MARKER not in files_of(store)
                turn = not turn
            assert go_on(turn, store, facts) == expected, f"Spark began: {first}"


@cache
def facts_of_usual_size(num_parts: int) -> list[dict[str, Any]]:
    """One row in ten has another's image, 40 rows have one image; a row has about 95 bytes."""
    draw, rows = np.random.default_rng(0), []
    count = num_parts * PART_ROWS
    image = np.where(draw.random(count) < 0.1, draw.integers(0, count, count), np.arange(count))
    image[draw.integers(0, count, 40)] = 7
    keys = [draw.bytes(16).hex() for _ in range(count)]
    words = draw.integers(-(1 << 63), 1 << 63, (count, 4))
    for row in range(count):
        of = int(image[row])
        pdq = {f"pdq{word}": int(words[of, word]) for word in range(4)}
        fixed = {"reason": None, "original_width": 400 + of % 977, "original_height": 300, "sample_bytes": 20_480}
        line = {"row_id": row, "part": row // PART_ROWS, "place": row % PART_ROWS, "key": keys[of], **pdq, **fixed}
        url = f"https://live.example.org/{of % 65_535}/{draw.integers(1 << 40)}_{draw.bytes(5).hex()}.jpg"
        rows.append({**line, "holdout_order": int(keys[of][16:24], 16), "pdq_quality": 90, "url": url})
    return rows


@pytest.mark.usefixtures("never_late")
@pytest.mark.parametrize("opened", ENGINES)
def test_a_part_costs_few_bytes_and_requests(
    opened: Opened, s3_service: ObjectStore, s3_bucket: str, tmp_path: Path, one_spark: OneSpark
) -> None:
    store = Store(s3_bucket)
    facts = put_facts(store, facts_of_usual_size(NUM_PARTS), NUM_PARTS)
    tags = facts.of(TAGGED)  # these objects have no tags: null
    (tmp_path / "spool").mkdir()
    rows, given = NUM_PARTS * PART_ROWS, {"num_parts": NUM_PARTS, "parts_per_group": 2, "holdout": 100}
    with faulty(s3_service.endpoint) as proxy, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        with opened(tmp_path, one_spark) as engine:
            select(engine, Store(s3_bucket), facts, rows=rows, spool=tmp_path / "spool", tagged=tags, **given)
        requests = list(proxy.requests)
    received = sum(request.size for request in requests) / NUM_PARTS
    sent = sum(request.given for request in requests) / NUM_PARTS
    of_facts = Counter(request.path.split("?")[0] for request in requests if "/facts/" in request.path)
    print(f"{sum(facts.sizes) / rows:.0f} B a row; a part: {received:,.0f} B received, {sent:,.0f} B sent, ", end="")
    print(f"{len(requests) / NUM_PARTS:.1f} requests; facts {Counter(of_facts.values())}")
    assert received + sent <= MOST_BYTES and len(requests) <= MOST_REQUESTS * NUM_PARTS
    most = 1 if opened is duckdb else 3  # by the statements, for the tags, by the group's task
    assert len(of_facts) == NUM_PARTS and max(of_facts.values()) <= most
