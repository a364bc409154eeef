"""Partitions that tasks make: the files of one machine, byte for byte, for every kind of input."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.executor import LocalExecutor
from tagmill.ingest.layout import INPUTS_FILE, PARTITION_MARKER
from tagmill.ingest.parts import partition_tasks
from tagmill.ingest.parts.partition import partition
from tagmill.ingest.parts.partition_tasks import FIRST_ROWS, RowTasks
from tagmill.ingest.sources import pieces
from tagmill.shards.errors import InputError
from tagmill.shards.progress.protocol import Silent
from tagmill.shards.storage.store import Store
from tests.ingest.here_tasks import HereTasks
from tests.ingest.java import needs_spark
from tests.ingest.one_spark import OneSpark
from tests.ingest.tarmaker import tar


def files_of(config: IngestConfig, folder: Path, tasks: RowTasks | None) -> dict[str, bytes]:
    """What a partition puts below `folder`, by name."""
    store = Store(str(folder / "corpus"))
    partition(config, store, folder / "spool", 3, tasks=tasks)
    return {name: store.read(name) for name in store.names("parts")}


def config_of(folder: Path, source: Path, **settings: Any) -> IngestConfig:
    return IngestConfig(input=(str(source),), output=str(folder / "corpus"), **settings)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 40), max_size=12), min_size=1, max_size=4),
    st.integers(1, 5),
    st.integers(1, 9),
    st.integers(1, 30),
)
def test_parquet_lists(
    tmp_path_factory: pytest.TempPathFactory, urls: list[list[int]], row_group: int, piece: int, rows_per_part: int
) -> None:
    folder = tmp_path_factory.mktemp("lists")
    (folder / "lists").mkdir()
    for number, some in enumerate(urls):
        columns = {"url": [f"http://h.example/{n}" for n in some], "tags": [["cat"]] * len(some), "n": some}
        schema = pa.schema([("url", pa.string()), ("tags", pa.list_(pa.string())), ("n", pa.int64())])
        pq.write_table(pa.table(columns, schema), folder / f"lists/{number}.parquet", row_group_size=row_group)
    config = config_of(folder, folder / "lists", rows_per_part=rows_per_part, where="n > 3", extra_columns=("n",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "ROWS_IN_A_PIECE", piece)
        patch.setattr(partition_tasks, "TOGETHER", 2)
        if not any(n > 3 for some in urls for n in some):
            with pytest.raises(InputError, match="no row is left" if any(urls) else "list is empty"):
                files_of(config, folder / "tasks", HereTasks(folder / "scratch"))
            return
        assert files_of(config, folder / "tasks", HereTasks(folder / "scratch")) == files_of(
            config, folder / "here", None
        )


def sources(folder: Path) -> dict[str, tuple[Path, dict[str, Any]]]:
    """One input of each kind, and the flags that it needs."""
    for name in ("text", "tars"):
        (folder / name).mkdir()
    for number in range(3):
        lines = [f"http://h.example/{number}/{n}" for n in range(number * 5)]
        (folder / f"text/{number}.txt").write_text("".join(line + "\n" for line in lines))
        names = [f"{n:03d}.{suffix}" for n in range(1, 4 + number) for suffix in ("jpg", "txt")]
        tar(folder / f"tars/{number}.tar", [(name, name.encode()) for name in names])
    rows = [{"url": f"http://h.example/ü{n}", "tags": f"cat,dog{n}", "sha": "0" * 64} for n in range(20)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "rows.csv").write_bytes(
        b'url,tags\nhttp://h.example/1,"cat\nhttp://h.example/2,dog"\nhttp://h.example/\xff,x\n'
    )
    return {
        "text": (folder / "text", {}),
        "tars": (folder / "tars", {"tags_column": "txt"}),
        "json": (folder / "rows.jsonl", {"sha256_column": "sha"}),
        "csv": (folder / "rows.csv", {}),
    }


@pytest.mark.parametrize("kind", ["text", "tars", "json", "csv"])
def test_other_inputs(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    source, flags = sources(tmp_path)[kind]
    config = config_of(tmp_path, source, rows_per_part=4, **flags)
    expected, said = files_of(config, tmp_path / "here", None), caplog.messages[:]
    caplog.clear()
    assert files_of(config, tmp_path / "tasks", HereTasks(tmp_path / "scratch")) == expected
    assert caplog.messages == said and bool(said) == (kind == "csv")
    assert {PARTITION_MARKER, INPUTS_FILE} < set(expected)


def test_first_rows_are_seen_once(tmp_path: Path) -> None:
    urls = [f"http://h.example/{n}" for n in range(40_000)]
    pq.write_table(pa.table({"url": urls, "tags": [["cat"]] * len(urls)}), tmp_path / "list.parquet")
    config, seen = config_of(tmp_path, tmp_path / "list.parquet"), list[str]()
    store, tasks = Store(config.output), HereTasks(tmp_path / "scratch")
    partition(config, store, tmp_path / "spool", see=lambda batch: seen.extend(batch["url"].to_pylist()), tasks=tasks)
    assert FIRST_ROWS <= len(seen) < 40_000 and seen == urls[: len(seen)]


@pytest.mark.parametrize("flags", [{"keep_order": True}, {"limit": 7}])
def test_order_and_limit_take_one_reader(tmp_path: Path, flags: dict[str, Any]) -> None:
    source, _ = sources(tmp_path)["json"]
    config = config_of(tmp_path, source, rows_per_part=4, **flags)
    assert files_of(config, tmp_path / "tasks", None) == files_of(config, tmp_path / "here", _NoTasks())


class _NoTasks:
    def each(self, *arguments: Any) -> list[bytes]:
        raise AssertionError(arguments)

    def put_divided(self, *arguments: Any) -> list[int]:
        raise AssertionError(arguments)


def test_a_local_executor_has_none() -> None:
    assert LocalExecutor.row_tasks(LocalExecutor.__new__(LocalExecutor)) is None


@needs_spark
@pytest.mark.slow
def test_on_spark(tmp_path: Path, one_spark: OneSpark) -> None:
    from tagmill.ingest.spark_tasks import SparkRows

    found = sources(tmp_path)
    with closing(one_spark.cluster(tmp_path / "spark")) as cluster, pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition_tasks, "TOGETHER", 2)
        for kind in ("tars", "json"):
            source, flags = found[kind]
            config = config_of(tmp_path, source, rows_per_part=4, **flags)
            made = files_of(config, tmp_path / f"spark-{kind}", SparkRows(cluster))
            assert made == files_of(config, tmp_path / f"here-{kind}", None)
        (tmp_path / "bad.parquet").write_bytes(b"no Parquet")
        config = config_of(tmp_path, tmp_path / "bad.parquet")
        with pytest.raises(InputError, match=r"bad\.parquet"):
            partition_tasks._pieces(config, SparkRows(cluster))


def test_progress_counts_rows(tmp_path: Path) -> None:
    class Rows(Silent):
        rows = 0

        def advance(self, n: int, **counts: int) -> None:
            del counts
            self.rows += n

    source, flags = sources(tmp_path)["json"]
    config, progress = config_of(tmp_path, source, **flags), Rows()
    tasks = HereTasks(tmp_path / "scratch")
    partition(config, Store(config.output), tmp_path / "spool", tasks=tasks, progress=progress)
    assert progress.rows == 20
