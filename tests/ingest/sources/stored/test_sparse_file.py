"""A remote tar by small requests: the same bytes as a plain file, at most 5 % of the images, about a request a sample."""

import io
import json
import os
import random
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.sources.inputs import Input
from tagmill.ingest.sources.samples import Listing
from tagmill.ingest.sources.stored.sparse_file import HURRY_BYTES, SparseFile, open_sparse, stretches
from tagmill.ingest.sources.stored.tar import samples_of_tar
from tagmill.shards.errors import InputError, IntegrityError
from tagmill.shards.formats.shard_index import dali_index
from tests.ingest.sources.stored.test_tar import BROKEN
from tests.ingest.tarmaker import config, samples, tar
from tests.shards.countedstore import CountedDriver, counted_store


class Fetched:
    """Answers requests from `data`, and notes them."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.ranges: list[tuple[int, int]] = []

    def __call__(self, start: int, stop: int) -> bytes:
        assert 0 <= start < stop <= len(self.data)
        self.ranges.append((start, stop))
        return self.data[start:stop]


DATA = random.Random(1).randbytes(70_000)
PLACES = st.integers(0, len(DATA) + 5)


@given(
    st.lists(st.tuples(PLACES, st.integers(0, 3000)), max_size=30),
    st.lists(st.tuples(PLACES, st.integers(1, 9000)), max_size=6),
    st.integers(1, 4),
    st.none() | st.integers(0, 5),
)
@settings(max_examples=200, deadline=None)
def test_reads_are_those_of_a_plain_file(
    reads: list[tuple[int, int]], hints: list[tuple[int, int]], ahead: int, patience: int | None
) -> None:
    """Whatever is read, and whether hints are right or wrong."""
    known = sorted(
        {start: (start, min(start + size, len(DATA))) for start, size in hints if start < len(DATA)}.values()
    )
    plain = io.BytesIO(DATA)
    with SparseFile(Fetched(DATA), len(DATA), known, ahead, patience) as file:
        for place, size in reads:
            assert file.seek(place) == plain.seek(place) and file.read(size) == plain.read(size)
            assert file.seek(0, os.SEEK_CUR) == min(max(place, plain.tell()), max(place, len(DATA)))
        assert file.seek(0, os.SEEK_END) == len(DATA) and file.read() == b""


def photographs(number: int, image: Callable[[], int], metadata: Callable[[], int], texts: bool = True) -> bytes:
    """A tar as img2dataset writes it: images of random sizes, with their JSON and maybe their caption behind them."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.GNU_FORMAT) as file:
        for key in range(number):
            fields = json.dumps({"url": f"http://h/{key}", "caption": "c" * metadata()}).encode()
            for suffix, data in [("jpg", bytes(image())), ("json", fields), *([("txt", b"a cat")] if texts else [])]:
                info = tarfile.TarInfo(f"{key:09d}.{suffix}")
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def listed(driver: CountedDriver, data: bytes, **options: int) -> tuple[list[object], int, float, float]:
    """Lists a tar; returns its samples, the number of requests, and the shares of images and of all bytes that were fetched."""
    driver.objects["b/0.tar"] = data
    driver.ranges.clear()
    found = list(samples_of_tar(Input("s3://x/b/0.tar", "tars", "0.tar"), config(), Listing(), **options))
    with tarfile.open(fileobj=io.BytesIO(data)) as file:
        images = [(each.offset_data, each.offset_data + each.size) for each in file if each.name.endswith("jpg")]
    ranges = [(start, stop) for _, start, stop in driver.ranges]
    of_images = sum(max(0, min(b, d) - max(a, c)) for a, b in images for c, d in ranges)
    fetched = sum(stop - start for start, stop in ranges)
    return list(found), len(ranges), of_images / sum(b - a for a, b in images), fetched / len(data)


@pytest.mark.parametrize(
    ("metadata", "requests"), [((300, 300), 1.02), ((20, 900), 1.1), ((20, 3000), 1.6), ((20, 9000), 2.6)], ids=str
)
def test_images_are_passed_over(monkeypatch: pytest.MonkeyPatch, metadata: tuple[int, int], requests: float) -> None:
    """Of images of usual size at most 5 % of the bytes are fetched, however much the metadata varies."""
    driver, dice = counted_store(monkeypatch), random.Random(5)
    data = photographs(
        400, lambda: dice.randrange(10_000, 32_000), lambda: dice.randrange(metadata[0], metadata[1] + 1)
    )
    found, number, of_images, _ = listed(driver, data)
    assert len(found) == 400 and of_images <= 0.05 and number <= 400 * requests + 5


def test_a_tar_of_small_members_is_read_whole_by_large_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, dice = counted_store(monkeypatch), random.Random(6)
    data = photographs(2000, lambda: dice.randrange(1000, 7000), lambda: 300)
    found, number, _, fetched = listed(driver, data)
    assert len(found) == 2000 and fetched <= 1.001 and number <= 12 + len(data) / (1 << 18)


def test_a_reader_without_patience_reads_on(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = counted_store(monkeypatch)
    data = photographs(600, lambda: 20_000, lambda: 300)
    _, number, _, _ = listed(driver, data, patience=20)
    assert number <= 21 + len(data) / HURRY_BYTES + 1


def index_of(data: bytes, members_each: int = 3) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(data)) as file:
        members = [(each.name.rpartition(".")[2], each.offset_data, each.size, each.name) for each in file]
    return dali_index(zip(*[iter(members)] * members_each, strict=True), len(members) // members_each)


def test_stretches_that_an_index_names_are_fetched_together(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, dice = counted_store(monkeypatch), random.Random(7)
    data = photographs(300, lambda: dice.randrange(10_000, 32_000), lambda: dice.randrange(20, 9000))
    alone = listed(driver, data)
    driver.objects["b/0.idx"] = index_of(data)
    driver.together, driver.gated = 16, "range "
    with_index = listed(driver, data, ahead=16)
    assert with_index[0] == alone[0] and driver.most_in_flight >= 16
    assert with_index[1] == 301 and with_index[2] == 0


@pytest.mark.parametrize("version", [b"v1.0", b"v1.1", b"v1.2"])
def test_every_version_of_dalis_index_is_read(version: bytes) -> None:
    name = b" x.jpg" if version == b"v1.2" else b""
    index = version + b" 2\njpg 512 1000%s json 2048 20%s\njpg 3072 90%s json 4096 20%s\n" % (name, name, name, name)
    assert stretches(index, 10_240) == [(0, 512), (1536, 3072), (3584, 10_240)]


@given(
    st.binary(max_size=200)
    | st.lists(st.integers(-9, 9000), max_size=9).map(lambda v: b"v1.2 1\njpg " + repr(v).encode())
)
def test_a_broken_index_names_nothing_outside_the_tar(index: bytes) -> None:
    assert all(0 <= start < stop <= 5000 for start, stop in stretches(index, 5000))
    assert stretches(b"v1.2 1\njpg 512 9000 0.jpg\n", 5000) == stretches(b"v1.2 1\njpg x 9 0.jpg\n", 5000) == []


def test_an_index_of_another_tar_changes_no_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, dice = counted_store(monkeypatch), random.Random(8)
    data, other = (photographs(50, lambda: dice.randrange(9000, 32_000), lambda: 300) for _ in range(2))
    alone = listed(driver, data)
    for index in (index_of(other), b"v1.2 50\n" + b"jpg 512 10 a.jpg\n" * 50, b"\xff"):
        driver.objects["b/0.idx"] = index
        assert listed(driver, data, ahead=8)[0] == alone[0]


NAMES = st.sampled_from(["0.jpg", "0.json", "0.txt", "1.png", "1.json", "a/2.jpg", "z" * 120 + ".jpg"])


@given(
    st.lists(st.tuples(NAMES, st.integers(0, 40_000)), max_size=12),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.none() | st.floats(0, 1),
)
@settings(max_examples=80, deadline=None)
def test_a_remote_tar_gives_the_samples_and_digest_of_a_local_one(
    entries: list[tuple[str, int]], form: int, cut: float | None
) -> None:
    """Whole or cut anywhere."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        path = tar(Path(folder, "t.tar"), [(name, bytes(size)) for name, size in entries], form)
        data = path.read_bytes()
        data = data if cut is None else data[: int(cut * len(data))]
        path.write_bytes(data)
        outcomes = []
        driver = counted_store(patch)
        driver.objects["t.tar"] = data
        for url in (str(path), "s3://x/t.tar"):
            listing, facts, error = Listing(), [], ""
            try:
                for each in samples_of_tar(Input(url, "tars", "t.tar"), config(), listing):
                    place = each.location
                    facts.append((each.name, each.texts, each.folder, place.offset, place.size, place.reason))
            except InputError as raised:  # a pax header that is cut
                error = raised.what
            outcomes.append((facts, error, listing.sha256, listing.bytes))
        assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("kind", BROKEN)
def test_a_remote_tar_is_refused_as_a_local_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    path = tar(tmp_path / "t.tar", [("0.jpg", b"zero"), ("1.jpg", b"one")])
    path.write_bytes(BROKEN[kind](path.read_bytes()))
    with pytest.raises(InputError) as here:
        samples(path)
    counted_store(monkeypatch).objects["t.tar"] = path.read_bytes()
    with pytest.raises(InputError) as there:
        list(samples_of_tar(Input("s3://x/t.tar", "tars", "t.tar"), config(), Listing()))
    assert str(there.value) == str(here.value).replace(str(path), "s3://x/t.tar")


def test_a_tar_that_is_missing_or_changes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = counted_store(monkeypatch)
    with pytest.raises(InputError, match="cannot be read"), open_sparse("s3://x/t.tar"):
        pass
    driver.objects["t.tar"] = bytes(20_000)
    with open_sparse("s3://x/t.tar") as (file, length):
        assert length == 20_000 and file.read(512) == bytes(512)
        driver.objects["t.tar"] = bytes(30_000)
        file.seek(15_000)
        with pytest.raises(IntegrityError, match="30000 bytes, 20000 expected"):
            file.read(512)
