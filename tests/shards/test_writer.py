"""Tests one shard: always the same bytes, and every reader accepts it."""

import json
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.shards import writer as writer_module
from tagmill.shards.errors import ConfigError, CorpusError
from tagmill.shards.formats.record import FACTS, sha256_hex
from tagmill.shards.formats.shard_index import INDEX, key_hex, sample_bytes
from tagmill.shards.storage.store import Store
from tagmill.shards.writer import SIDES, ShardWriter, publish
from tests.shards.corpora import Sample, sample, write_shard

ROOT = Path(__file__).resolve().parents[2]
AGAIN = """
import sys
from pathlib import Path
from tests.shards.corpora import sample, write_shard
write_shard(Path(sys.argv[1]), "000000", [sample(i) for i in range(20)])
"""


@pytest.fixture
def samples() -> list[Sample]:
    odd = [
        sample(100, 0),
        sample(101, 512, url="http://пример.рф/ä?" + "x" * 5000, tags=("#Ünïcödé 🐻", "", 'a"b\\c\n', "\x00\u2028")),
        sample(102, 511, url=None, tags=(), licence="CC BY 4.0", page="http://127.0.0.1/page", extra={}),
        sample(103, 513, tags=tuple(f"tag{i}" for i in range(900)), extra={"score": float("nan")}),
        sample(104, 100_000, extra={"caption": "", "score": -0.0}),
    ]
    return [*(sample(i) for i in range(20)), *odd]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_samples_give_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_shard(tmp_path / name, "000000", [sample(i) for i in range(20)])
    subprocess.run([sys.executable, "-c", AGAIN, str(tmp_path / "c")], check=True, cwd=ROOT, timeout=100)
    assert set(files(tmp_path / "a")) == {f"000000{suffix}" for suffix in SIDES}
    assert files(tmp_path / "a") == files(tmp_path / "b") == files(tmp_path / "c")
    write_shard(tmp_path / "d", "000000", [sample(i) for i in reversed(range(20))])
    assert files(tmp_path / "d")["000000.tar"] != files(tmp_path / "a")["000000.tar"]


def test_the_manifest_line_describes_the_bytes(tmp_path: Path, samples: list[Sample]) -> None:
    entry = write_shard(tmp_path, "000007", samples, "holdout")
    made = files(tmp_path)
    assert (entry.name, entry.split, entry.samples) == ("000007", "holdout", len(samples))
    assert entry.bytes == len(made["000007.tar"])
    assert entry.tar_sha256 == sha256_hex(made["000007.tar"])
    assert entry.index_sha256 == sha256_hex(made["000007.npy"])
    assert entry.table_sha256 == sha256_hex(made["000007.parquet"])
    stats = json.loads(made["000007_stats.json"])
    assert stats["count"] == stats["successes"] == stats["status_dict"]["success"] == len(samples)


def test_index_and_table_point_to_the_bytes(tmp_path: Path, samples: list[Sample]) -> None:
    write_shard(tmp_path, "000000", samples)
    tar = (tmp_path / "000000.tar").read_bytes()
    index = np.load(tmp_path / "000000.npy")
    assert index.dtype == INDEX
    table = pq.read_table(tmp_path / "000000.parquet")
    assert table.schema.names == [*FACTS.names, "caption", "score"]
    for record, row, each in zip(index, table.to_pylist(), samples, strict=True):
        start, size = int(record["offset"]), int(record["size"])
        assert tar[start : start + size] == each.jpeg
        assert record["crc32"] == zlib.crc32(each.jpeg) == row["crc32"]
        assert key_hex(record) == each.record.key == row["key"]
        assert (record["width"], record["height"]) == (each.record.width, each.record.height)
        assert (row["offset"], row["size"], row["width"]) == (start, size, each.record.width)
        assert (row["url"], row["tags"]) == (each.record.url, list(each.record.tags))
        assert row["caption"] == each.record.extra.get("caption")


def test_the_members_are_plain_ustar(tmp_path: Path, samples: list[Sample]) -> None:
    write_shard(tmp_path, "000000", samples)
    with tarfile.open(tmp_path / "000000.tar") as tar:
        members = tar.getmembers()
    assert [m.name for m in members] == [f"{s.record.key}.{e}" for s in samples for e in ("jpg", "json")]
    assert {(m.type, m.mtime, m.uid, m.gid, m.mode) for m in members} == {(tarfile.REGTYPE, 0, 0, 0, 0o444)}
    assert all(not m.pax_headers for m in members)
    data = (tmp_path / "000000.tar").read_bytes()
    assert {data[m.offset + 257 : m.offset + 265] for m in members} == {b"ustar\x0000"}


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.integers(0, 2100) | st.sampled_from([511, 512, 513, 1024]), min_size=1, max_size=6),
    st.integers(0, 1100),
)
def test_a_sample_takes_the_planned_number_of_bytes(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], url_length: int
) -> None:
    spool = tmp_path_factory.mktemp("planned")
    samples = [sample(i, size, url="x" * url_length) for i, size in enumerate(sizes)]
    entry = write_shard(spool, "000000", samples)
    planned = sum(sample_bytes(len(each.jpeg), len(each.record.json())) for each in samples)
    with tarfile.open(spool / "000000.tar") as tar:
        members = tar.getmembers()
        starts = [member.offset for member in members[::2]]
    lines = [f"{m.name.partition('.')[2]} {m.offset_data} {m.size} {m.name}" for m in members]
    pairs = [f"{jpg} {facts}" for jpg, facts in zip(lines[::2], lines[1::2], strict=True)]
    assert (spool / "000000.idx").read_text().splitlines() == [f"v1.2 {len(sizes)}", *pairs]
    used = [sample_bytes(len(each.jpeg), len(each.record.json())) for each in samples]
    assert starts == [sum(used[:i]) for i in range(len(used))]
    assert entry.bytes == -(-(planned + 1024) // 10240) * 10240  # two empty blocks end a tar; records have 20 blocks


def test_an_empty_shard_is_a_shard(tmp_path: Path) -> None:
    entry = write_shard(tmp_path, "000000", [])
    assert entry.samples == 0
    assert np.load(tmp_path / "000000.npy").shape == (0,)
    with tarfile.open(tmp_path / "000000.tar") as tar:
        assert tar.getmembers() == []


@given(st.text("0123456789abcdef.", min_size=1, max_size=100), st.integers(0, (1 << 33) - 1))
def test_a_header_equals_tarfiles(name: str, length: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.uname, member.gname = length, 0o444, "bigdata", "bigdata"
    assert writer_module._header(name, length) == member.tobuf(tarfile.USTAR_FORMAT)


@pytest.mark.parametrize(("name", "length"), [("n" * 101, 1), ("n", 1 << 33)])
def test_what_does_not_fit_a_header_is_not_written(name: str, length: int) -> None:
    with pytest.raises(AssertionError, match="too long"):
        writer_module._header(name, length)


def test_gnu_tar_reads_it(tmp_path: Path, samples: list[Sample]) -> None:
    write_shard(tmp_path / "spool", "000000", samples)
    out = tmp_path / "out"
    out.mkdir()
    ended = subprocess.run(
        ["tar", "-xf", tmp_path / "spool/000000.tar", "-C", out, "--warning=no-timestamp"],
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert files(out) == {
        f"{each.record.key}.{kind}": data
        for each in samples
        for kind, data in (("jpg", each.jpeg), ("json", each.record.json()))
    }


@pytest.mark.parametrize("number", [0, 1, 7, 25])
def test_the_tar_equals_webdatasets(tmp_path: Path, samples: list[Sample], number: int) -> None:
    """Byte for byte, whatever the lengths."""
    write_shard(tmp_path / "spool", "000000", samples[:number])
    with webdataset.TarWriter(str(tmp_path / "theirs.tar"), encoder=False, mtime=0, compress=False) as writer:
        for each in samples[:number]:
            writer.write({"__key__": each.record.key, "jpg": each.jpeg, "json": each.record.json()})
    assert (tmp_path / "spool/000000.tar").read_bytes() == (tmp_path / "theirs.tar").read_bytes()


def test_webdataset_reads_it(tmp_path: Path, samples: list[Sample]) -> None:
    write_shard(tmp_path, "000000", samples)
    found = list(webdataset.WebDataset(str(tmp_path / "000000.tar"), shardshuffle=False))
    assert [each["__key__"] for each in found] == [each.record.key for each in samples]
    assert [each["jpg"] for each in found] == [each.jpeg for each in samples]
    for each, row in zip(samples, found, strict=True):
        assert json.loads(row["json"])["tags"] == list(each.record.tags)


def test_dali_reads_it_with_our_index(tmp_path: Path) -> None:
    dali = pytest.importorskip("nvidia.dali")
    import nvidia.dali.fn as fn

    samples = [sample(i, 1 + 97 * i) for i in range(24)]
    write_shard(tmp_path, "000000", samples)

    @dali.pipeline_def(batch_size=8, num_threads=1, device_id=None)  # type: ignore[untyped-decorator]
    def reader() -> Any:
        pictures, facts = fn.readers.webdataset(  # type: ignore[misc]
            paths=[str(tmp_path / "000000.tar")],
            index_paths=[str(tmp_path / "000000.idx")],
            ext=["jpg", "json"],
            missing_component_behavior="error",
        )
        return pictures, facts

    pipeline = reader()
    pipeline.build()
    found = []
    for _ in range(3):
        pictures, facts = pipeline.run()
        found += [(bytes(pictures.at(i)), bytes(facts.at(i))) for i in range(8)]
    assert found == [(each.jpeg, each.record.json()) for each in samples]


def test_columns_missing_from_extra_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\['caption', 'score'\] are not in `extra`"):
        write_shard(tmp_path, "000000", [sample(1)], extra=pa.schema([]))
    assert files(tmp_path) == {}
    with pytest.raises(ConfigError, match="is taken"):
        write_shard(tmp_path, "000000", [], extra=pa.schema([("sha256", pa.string())]))


def test_a_failed_shard_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), ShardWriter("000000", "train", tmp_path) as writer:
        writer.add(sample(1, extra={}).record, b"jpeg")
        assert writer.num_samples == 1
        raise ZeroDivisionError
    assert files(tmp_path) == {}


def test_publishing_moves_a_shard_into_the_corpus(tmp_path: Path, samples: list[Sample]) -> None:
    store, spool = Store(str(tmp_path / "corpus")), tmp_path / "spool"
    write_shard(spool, "000000", samples)
    made = files(spool)
    publish(store, spool, "000000")
    assert files(spool) == {}
    assert {name: store.read(f"shards/{name}") for name in made} == made
    write_shard(spool, "000000", samples)
    publish(store, spool, "000000")  # as in a resumed run
    assert {name: store.read(f"shards/{name}") for name in made} == made


@pytest.mark.parametrize("small", [True, False], ids=["put if absent", "looked for first"])
@pytest.mark.parametrize("where", ["a folder", "S3"])
def test_nothing_is_replaced_without_permission(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, small: bool, where: str
) -> None:
    """A folder supports put-if-absent for any length; S3 only for content that passes through memory."""
    monkeypatch.setattr(writer_module, "SMALL_PUT", 1 << 26 if small else 0)
    place = str(tmp_path) if where == "a folder" else request.getfixturevalue("s3_bucket")
    store, spool = Store(f"{place}/corpus"), tmp_path / "spool"
    for _ in range(2):  # a resumed run puts the same bytes
        entry = write_shard(spool, "000003", [sample(i) for i in range(5)])
        publish(store, spool, "000003", over=False)
    write_shard(spool, "000003", [sample(i) for i in range(6)])
    with pytest.raises(CorpusError, match="a file of a new shard exists already, with other bytes"):
        publish(store, spool, "000003", over=False)
    assert sha256_hex(store.read("shards/000003.tar")) == entry.tar_sha256
