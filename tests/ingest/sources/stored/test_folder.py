"""Folders of images as samples: one order on every store, metadata files, and bounded memory."""

import json
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.sources.decompress import LINE_BYTES
from tagmill.ingest.sources.inputs import Input
from tagmill.ingest.sources.samples import Listing, Sample
from tagmill.ingest.sources.stored import folder as files
from tagmill.ingest.sources.stored.folder import has_pictures, in_order, samples_of_folder
from tagmill.shards.storage.store import Store

NAMES = ["b.jpg", "a.PNG", "a/z.webp", "a/y.jpeg", "a.b.tiff", "a.b.jpg.gif", "a-b.bmp", "x y#?%20ü.jpg", "c/d/e.avif"]
OTHER = ["list.parquet", "README", "a.b", ".hidden.jpg", "a/.thumbs/x.jpg", "b.jpg.part", "jpg", "c.jpg/notes"]


def samples(url: str, listing: Listing | None = None, **chosen: object) -> list[Sample]:
    config = IngestConfig(input=(url,), output="corpus", **chosen)  # type: ignore[arg-type]
    return list(samples_of_folder(Input(url, "files"), config, listing or Listing()))


def filled(url: str, names: list[str]) -> str:
    for name in names:
        Store(url).put(name, name.encode())
    return url


def in_wanted_order(names: list[str]) -> list[str]:
    def key(name: str) -> tuple[bytes, bytes]:
        stem, _, suffix = name.rpartition(".")
        return stem.encode(), suffix.encode()

    return sorted(names, key=key)


def check(url: str) -> None:
    listing = Listing()
    found = samples(filled(url, NAMES + OTHER), listing)
    assert [sample.name for sample in found] == in_wanted_order(NAMES)
    for sample in found:
        folder, _, name = sample.location.object.rpartition("/")
        place = sample.location
        content = Store(folder).read_range(name, place.offset, place.offset + place.size, place.length)
        assert content == sample.name.encode() and place.reason is None
    assert listing.bytes == sum(len(name.encode()) for name in NAMES)
    assert has_pictures(url)


def test_a_local_folder(tmp_path: Path) -> None:
    check(str(tmp_path / "pictures"))


def test_another_filesystem() -> None:
    check("memory://pictures-of-tests/deep")
    fsspec.filesystem("memory").rm("/pictures-of-tests", recursive=True)


def test_a_bucket_in_pages_and_its_order_is_that_of_a_folder(
    s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tagmill.shards.storage.remote.bucket_driver.PAGE", 3)
    check(f"{s3_bucket}/pictures")
    filled(f"{s3_bucket}/pictures-2", ["no.jpg"])  # a prefix is a folder
    here, there = Listing(), Listing()
    remote = samples(f"{s3_bucket}/pictures", here)
    local = samples(filled(str(tmp_path), NAMES), there)
    assert [sample.name for sample in remote] == [sample.name for sample in local]
    assert here.sha256 == there.sha256


def test_links_are_not_followed(tmp_path: Path) -> None:
    filled(str(tmp_path / "outside"), ["secret.jpg"])
    inside = filled(str(tmp_path / "inside"), ["a.jpg"])
    (tmp_path / "inside" / "b.jpg").symlink_to(tmp_path / "outside" / "secret.jpg")
    (tmp_path / "inside" / "c").symlink_to(tmp_path / "outside")
    (tmp_path / "inside" / "loop").symlink_to(tmp_path / "inside")
    assert [sample.name for sample in samples(inside)] == ["a.jpg"]
    assert not has_pictures(filled(str(tmp_path / "other"), ["x.txt"]))


def test_metadata_files_of_an_image(tmp_path: Path) -> None:
    filled(str(tmp_path), ["bear/a.jpg", "bear/a.png", "b.jpg", "c.jpg", "d.jpg", "lonely.json"])
    (tmp_path / "bear/a.json").write_text(json.dumps({"tags": ["x"], "url": "http://a/"}))
    (tmp_path / "bear/a.txt").write_text("a #cat")
    (tmp_path / "b.json").write_text("{")
    (tmp_path / "c.json").write_bytes(b" " * (LINE_BYTES + 1))
    found = {sample.name: sample for sample in samples(str(tmp_path), caption_column="txt")}
    assert list(found) == ["b.jpg", "bear/a.jpg", "bear/a.png", "c.jpg", "d.jpg"]
    for name in ("bear/a.jpg", "bear/a.png"):
        assert found[name].facts() == {"tags": ["x"], "url": "http://a/", "txt": "a #cat"}
        assert found[name].folder == "bear"
    assert found["d.jpg"].facts() == {} and found["d.jpg"].folder == ""
    assert found["b.jpg"].facts() == {} and found["b.jpg"].location.detail == "its metadata is not JSON"
    assert found["c.jpg"].location.detail == f"metadata of {LINE_BYTES + 1} bytes, {LINE_BYTES} are the limit"
    assert "txt" not in samples(str(tmp_path))[1].texts  # read only where a column is named so


def test_metadata_that_goes_while_it_is_read_is_a_reject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(str(tmp_path), ["a.jpg", "a.json"])
    listing = Store.listing

    def gone(store: Store, prefix: str = "") -> Iterator[tuple[str, int]]:
        yield from list(listing(store, prefix))
        (tmp_path / "a.json").unlink(missing_ok=True)

    monkeypatch.setattr(Store, "listing", gone)
    (sample,) = samples(str(tmp_path))
    assert (sample.location.reason, sample.location.detail) == ("bad_member", "its metadata changed while it was read")


def test_a_name_that_is_no_utf8_is_a_reject(tmp_path: Path) -> None:
    Path(os.fsdecode(bytes(tmp_path) + b"/\xff.jpg")).write_bytes(b"x")
    (sample,) = samples(str(tmp_path))
    assert sample.name == "\ufffd.jpg" and sample.location.reason == "bad_member"


ENTRIES = st.lists(st.tuples(st.binary(max_size=5), st.binary(max_size=3), st.integers(0, 1 << 50)), max_size=60)


@given(ENTRIES, st.integers(1, 2000), st.integers(2, 4))
@settings(max_examples=100)
def test_sorting_on_disk_is_sorting(entries: list[tuple[bytes, bytes, int]], held: int, most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "RUN_BYTES", held)
        patch.setattr(files, "MAX_RUNS", most)
        assert list(in_order(iter(entries), None)) == sorted(entries)


def test_memory_does_not_grow_with_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ten times the files, the same memory; the listing is made up as it is asked for."""
    monkeypatch.setattr(files, "RUN_BYTES", 1 << 19)

    def peak(count: int) -> int:
        def listing(store: Store, prefix: str = "") -> Iterator[tuple[str, int]]:
            for number in range(count):
                yield f"{number * 7919 % count:07d}/{number}.jpg", number

        monkeypatch.setattr(Store, "listing", listing)
        config = IngestConfig(input=("x",), output="corpus", spool=str(tmp_path))
        tracemalloc.start()
        seen = sum(1 for _ in samples_of_folder(Input("/x", "files"), config, Listing()))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert seen == count
        return most

    few, many = peak(10_000), peak(100_000)
    assert many < 1.5 * few + (4 << 20) and many < 16 << 20  # open runs have a buffer each
