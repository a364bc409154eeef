"""Filesystems for reading: files, folders and patterns of a bucket, with the retries of a store."""

import io

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from tagmill.shards.errors import StoreError
from tagmill.shards.storage.remote.filesystems import BucketFileSystem, handle, retrying_filesystem
from tagmill.shards.storage.store import Store
from tests.shards.gcs_server import GcsServer

NAMES = ["a.csv", "b/1.csv", "b/2.csv", "b/c/3.csv", "b2/4.txt"]


@pytest.fixture
def bucket(gcs: GcsServer) -> Store:
    store = Store("gs://bucket/in")
    for name in NAMES:
        store.put(name, name.encode())
    return store


@pytest.mark.parametrize("scheme", ["gs", "gcs"])
def test_files_folders_and_patterns(bucket: Store, scheme: str) -> None:
    fs, path = retrying_filesystem(f"{scheme}://bucket/in/")
    assert path == "bucket/in" and fs.unstrip_protocol(path) == f"{scheme}://bucket/in"
    assert fs.isdir(path) and fs.isdir(f"{path}/b") and not fs.isdir(f"{path}/a.csv") and not fs.exists(f"{path}/x")
    assert fs.isfile(f"{path}/a.csv") and not fs.isfile(f"{path}/b")
    assert fs.find(path) == [f"{path}/{name}" for name in sorted(NAMES)]
    assert fs.find(f"{path}/b") == [f"{path}/{name}" for name in sorted(NAMES)[1:4]]
    assert fs.glob(f"{path}/b/*.csv") == [f"{path}/b/1.csv", f"{path}/b/2.csv"]
    assert {f"{path}/{name}" for name in ("b/1.csv", "b/2.csv", "b/c/3.csv")} <= set(fs.glob(f"{path}/**/*.csv"))
    assert set(fs.glob(f"{path}/*/?.*")) == {f"{path}/b/1.csv", f"{path}/b/2.csv", f"{path}/b2/4.txt"}
    assert fs.glob(f"{path}/none/*.csv") == []
    listed = {each["name"]: (each["type"], each["size"]) for each in fs.ls(path)}
    assert listed == {
        f"{path}/a.csv": ("file", 5), f"{path}/b": ("directory", 0), f"{path}/b2": ("directory", 0)
    }  # fmt: skip
    assert fs.ls(f"{path}/a.csv", detail=False) == [f"{path}/a.csv"]
    for call in (fs.ls, fs.info, fs.open, fs.cat_file):
        with pytest.raises(FileNotFoundError):
            call(f"{path}/none")


def test_content(bucket: Store) -> None:
    fs, path = handle("gs://bucket/in/a.csv")
    assert fs.cat_file(path) == b"a.csv"
    assert (fs.cat_file(path, 1, 3), fs.cat_file(path, -2), fs.cat_file(path, 3, 99)) == (b".c", b"sv", b"sv")
    with fs.open(path) as file:
        assert file.seek(2) == 2 and file.read() == b"csv"
    with fs.open(path, "r") as text:
        assert text.read() == "a.csv"


def test_arrow_reads_tables(gcs: GcsServer) -> None:
    table, sink = pa.table({"a": list(range(1000)), "b": [f"text {i}" for i in range(1000)]}), io.BytesIO()
    pq.write_table(table, sink)
    Store("gs://bucket").put("t/1.parquet", sink.getvalue())
    fs, path = handle("gs://bucket/t")
    assert ds.dataset([f"{path}/1.parquet"], filesystem=fs, format="parquet").to_table(["b"]) == table.select(["b"])
    assert ds.dataset(path, filesystem=fs, format="parquet").count_rows() == 1000


def test_it_only_reads(bucket: Store) -> None:
    fs, path = handle("gs://bucket/in")
    assert isinstance(fs, BucketFileSystem)
    with pytest.raises(NotImplementedError):
        fs.open(f"{path}/new", "wb")
    for call in (fs.rm_file, fs.touch):
        with pytest.raises(NotImplementedError):
            call(f"{path}/a.csv")
    assert bucket.names("") == sorted(NAMES)


def test_a_missing_bucket_and_refused_keys(gcs: GcsServer) -> None:
    fs, path = retrying_filesystem("gs://nowhere/in/*.csv")
    assert fs.glob(path) == [] and not fs.isdir("nowhere/in")
    gcs.token = "other"
    fs, path = retrying_filesystem("gs://bucket/in/*.csv")
    with pytest.raises(StoreError, match=r"refuses: .*401"):
        fs.glob(path)
