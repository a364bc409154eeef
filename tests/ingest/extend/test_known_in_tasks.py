"""Known URLs that tasks find: the files of one machine, byte for byte."""

import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.extend import known_in_tasks
from tagmill.ingest.extend.known_in_tasks import partition_known_in_tasks
from tagmill.ingest.layout import KNOWN_FILTER, KNOWN_MARKER
from tagmill.ingest.parts.known_urls import partition_known
from tagmill.ingest.parts.partition_tasks import RowTasks
from tagmill.shards.storage.store import Store
from tests.ingest.here_tasks import HereTasks
from tests.ingest.java import needs_spark
from tests.ingest.one_spark import OneSpark
from tests.ingest.parts.test_known_urls import corpus_of, key, partitioned_list, urls

Urls = list[str | None]


def both(folder: Path, old: Urls, others: Urls, new: Urls, rows_per_part: int, tasks: RowTasks) -> tuple[int, set[str]]:
    """Has the known URLs found here and by tasks, and compares; returns their number and the names of the files."""
    rejects = [(url, key(n % len(old)) if n % 3 else None) for n, url in enumerate(others)]
    corpus = corpus_of(folder, old, rejects)
    manifest = partitioned_list(folder, new, corpus.store, rows_per_part)
    total = partition_known(corpus, manifest, corpus.store, folder, processes=1)
    expected = known_files(corpus.store)
    for name in expected:
        corpus.store.delete(name)
    assert partition_known_in_tasks(corpus, manifest, corpus.store, folder, tasks) == total
    assert known_files(corpus.store) == expected
    assert not corpus.store.exists(KNOWN_FILTER) and not (folder / "known-filter.npy").exists()
    corpus.store.delete_below("shards")
    assert partition_known_in_tasks(corpus, manifest, corpus.store, folder, tasks) == total, "skipped"
    return total, set(expected)


def known_files(store: Store) -> dict[str, bytes]:
    return {name: store.read(name) for name in store.names("parts") if "known" in name}


@pytest.mark.parametrize("filtered", [1000, 0], ids=["a short list", "a long one, without filter"])
@given(old=urls, others=urls, new=urls, rows_per_part=st.sampled_from([1, 4, 100]))
@settings(max_examples=20)
def test_they_are_those_of_one_machine(filtered: int, old: Urls, others: Urls, new: Urls, rows_per_part: int) -> None:
    with tempfile.TemporaryDirectory() as path, pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_in_tasks, "FILTERED_ROWS", filtered)
        patch.setattr(known_in_tasks, "TOGETHER", 2)
        patch.setattr(known_in_tasks, "TABLES_IN_A_TASK", 2)
        both(Path(path), old, others, new, rows_per_part, HereTasks(Path(path) / "scratch"))


@needs_spark
@pytest.mark.slow
def test_on_spark(tmp_path: Path, one_spark: OneSpark) -> None:
    from tagmill.ingest.spark_tasks import SparkRows

    old: Urls = [f"http://a.example/{n}" for n in range(30)]
    new: Urls = [f"http://a.example/{n}" for n in range(20, 60)]
    with closing(one_spark.cluster(tmp_path / "spark")) as cluster:
        total, names = both(tmp_path, old, [], new, 4, SparkRows(cluster))
    assert total == 10 and KNOWN_MARKER in names and len(names) > 3
