"""Tests ranges of a local file: C and Python read the same, whole or truncated, even if the system returns small parts."""

import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.storage import ranged_reads

SIZE = 300_000
CONTENT = os.urandom(SIZE)
BETWEEN = 1 << 16  # bytes that ranged_reads.c reads over in one go
STEPS = st.one_of(st.integers(0, 300), st.integers(BETWEEN - 2, BETWEEN + 2), st.integers(0, SIZE))
WAYS = [
    pytest.param(
        True, marks=pytest.mark.skipif(not ranged_reads.is_compiled(), reason="ranged_reads.c was not compiled")
    ),
    False,
]


@pytest.fixture(params=WAYS, ids=["compiled", "python"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads by C, or by Python as if it were not compiled."""
    if not request.param:
        monkeypatch.setattr(ranged_reads, "_compiled", None)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("pieces") / "file"
    file.write_bytes(CONTENT)
    return file


@st.composite
def places(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Generates ascending ranges, touching, empty, near and far, some beyond the file's end."""
    found, place = list[tuple[int, int]](), 0
    for gap, length in draw(st.lists(st.tuples(STEPS, STEPS), min_size=1, max_size=8)):
        found.append((place + gap, place + gap + length))
        place += gap + length
    return found


@pytest.mark.usefixtures("way")
@given(wanted=places())
def test_every_range_has_its_bytes(path: Path, wanted: list[tuple[int, int]]) -> None:
    found, reached, size = ranged_reads.read(path, wanted)
    stop = wanted[-1][1]
    assert (size == SIZE and [len(piece) for piece in found] == [b - a for a, b in wanted]) or reached < stop
    if stop <= SIZE:
        assert found == [CONTENT[a:b] for a, b in wanted] and reached == stop
    else:
        assert reached < stop


@pytest.mark.usefixtures("way")
def test_more_ranges_than_a_system_call_takes(path: Path) -> None:
    wanted = [(3 * number, 3 * number + 2) for number in range(3000)]
    assert ranged_reads.read(path, wanted).found == [CONTENT[a:b] for a, b in wanted]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("name", ["gone", "folder", "file/below"])
def test_unreadable_files_raise_the_systems_error(path: Path, name: str) -> None:
    (path.parent / "folder").mkdir(exist_ok=True)
    with pytest.raises(OSError, match=r"\[Errno \d+\]"):
        ranged_reads.read(path.parent / name, [(0, 1)])
    with pytest.raises(FileNotFoundError) as raised:
        ranged_reads.read(path.parent / "gone", [(0, 1)])
    assert os.fsdecode(raised.value.filename) == str(path.parent / "gone")


def test_a_read_that_the_system_returns_in_parts_is_complete(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pread = os.pread
    monkeypatch.setattr(ranged_reads, "_compiled", None)
    monkeypatch.setattr(os, "pread", lambda file, size, place: pread(file, min(size, 33), place))
    assert ranged_reads.read(path, [(5, 400), (500, 990)]).found == [CONTENT[5:400], CONTENT[500:990]]


@pytest.mark.skipif(not ranged_reads.is_compiled(), reason="ranged_reads.c was not compiled")
@pytest.mark.parametrize("wanted", [[(5, 4)], [(0, 5), (4, 9)], [(9, 12), (0, 3)]])
def test_ranges_out_of_order_raise_an_error(path: Path, wanted: Any) -> None:
    with pytest.raises(ValueError, match="ascend"):
        ranged_reads.read(path, wanted)


@pytest.mark.skipif(not ranged_reads.is_compiled(), reason="ranged_reads.c was not compiled")
def test_opening_a_pipe_does_not_block_other_threads(tmp_path: Path) -> None:
    """A file without random access raises an error, and opening it does not hold the GIL."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    refused: list[OSError] = []

    def reads() -> None:
        try:
            ranged_reads.read(pipe, [(0, 1)])
        except OSError as error:
            refused.append(error)

    thread = threading.Thread(target=reads)
    thread.start()
    with pipe.open("wb"):  # which waits for the reader, as the reader waits for it
        thread.join(20)
    assert [error.errno for error in refused] == [29]  # ESPIPE


def test_cut_gives_the_same_from_bytes_in_memory() -> None:
    assert ranged_reads.cut(CONTENT[100:900], [(100, 200), (200, 200), (500, 900)]) == [
        CONTENT[100:200],
        b"",
        CONTENT[500:900],
    ]


@pytest.mark.skipif(not ranged_reads.is_compiled() or sys.platform != "linux", reason="counts descriptors in /proc")
def test_no_descriptor_is_left_open(path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        ranged_reads.read(path, [(0, 10)])
        with pytest.raises(IsADirectoryError):
            ranged_reads.read(path.parent, [(0, 10)])
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 5
