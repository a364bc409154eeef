"""URLs that a corpus has: those that brute force finds, each with its key, whatever the number of parts and the filter."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.http.urls import normalise, url_hash
from tagmill.ingest.layout import KNOWN_MARKER, known_file
from tagmill.ingest.parts import known_urls
from tagmill.ingest.parts.known_urls import known_keys, partition_known
from tagmill.ingest.parts.partition import PartitionManifest, partition
from tagmill.shards.formats.record import Record
from tagmill.shards.manifest import Corpus, CorpusFile, commit, put_manifest
from tagmill.shards.side_tables import REJECTS
from tagmill.shards.storage.store import Store
from tagmill.shards.writer import ShardWriter, publish
from tests.shards.faults import faulty
from tests.shards.objectstore import ObjectStore

SEED = 5


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def key(number: int) -> str:
    return f"{number:064x}"[:32][::-1]


def corpus_of(folder: Path, samples: list[str | None], rejects: list[tuple[str | None, str | None]]) -> Corpus:
    """Samples with these URLs in shards of three, and rejects with URL and the key that they yield to."""
    store, entries = Store(str(folder / "corpus")), []
    for start in range(0, len(samples), 3):
        name = f"{start // 3:06d}"
        with ShardWriter(name, "train", folder / "spool") as writer:
            for number, url in enumerate(samples[start : start + 3], start):
                writer.add(Record(key(number).ljust(64, "0"), (0, 0, 0, 0), 8, 8, 8, 8, (), url), b"jpeg")
            entries.append(writer.finish())
        publish(store, folder / "spool", name)
    for name, rows in (
        ("000000", rejects[::2]),
        ("000001", rejects[1::2]),
        ("extend-000001-000000", [("z", "f" * 32)]),
    ):
        lines = [
            {"row_id": n, "url": url, "reason": "duplicate" if to else "not_found", "yields_to": to}
            for n, (url, to) in enumerate(rows)
        ]
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(lines, REJECTS), sink)
        store.put(f"rejects/{name}.parquet", sink.getvalue().to_pybytes())
    commit(store, CorpusFile("old", put_manifest(store, entries), {}, seed=SEED))
    return Corpus.open(store.url)


def partitioned_list(folder: Path, urls: list[str | None], store: Store, rows_per_part: int) -> PartitionManifest:
    pq.write_table(pa.table({"url": pa.array(urls, pa.string()), "tags": [[]] * len(urls)}), folder / "new.parquet")
    settings = {"rows_per_part": rows_per_part, "seed": SEED, "processes": 1}
    (folder / "partition").mkdir(exist_ok=True)
    return partition(
        IngestConfig(input=(str(folder / "new.parquet"),), output=store.url, **settings), store, folder / "partition"
    )  # type: ignore[arg-type]


def found_in(store: Store, num_parts: int) -> dict[bytes, str]:
    parts = [known_keys(store, part) for part in range(num_parts)]
    for part, keys in enumerate(parts):
        assert all(int.from_bytes(each[:8]) >> 64 - num_parts.bit_length() + 1 == part for each in keys)
        assert list(keys) == sorted(keys) and store.exists(known_file(part)) == bool(keys)
    return {url: key for keys in parts for url, key in keys.items()}


urls = st.lists(
    st.one_of(
        st.none(), st.sampled_from(["", " ", "nothing"]), st.integers(0, 40).map(lambda n: f"HTTP://a.example/{n}#x")
    )
    | st.integers(0, 40).map(lambda n: f"http://a.example:80/{n}"),
    min_size=1,
    max_size=30,
)


@pytest.mark.parametrize("bits", [(16, 29), (3, 3)], ids=["a good filter", "one that lets everything through"])
@given(old=urls, others=urls, new=urls, rows_per_part=st.sampled_from([1, 4, 100]))
@settings(max_examples=25)
def test_known_urls_are_those_of_samples_and_of_rows_that_yield(
    bits: tuple[int, int], old: list[str | None], others: list[str | None], new: list[str | None], rows_per_part: int
) -> None:
    with tempfile.TemporaryDirectory() as path, pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_urls, "FILTER_BITS", bits)
        folder = Path(path)
        rejects = [(url, key(n % len(old)) if n % 3 else None) for n, url in enumerate(others)]
        corpus = corpus_of(folder, old, rejects)
        store = Store(str(folder / "work"))
        manifest = partitioned_list(folder, new, store, rows_per_part)
        # The parts of a run are in the store of the corpus; here in another, so that `rejects` are only the corpus's.
        shutil.copytree(folder / "corpus", folder / "work", dirs_exist_ok=True)
        total = partition_known(corpus, manifest, store, folder, processes=1)
        expected: dict[bytes, str] = {}
        pairs = [(url, key(n)) for n, url in enumerate(old)] + [(url, to) for url, to in rejects if to]
        for url, its in sorted(pairs, key=lambda pair: pair[1], reverse=True):
            if (
                url
                and url.strip().lower().startswith("http")
                and normalise(url) in {normalise(each or "") for each in new}
            ):
                expected[url_hash(url, SEED)] = its
        assert found_in(store, manifest.num_parts) == expected and total == len(expected)
        store.delete_below("shards")
        assert partition_known(corpus, manifest, store, folder, processes=1) == total, "a second call skips the work"


def test_workers_find_the_same(folder: Path) -> None:
    corpus = corpus_of(folder, [f"http://a.example/{n}" for n in range(9)], [("http://a.example/copy", key(1))])
    new: list[str | None] = [*(f"http://a.example/{n}" for n in range(4, 14)), "http://a.example/copy"]
    manifest = partitioned_list(folder, new, corpus.store, rows_per_part=2)
    assert partition_known(corpus, manifest, corpus.store, folder, processes=2) == 6
    found = found_in(corpus.store, manifest.num_parts)
    assert found == {url_hash(f"http://a.example/{n}", SEED): key(n) for n in range(4, 9)} | {
        url_hash("http://a.example/copy", SEED): key(1)
    }
    assert corpus.store.exists(KNOWN_MARKER)


@pytest.mark.usefixtures("never_late")
def test_in_a_bucket_each_table_is_asked_for_once(
    folder: Path, s3_service: ObjectStore, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = corpus_of(folder, [f"http://a.example/{n}" for n in range(9)], [("http://a.example/copy", key(1))])
    store = Store(f"{s3_bucket}/corpus")
    for name in here.store.names(""):
        store.put(name, here.store.read(name))
    new: list[str | None] = [f"http://a.example/{n}" for n in range(4, 14)]
    manifest = partitioned_list(folder, new, store, rows_per_part=2)
    corpus = Corpus.open(store.url)
    with faulty(s3_service.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        assert partition_known(corpus, manifest, store, folder, processes=1) == 5
        asked = Counter((request.method, request.path.partition("/corpus/")[2]) for request in proxy.requests)
    asked = Counter({key: count for key, count in asked.items() if not key[1].startswith("manifests/")})
    tables = {name: count for (method, name), count in asked.items() if method == "GET" and name.endswith(".parquet")}
    assert tables == {
        **{f"shards/{entry.name}.parquet": 1 for entry in corpus.entries},
        **{f"rejects/{number:06d}.parquet": 1 for number in range(2)},
        # For the filter, and once more where its false positives are sorted out.
        **{f"parts/{part:06d}/rows.parquet": 2 for part in range(manifest.num_parts)},
    }
    assert not [name for method, name in asked if method == "HEAD" and name != KNOWN_MARKER]
