"""The samples of a corpus as set work sees them, in its order, without what was taken down."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest.dedup import existing_samples
from tagmill.ingest.dedup.existing_samples import EXISTING, existing_rows, existing_table
from tagmill.shards.manifest import Corpus
from tagmill.shards.many_requests import TABLES_AT_ONCE
from tests.shards.corpora import make_corpus
from tests.shards.countedstore import counted_store
from tests.shards.purger import purge, take_down


@pytest.mark.parametrize("batch", [2, 16_384])
@pytest.mark.parametrize("purged", [False, True])
def test_rows_are_the_samples_that_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int, purged: bool
) -> None:
    monkeypatch.setattr(existing_samples, "_BATCH_ROWS", batch)
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    facts = [
        row
        for entry in corpus.entries
        for row in pq.read_table(tmp_path / "corpus" / "shards" / f"{entry.name}.parquet").to_pylist()
    ]
    corpus = take_down(corpus, [("000000", 3), ("000001", 0), ("000001", 6)])
    corpus = purge(corpus, tmp_path / "work") if purged else corpus
    table = pq.read_table(existing_rows(corpus, tmp_path / "existing.parquet"), schema=EXISTING)
    assert table.schema == EXISTING
    numbers = [n for n in range(len(facts)) if n not in (3, 5, 11)]
    assert table["row_id"].to_pylist() == [n - len(facts) for n in numbers]
    for name in ("key", "sha256", "pdq0", "pdq1", "pdq2", "pdq3"):
        assert table[name].to_pylist() == [facts[n][name] for n in numbers]
    assert table["pixels"].to_pylist() == [facts[n]["original_width"] * facts[n]["original_height"] for n in numbers]
    assert table["pdq_quality"].null_count == len(numbers)
    monkeypatch.setattr(existing_samples, "TABLES_IN_A_TASK", 1)
    generated = existing_table(corpus)
    assert len(generated.items) == len(corpus.entries) > 1 and generated.schema == EXISTING
    batches = [batch for item in reversed(generated.items) for batch in generated.make(item)]
    assert pa.Table.from_batches(batches, EXISTING).sort_by("row_id") == table


def test_tables_in_a_store_are_read_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    wanted = pq.read_table(existing_rows(corpus, tmp_path / "here.parquet"))
    driver = counted_store(monkeypatch)
    driver.objects = {name: corpus.store.read(name) for name in corpus.store.names("")}
    tables = len(corpus.entries)
    remote = Corpus.open("s3://corpus")
    driver.counts.clear()
    driver.together, driver.gated = min(tables, TABLES_AT_ONCE), "read shards/"
    assert pq.read_table(existing_rows(remote, tmp_path / "there.parquet")) == wanted
    assert tables > 1 and driver.counts == {"read": tables + 2}  # and the manifest, for sizes and for lines
