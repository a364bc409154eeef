"""Reads of places: the bytes of each whatever is joined, and what is no longer there is a reason."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.parts import ranged_reads
from tagmill.ingest.parts.ranged_reads import LocationReader, read_locations, runs
from tagmill.ingest.sources.locations import BYTES_FIELD, ByteRange
from tagmill.shards.errors import StoreError
from tagmill.shards.storage.ranged_reads import Ranges
from tagmill.shards.storage.store import Store

CONTENT = bytes(range(256)) * 4
MAX = 300
SPOTS = st.tuples(st.integers(0, 3), st.integers(0, 1023), st.integers(0, 400), st.booleans())


@given(st.lists(SPOTS, max_size=20), st.booleans(), st.integers(1, 900), st.integers(0, 300))
@settings(max_examples=200)
def test_runs_give_every_place_its_bytes(
    spots: list[tuple[int, int, int, bool]], ordered: bool, joined: int, gap: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranged_reads, "JOINED", joined)
        patch.setattr(ranged_reads, "GAP", gap)
        places: list[ByteRange | None] = []
        for file, start, size, refused in sorted(spots) if ordered else spots:
            if file == 3:
                places.append(None)
                continue
            Path(folder, f"{file}.tar").write_bytes(CONTENT)
            size = min(size, len(CONTENT) - start)
            place = ByteRange(f"{folder}/{file}.tar", len(CONTENT), start, size)
            refusal = ByteRange(place.object, place.length, start, 0, "no_picture", "why")
            places.append(refusal if refused else place)
        found = runs(places, MAX)
        assert [number for run in found for number in run] == list(range(len(places)))
        for run in found:
            here = [places[number] for number in run]
            assert len(here) == 1 or None not in here
            wanted = [place for place in here if place is not None]
            if not wanted:
                continue
            assert len(run) == 1 or wanted[-1].offset + wanted[-1].size - wanted[0].offset <= joined
            for place, got in zip(wanted, read_locations(wanted, MAX), strict=True):
                if place.reason:
                    assert (got.body, got.reason, got.detail) == (None, "no_picture", "why")
                elif place.size > MAX:
                    assert (got.body, got.reason) == (None, "too_big")
                else:
                    assert got.body == CONTENT[place.offset : place.offset + place.size] and got.reason is None


def test_neighbours_of_a_tar_are_one_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tar").write_bytes(CONTENT)
    places = [ByteRange(f"{tmp_path}/a.tar", len(CONTENT), start, 100) for start in range(0, 1000, 150)]
    calls: list[tuple[int, int]] = []
    read_ranges = Store.read_ranges

    def counted(store: Store, name: str, ranges: Ranges, *more: object) -> list[bytes]:
        calls.append((ranges[0][0], ranges[-1][1]))
        return read_ranges(store, name, ranges, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "read_ranges", counted)
    (run,) = runs(places, MAX)
    assert len(read_locations([places[number] for number in run], MAX)) == 7
    assert calls == [(0, 1000)]


def lost(url: str) -> None:
    """What was listed and then changed; the rest of the world is the store's to say."""
    Store(url).put("a.jpg", CONTENT)
    whole = ByteRange(f"{url}/a.jpg", len(CONTENT), 0, len(CONTENT))
    assert read_locations([whole], 1 << 20)[0].body == CONTENT
    Store(url).put("a.jpg", CONTENT[:-1])
    assert [(got.body, got.reason) for got in read_locations([whole], 1 << 20)] == [(None, "changed")]
    Store(url).put("a.jpg", CONTENT + b"x")
    assert read_locations([whole], 1 << 20)[0].reason == "changed"
    Store(url).delete("a.jpg")
    assert read_locations([whole], 1 << 20)[0].reason == "not_found"
    empty = ByteRange(f"{url}/b.jpg", 0, 0, 0)
    assert read_locations([empty], 1 << 20)[0].body == b""


def test_what_changed_since_it_was_listed(tmp_path: Path) -> None:
    lost(str(tmp_path))


def test_what_changed_in_a_bucket(s3_bucket: str) -> None:
    lost(f"{s3_bucket}/x")


def test_a_store_that_refuses_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").mkdir()
    with pytest.raises(StoreError, match="no access"):
        read_locations([ByteRange(f"{tmp_path}/a.jpg", 5, 0, 5)], MAX)


def test_reading_beside_an_event_loop(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(CONTENT)
    places = [ByteRange(f"{tmp_path}/a.tar", len(CONTENT), start, 10) for start in range(0, 1000, 10)]

    async def all_of() -> list[bytes | None]:
        with LocationReader(MAX, 4) as reader:
            found = await asyncio.gather(*(reader.read([place]) for place in places))
        return [got.body for some in found for got in some]

    assert asyncio.run(all_of()) == [CONTENT[start : start + 10] for start in range(0, 1000, 10)]


def test_a_place_is_what_its_column_holds() -> None:
    place = ByteRange("x", 1, 2, 3, "changed", "why")
    row = {"bytes_at": {name: getattr(place, name) for name in BYTES_FIELD.type.names}}
    assert ByteRange.of(row) == place and ByteRange.of({"bytes_at": None}) is None and ByteRange.of({}) is None
