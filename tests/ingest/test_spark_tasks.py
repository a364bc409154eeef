"""An ingest on Spark: the same bytes as with local processes, also after killed and repeated tasks."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest import ingest
from tagmill.ingest.engines.open import open_duckdb
from tagmill.ingest.executor import SparkExecutor
from tagmill.ingest.parts.make import PartTask
from tagmill.ingest.report import Report
from tagmill.ingest.views.view_command import ViewConfig, view
from tagmill.shards.errors import TagmillError
from tagmill.shards.manifest import Corpus
from tagmill.shards.storage.store import Store
from tests.ingest.java import needs_spark
from tests.ingest.one_spark import OneSpark
from tests.ingest.smallweb import config, listing, web
from tests.ingest.sparkcluster import standalone
from tests.ingest.test_run import digests

__all__ = ["listing", "web"]  # fixtures

pytestmark = [needs_spark, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def here(listing: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The corpus that DuckDB and processes make, with a view beside the default one."""
    output = tmp_path_factory.mktemp("here") / "corpus"
    ingest(config(listing, output))
    view(_view(output))
    return output, digests(output)


@pytest.fixture
def session(one_spark: OneSpark, tmp_path: Path) -> Iterator[Any]:
    """A session that was there before; everything here runs on it, as on a notebook's."""
    with closing(one_spark.cluster(tmp_path / "before")) as cluster:
        yield cluster.session


def _view(output: Path, **changes: Any) -> ViewConfig:
    rules: dict[str, Any] = {"resample": "sqrt", "epoch_samples": 60, "noise": 0.2, "subset": 0.8, "processes": 1}
    return ViewConfig(corpus=str(output), name="other", seed=5, **{**rules, **changes})


def on_spark(listing: str, output: Path, **changes: Any) -> dict[str, str]:
    ingest(config(listing, output, engine="spark", **changes))
    return digests(output)


def _stuck(task: PartTask) -> tuple[bytes, Mapping[str, int]]:
    """The first worker on the last part hangs, so that Spark runs the task once more, on another host."""
    from tagmill.ingest import spark_tasks  # of the executor, where it is as it was

    folder = Path(task.store.url).parent
    (folder / f"host-{os.getppid()}").touch()
    if task.part == 7:
        try:
            (folder / "stuck").touch(exist_ok=False)
            time.sleep(600)
        except FileExistsError:
            (folder / "speculated").touch()
    return spark_tasks.make_part(task)


SPECULATION = {
    "spark.speculation": "true",
    "spark.speculation.interval": "100ms",
    "spark.speculation.quantile": "0.5",
    "spark.speculation.multiplier": "1.1",
    "spark.speculation.minTaskRuntime": "1s",
    "spark.executor.memory": "600m",
    "spark.driver.host": "127.0.0.1",
}


def test_speculation_on_a_real_cluster_changes_no_byte(
    here: tuple[Path, dict[str, str]],
    one_spark: OneSpark,
    listing: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A standalone master, and two workers with an executor process each.

    Set operations are local ones, unless TAGMILL_WHOLE is set: in executors that have just begun they took most of the time.
    """
    from tagmill.ingest import spark_tasks

    monkeypatch.setattr(spark_tasks, "make_part", _stuck)
    if not os.environ.get("TAGMILL_WHOLE"):
        local = config(listing, tmp_path / "corpus")
        monkeypatch.setattr(
            SparkExecutor, "engine", lambda _, memory=None: open_duckdb(local, tmp_path / "sets", memory)
        )
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    one_spark.end()
    with standalone(tmp_path, 2, SPECULATION) as master:
        found = on_spark(listing, tmp_path / "corpus", spark_master=master)
    assert (tmp_path / "speculated").exists() and len(list(tmp_path.glob("host-*"))) >= 2
    assert {name for name in found if found[name] != here[1].get(name)} == {"corpus.json"}  # it has one view fewer


def test_both_engines_give_the_same_bytes(
    session: Any, here: tuple[Path, dict[str, str]], listing: str, tmp_path: Path
) -> None:
    """Shards, rejects, manifest and both views, every file of them."""
    output = tmp_path / "corpus"
    on_spark(listing, output, concurrency=7)
    view(_view(output, engine="spark"))
    assert digests(output) == here[1]
    mine, theirs = (Report.parse(path.joinpath("report.json").read_bytes()) for path in (output, here[0]))
    assert mine.fetched_bytes == theirs.fetched_bytes > 0
    assert [(each.host, each.urls) for each in mine.slowest_hosts] == [
        (each.host, each.urls) for each in theirs.slowest_hosts
    ]
    assert {name.split("/")[1] for name in here[1] if name.startswith("views/")} == {"default", "other"}
    assert session.range(3).count() == 3, "a session that was there before is left alone"
    assert not (output / "parts").exists()


def test_a_view_of_the_same_corpus_is_the_same_view(session: Any, here: tuple[Path, dict[str, str]]) -> None:
    """Made over again by the other engine, file by file; the tag union is what the engine decides."""
    output, before = here
    view(_view(output, engine="spark"))
    assert digests(output) == before
    assert len(Corpus.open(str(output)).file.views) == 2


def test_an_extension_has_the_bytes_of_one_machine(
    session: Any, here: tuple[Path, dict[str, str]], web: str, tmp_path: Path
) -> None:
    """Known URLs and the samples that are there come from tasks."""
    urls = [f"{web}/picture/{number}" for number in range(30, 60)] + [f"{web}/other/{number}" for number in range(6)]
    table = pa.table({"url": urls, "tags": [["cats"]] * len(urls), "n": range(len(urls))})
    pq.write_table(table, tmp_path / "more.parquet", row_group_size=7)
    found = []
    for engine in ("duckdb", "spark"):
        output = tmp_path / engine
        shutil.copytree(here[0], output)
        report = ingest(config(str(tmp_path / "more.parquet"), output, extend=True, engine=engine, holdout=0))
        found.append(digests(output))
    assert found[0] == found[1] and sum(report.samples.values()) > 0 and set(here[1]) < set(found[0])
    assert session.range(3).count() == 3


MOMENTS = {0: "before", 2: "half", 4: "after"}  # of the death of a part's first worker


def _dying(task: PartTask) -> tuple[bytes, Mapping[str, int]]:
    """A part's work in a Python worker that is killed the first time, at the moment that MOMENTS names."""
    from tagmill.ingest import spark_tasks

    when = MOMENTS.get(task.part, "never")
    flag = Path(task.store.url).parent / f"died-{when}-{task.part}"

    def die() -> None:
        if not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    if when == "before":
        die()
    put_new = Store.put_new

    def put_then_die(store: Store, name: str, source: Any) -> bool:
        if when == "half" and name.endswith("done.json"):
            die()
        return put_new(store, name, source)

    Store.put_new = put_then_die  # type: ignore[method-assign]
    try:
        done = spark_tasks.make_part(task)
    finally:
        Store.put_new = put_new  # type: ignore[method-assign]
    if when == "after":
        die()
    return done


def test_workers_that_are_killed_cost_nothing_but_time(
    session: Any, here: tuple[Path, dict[str, str]], listing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before one begins, when its table is put and not yet the part, and when it is the part and Spark has not heard."""
    from tagmill.ingest import spark_tasks

    monkeypatch.setattr(spark_tasks, "make_part", _dying)
    found = on_spark(listing, tmp_path / "corpus", keep_parts=True)
    deaths = {path.name for path in tmp_path.glob("died-*")}
    assert deaths == {f"died-{when}-{part}" for part, when in MOMENTS.items()}
    assert len(list((tmp_path / "corpus" / "parts").glob("*/done.json"))) >= 8
    default = {name: value for name, value in here[1].items() if not name.startswith(("views/other", "corpus.json"))}
    assert {name: value for name, value in found.items() if name != "corpus.json"} == default


def _killed(task: PartTask) -> tuple[bytes, Mapping[str, int]]:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_a_worker_that_always_dies_ends_the_run(
    session: Any, listing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tagmill.ingest import spark_tasks

    monkeypatch.setattr(spark_tasks, "make_part", _killed)
    with pytest.raises(TagmillError, match="a worker process of Spark died"):
        on_spark(listing, tmp_path / "corpus")


def _slow(number: int) -> tuple[bytes, Mapping[str, int]]:
    time.sleep(0 if number == 0 else 600)
    return b"%d" % number, {"ok": 1}


def test_a_caller_that_stops_stops_the_tasks(one_spark: OneSpark, tmp_path: Path) -> None:
    """As a run beyond its failure budget does. What still sleeps is cancelled, or this would take ten minutes."""
    cluster = one_spark.cluster(tmp_path / "scratch")
    told: list[dict[str, int]] = []

    def tell(counts: dict[str, int]) -> None:
        told.append(counts)
        raise TagmillError("enough")

    with pytest.raises(TagmillError, match="enough"):
        cluster.each(_slow, [0, 1, 2], tell, "the sleepers")
    assert told == [{"ok": 1}]
    assert cluster.each(_slow, [0, 0], lambda counts: None, "the quick") == [b"0", b"0"]
    assert cluster.each(_slow, [], lambda counts: None, "nobody") == []
    cluster.close()


def test_hosts_are_shared_by_as_many_tasks_as_run_at_once(session: Any, tmp_path: Path) -> None:
    from tagmill.ingest import spark_tasks
    from tagmill.ingest.engines.spark_session import Cluster
    from tagmill.shards.progress.protocol import Silent

    seen: list[PartTask] = []

    class Watched(Cluster):
        def each(self, work: Any, tasks: Any, tell: Any, what: str) -> list[bytes]:
            seen.extend(tasks)
            return []

    listing = tmp_path / "urls.txt"
    listing.write_text("http://127.0.0.1/a\n")
    settings = config(str(listing), tmp_path / "corpus", concurrency=64, extra_columns=())
    cluster = Watched(None, threads=1, memory_limit="1GB", scratch=tmp_path / "scratch")
    assert cluster.slots() == 2
    for parts, workers in (([4, 5, 6], 2), ([7], 1)):
        spark_tasks.parts_on_spark(cluster, settings, Store(settings.output), parts, Silent())
        assert {(task.workers, task.concurrency) for task in seen} == {(workers, 64 // workers)}
        seen.clear()
