"""The whole way into a bucket and out of it: ingest to S3, the loader from S3, the same bytes and batches as from a disk."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from tagmill.demo.serve import serve
from tagmill.demo.web import make_web, write_rows
from tagmill.ingest import IngestConfig, ingest
from tagmill.pipeline import Loader, LoaderConfig
from tagmill.shards import Corpus, Store

pytestmark = pytest.mark.slow


def built(rows: Path, output: str) -> Corpus:
    """A corpus of the demo's web in several parts, groups and shards."""
    ingest(
        IngestConfig(
            input=(str(rows),),
            output=output,
            allow_private=True,
            timeout=4.0,
            retries=0,
            image_size=64,
            holdout=20,
            min_count=3,
            rows_per_part=60,
            parts_per_group=2,
            shard_samples=40,
            processes=2,
        )
    )
    return Corpus.open(output)


def digests(url: str) -> dict[str, str]:
    store = Store(url)
    names = [name for name in store.names("") if not name.startswith(("ledger/", "report.json"))]
    return {name: hashlib.sha256(store.read(name)).hexdigest() for name in names}


def test_a_bucket_holds_the_same_corpus_and_gives_the_same_batches(s3_bucket: str, tmp_path: Path) -> None:
    make_web(tmp_path / "web", seed=3, rows=240, evaluation=20, processes=2)
    with serve(tmp_path / "web") as base_url:
        rows = write_rows(tmp_path / "web", base_url)
        here = built(rows, str(tmp_path / "corpus"))
        there = built(rows, f"{s3_bucket}/corpus")
    assert digests(there.store.url) == digests(here.store.url)
    config = LoaderConfig(batch_size=32, size=48, streams=4, window=2, chunk=8, epochs=2, seed=5)
    with Loader(here, config) as local, Loader(there, config) as remote:
        pairs = [pair for _ in range(2) for pair in zip(local, remote, strict=True)]
    assert len(pairs) == 2 * local.batches_per_epoch
    for mine, theirs in pairs:
        assert np.array_equal(mine.keys, theirs.keys)
        assert mine.images.equal(theirs.images) and mine.labels.ids.equal(theirs.labels.ids)
