"""The bytes of a list arrive decompressed and unchanged, up to the first line that is too long."""

import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.sources import decompress
from tagmill.ingest.sources.decompress import LINE_BYTES, BoundedLines, open_input, open_lines
from tagmill.shards.errors import InputError


class Dripping(io.BytesIO):
    """A file that returns less than requested, as sockets do."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 3))


@given(
    st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=12),
    st.lists(st.integers(1, 20), min_size=1, max_size=8),
    st.sampled_from([io.BytesIO, Dripping]),
)
def test_lines_come_through_up_to_the_first_that_is_too_long(
    lines: list[bytes], sizes: list[int], kind: type[io.BytesIO]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decompress, "LINE_BYTES", 8)
        file, data, got = BoundedLines(kind(b"\n".join(lines)), "list.txt"), b"\n".join(lines), b""
        too_long = [number for number, line in enumerate(lines, 1) if len(line) > 8]
        try:
            while block := file.read(sizes[len(got) % len(sizes)]):
                got += block
        except InputError as error:
            assert f"line {too_long[0]} has" in str(error) and "list.txt" in str(error)
            assert data.startswith(got)
        else:
            assert not too_long and got == data
            assert file.last == data.rstrip(b"\r\n")[-1:]


def test_a_block_is_short_only_at_the_end() -> None:
    file = BoundedLines(Dripping(b"abcdefg\nhij"), "x")
    assert [file.read(8), file.read(8), file.read(8)] == [b"abcdefg\n", b"hij", b""]


def test_a_packed_line_without_end_is_refused_before_it_is_held(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"http://a/\n" + bytes(64 * LINE_BYTES)))
    read = 0
    with (
        pytest.raises(InputError, match=r"line 2 has more than 1048576 bytes \(.*a\.txt\.gz\)"),
        open_lines(str(tmp_path / "a.txt.gz"), "gz") as file,
    ):
        while block := file.read(1 << 16):
            read += len(block)
    assert read <= LINE_BYTES + 10


def test_read_errors_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(b"no gzip")
    with pytest.raises(InputError, match=r"a\.gz"), open_lines(str(tmp_path / "a.gz"), "gz") as lines:
        lines.read(1)
    with pytest.raises(InputError, match="missing"), open_input(str(tmp_path / "missing")) as file:
        file.read(1)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-32-le"])
@pytest.mark.parametrize("packed", ["", "gz"])
def test_utf16_is_named(tmp_path: Path, encoding: str, packed: str) -> None:
    data = "url,tags\nhttp://a/,cat\n".encode(encoding)
    (tmp_path / "a.csv").write_bytes(gzip.compress(data) if packed else data)
    with (
        pytest.raises(InputError, match=rf"this is {encoding.upper()} .*a\.csv.*iconv -f {encoding.upper()}"),
        open_lines(str(tmp_path / "a.csv"), packed),
    ):
        raise AssertionError


@given(
    st.lists(st.sampled_from(["", "a", "\r", "bc\r", " "]), max_size=12),
    st.integers(1, 20),
    st.sampled_from([io.BytesIO, Dripping]),
)
def test_lines_that_are_not_empty_are_counted(lines: list[str], size: int, kind: type[io.BytesIO]) -> None:
    data = "\n".join(lines).encode()
    file = BoundedLines(kind(data), "x")
    while file.read(size):
        pass
    ended = lines if lines and lines[-1] else lines[:-1]  # what ends the file without a line's end is a line, too
    wanted = [line for number, line in enumerate(ended) if line.rstrip("\r") or (number == len(lines) - 1 and line)]
    assert file.filled == len(wanted)


@pytest.mark.parametrize(
    ("data", "empty"), [(b"", True), (b"\xef\xbb\xbf\r\n", True), (b"a", False), (b" " * 99, False)]
)
def test_an_empty_file(tmp_path: Path, data: bytes, empty: bool) -> None:
    for name, content in (("a", data), ("a.gz", gzip.compress(data))):
        (tmp_path / name).write_bytes(content)
        with open_lines(str(tmp_path / name), name[2:]) as lines:
            assert lines.empty == empty and lines.read() == data
