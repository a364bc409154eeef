"""Tests that markers are read as decoders read them, and that JPEGs which DALI must not see are refused."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tagmill.pipeline.read.jpeg_header import frame_size, is_whole
from tests.pipeline.corpora import picture

JPEG = picture(1, 61, 47)
FRAME = JPEG.index(b"\xff\xc0")
SCAN = JPEG.index(b"\xff\xda")


def saved(mode: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(JPEG)).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"exif": b"Exif\0\0" + bytes(500)}])
def test_sizes_of_all_kinds(mode: str, options: dict[str, object]) -> None:
    assert frame_size(saved(mode, **options)) == (61, 47)


@given(st.integers(1, 200), st.integers(1, 200))
def test_sizes_equal_pillows(width: int, height: int) -> None:
    file = io.BytesIO()
    Image.new("L", (width, height), 80).save(file, "JPEG")
    assert frame_size(file.getvalue()) == (width, height)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, FRAME, FRAME + 9, SCAN, SCAN + 5, SCAN + 13])
def test_a_truncated_header_has_no_size(length: int) -> None:
    assert frame_size(JPEG[:length]) is None
    assert frame_size(JPEG[: SCAN + 14]) == (61, 47)


@pytest.mark.parametrize(
    "data", [b"<html><body>404</body></html>", b"\x89PNG\r\n\x1a\n" + bytes(60), bytes(100), b"\xff" * 99]
)
def test_other_bytes_have_no_size(data: bytes) -> None:
    assert frame_size(data) is None


@pytest.mark.parametrize("marker", [0xC3, 0xC5, 0xC7, 0xC8, 0xC9, 0xCB, 0xCC, 0xCF])
def test_frames_on_which_decoders_disagree_are_refused(marker: int) -> None:
    assert frame_size(JPEG.replace(b"\xff\xc0", bytes([0xFF, marker]), 1)) is None
    assert frame_size(JPEG.replace(b"\xff\xc4", bytes([0xFF, marker]), 1)) is None, (
        "in the place of Huffman tables, too"
    )


@pytest.mark.parametrize(
    ("offset", "value"),
    [(4, 12), (5, 0), (9, 0), (9, 2), (9, 4), (3, 10), (3, 1)],
    ids=["12 bits", "far too high", "no components", "two", "four in the space of three", "short", "too short"],
)
def test_inconsistent_frames_are_refused(offset: int, value: int) -> None:
    altered = bytearray(JPEG)
    altered[FRAME + offset] = value
    if (offset, value) == (5, 0):
        altered[FRAME + 6] = 0  # no height
    assert frame_size(bytes(altered)) is None


def test_two_frames_are_refused_and_fill_bytes_are_not() -> None:
    length = struct.unpack(">H", JPEG[FRAME + 2 : FRAME + 4])[0]
    frame = JPEG[FRAME : FRAME + 2 + length]
    assert frame_size(JPEG[:FRAME] + frame + JPEG[FRAME:]) is None
    assert frame_size(JPEG[:FRAME] + b"\xff\xff" + JPEG[FRAME:]) == (61, 47)


@given(st.binary(max_size=300), st.integers(0, SCAN + 20))
def test_any_bytes_are_parsed_without_an_exception(noise: bytes, place: int) -> None:
    found = frame_size(JPEG[:place] + noise + JPEG[place + len(noise) :])
    assert found is None or (len(found) == 2 and min(found) > 0)


def test_whole_means_an_end_after_the_last_scan() -> None:
    assert is_whole(JPEG) and is_whole(JPEG + b"trailing bytes") and is_whole(saved("RGB", progressive=True))
    assert not is_whole(JPEG[:-2]) and not is_whole(JPEG[: len(JPEG) // 2]) and not is_whole(b"")
    progressive = saved("RGB", progressive=True)
    assert not is_whole(progressive[: progressive.rindex(b"\xff\xda") + 40])
    thumbnail = JPEG[:2] + b"\xff\xe1\xff\xd8\xff\xda\xff\xd9" + JPEG[2:]
    assert is_whole(thumbnail) and not is_whole(thumbnail[:-30])
