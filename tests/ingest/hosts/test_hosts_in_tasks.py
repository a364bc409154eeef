"""Hosts that tasks find: those of one machine, each in one task with all of its origins."""

import dataclasses
import tempfile
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.engines.duckdb import DuckDB
from tagmill.ingest.hosts import hosts_in_tasks
from tagmill.ingest.hosts.hosts_in_tasks import division_of, find_hosts_in_tasks
from tagmill.ingest.hosts.origins import asked_host
from tagmill.ingest.hosts.robots import Asked, AskTask, ask, ask_hosts, find_hosts
from tagmill.ingest.layout import HOSTS_MARKER, ROBOTS_MARKER, answers_file, asked_file, hosts_file, rules_file
from tagmill.ingest.parts.partition_tasks import RowTasks
from tagmill.ingest.workers.worker import no_report
from tagmill.shards.formats.parquet import read_table
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.shards.storage.store import Store
from tests.ingest.here_tasks import HereTasks
from tests.ingest.hosts.test_robots import Run, origin, partitioned, robots, webs
from tests.ingest.java import needs_spark
from tests.ingest.liar import Liar
from tests.ingest.one_spark import OneSpark
from tests.shards.progress.recorded import Recorded

__all__ = ["webs"]  # a fixture

places = st.lists(
    st.sampled_from([f"{s}://h{n}.example{p}" for s in ("http", "https") for n in range(9) for p in ("", ":81")])
)


def find(run: Run, tasks: RowTasks, progress: Progress | None = None) -> list[int]:
    def engine() -> DuckDB:
        return DuckDB(run.spool / "engine", memory_limit="300MB", threads=1)

    return find_hosts_in_tasks(run.config, run.store, run.manifest.num_parts, engine, tasks, progress or Silent())


def by_task(store: Store, sizes: list[int]) -> dict[int, dict[str, int]]:
    """The URLs of each origin, task by task."""
    found = {
        number: {row["origin"]: row["urls"] for row in read_table(store.read(hosts_file(number))).to_pylist()}
        for number, size in enumerate(sizes)
        if size
    }
    assert {number: len(hosts) for number, hosts in found.items()} == {n: size for n, size in enumerate(sizes) if size}
    return found


def check(run: Run, tasks: RowTasks) -> None:
    """Has the hosts found by tasks and here, and compares."""
    progress = Recorded()
    progress.stage("hosts")
    sizes = find(run, tasks, progress)
    assert progress.done["hosts"] == run.manifest.num_parts
    found = by_task(run.store, sizes)
    tasks_of = defaultdict(set)
    for number, hosts in found.items():
        for name in hosts:
            tasks_of[asked_host(name)].add(number)
    assert all(len(numbers) == 1 for numbers in tasks_of.values())
    assert find(run, tasks) == sizes, "skipped"
    run.store.delete(HOSTS_MARKER)
    with closing(DuckDB(run.spool / "here", memory_limit="300MB", threads=1)) as sql:
        here = find_hosts(run.config, run.store, run.manifest.num_parts, lambda: sql)
    once = {name: urls for hosts in found.values() for name, urls in hosts.items()}
    assert once == {name: urls for hosts in by_task(run.store, here).values() for name, urls in hosts.items()}
    assert len(once) == sum(sizes) == sum(here)


@given(places, st.sampled_from([1, 3, 100]), st.sampled_from([1, 3, 512]))
@settings(max_examples=15, deadline=None)
def test_they_are_those_of_one_machine(names: list[str], rows_per_part: int, hosts: int) -> None:
    with tempfile.TemporaryDirectory() as path, pytest.MonkeyPatch.context() as patch:
        patch.setattr(hosts_in_tasks, "HOSTS", hosts)
        urls = [f"{name}/{number}" for number, name in enumerate(names)] or ["no url"]
        check(partitioned(Path(path), urls, rows_per_part=rows_per_part), HereTasks(Path(path) / "scratch"))


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1)), st.integers(1, 1 << 20))
def test_a_hash_is_in_one_of_the_divisions(spreads: list[int], divisions: int) -> None:
    found = division_of(np.array(spreads, np.int64), divisions)
    assert ((found >= 0) & (found < divisions)).all()


@needs_spark
@pytest.mark.slow
def test_on_spark(tmp_path: Path, one_spark: OneSpark, webs: list[Liar], monkeypatch: pytest.MonkeyPatch) -> None:
    """Finds hosts, asks them and gives partitions their answers in tasks, after a stray answer of a run that was killed."""
    from tagmill.ingest.engines.spark import Spark
    from tagmill.ingest.spark_tasks import SparkRows, ask_on_spark

    monkeypatch.setattr(hosts_in_tasks, "HOSTS", 2)
    webs[0].answers["/robots.txt"] = robots("User-agent: *\nDisallow: /a")
    dead = [f"http://h{number}.invalid/x" for number in range(4)]
    run = partitioned(tmp_path, [web.url(f"/{name}.jpg") for web in webs for name in "abc"] + dead, rows_per_part=4)
    cluster = one_spark.cluster(tmp_path / "cluster")
    try:
        check(run, SparkRows(cluster))
        run.store.delete(HOSTS_MARKER)
        sizes = find(run, SparkRows(cluster))
        run.store.put(answers_file(next(n for n, size in enumerate(sizes) if size)), b"of a run that was killed")
        ask_tasks = lambda *given: ask_on_spark(cluster, *given)  # noqa: E731
        given = (run.config, run.store, run.manifest.num_parts, sizes)
        asked = ask_hosts(*given, lambda: Spark(cluster), Silent(), ask_tasks)
        by_spark = rules(run)
        assert asked.hosts == 8 and asked.outcomes["ok"] == 4 and {web.hits["/robots.txt"] for web in webs} == {1}
        run.store.delete(ROBOTS_MARKER)
        run.ask()
        assert rules(run) == by_spark and {web.hits["/robots.txt"] for web in webs} == {1}
        assert by_spark and any(rule == "Disallow: /a" for of_part in by_spark.values() for _, rule in of_part)
    finally:
        cluster.close()


def rules(run: Run) -> dict[int, list[tuple[str, str]]]:
    found = {}
    for part in range(run.manifest.num_parts):
        if run.store.exists(rules_file(part)):
            rows = read_table(run.store.read(rules_file(part))).to_pylist()
            assert {row["part"] for row in rows} == {part}
            found[part] = sorted((row["origin"], row["rules"]) for row in rows)
    return found


def test_of_two_runs_of_a_task_the_first_answers_count(
    tmp_path: Path, webs: list[Liar], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host says something else to the second run, which begins before the first has put its answers, or after it."""
    run = partitioned(tmp_path, [webs[0].url("/a.jpg")])
    assert find(run, HereTasks(tmp_path / "scratch")) == [1]
    task = AskTask(run.config, run.store, 0, 4, 1, owned=True)
    put_new, other = Store.put_new, list[Asked]()

    def put_after_another(store: Store, name: str, source: bytes) -> bool:
        if name == answers_file(0) and not other:
            other.append(Asked(0, "", [], {}))
            webs[0].answers["/robots.txt"] = robots("User-agent: *\nDisallow: /first")
            other[0] = ask(task, no_report)
        return put_new(store, name, source)

    webs[0].answers["/robots.txt"] = robots("User-agent: *\nDisallow: /last")
    monkeypatch.setattr(Store, "put_new", put_after_another)
    found = ask(task, no_report)
    (row,) = read_table(run.store.read(answers_file(0))).to_pylist()
    assert (row["origin"], row["rules"]) == (origin(webs[0]), "Disallow: /first")
    assert found == other[0] == Asked.parse(run.store.read(asked_file(0)))
    assert webs[0].hits["/robots.txt"] == 2
    assert ask(dataclasses.replace(task, share=1), no_report) == found and webs[0].hits["/robots.txt"] == 2
