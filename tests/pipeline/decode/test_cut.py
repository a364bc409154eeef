"""Tests windows cut from bytes: the bits of the whole image for every kind of JPEG, and what is declined."""

import io
import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tagmill.pipeline.augment.draws import Crops
from tagmill.pipeline.decode import cut, libjpeg
from tests.pipeline.decode.test_libjpeg import COMPILED, crops_of, jpeg_of

Box = tuple[int, int, int, int]  # x, y, width, height

SAMPLINGS = {"4:4:4": (1, 1), "4:2:2": (2, 1), "4:2:0": (2, 2), "4:4:0": (1, 2), "grey": (1, 1)}
ROWS, WHOLE = 2, 1000  # rows in an interval; what is left for the filter where the decoder must not shrink


def as_440(jpeg: bytes) -> bytes:
    """Returns the MCUs of a 4:2:2 JPEG in another frame, whose luma blocks are one above the other: Pillow writes none."""
    at = jpeg.index(b"\xff\xc0") + 5
    height, width = (int.from_bytes(jpeg[place : place + 2]) for place in (at, at + 2))
    columns, rows = -(-width // 16), -(-height // 8)
    sides = (16 * rows - height % 15).to_bytes(2) + (8 * columns - width % 7).to_bytes(2)
    luma = at + 6
    assert jpeg[luma] == 0x21
    return jpeg[:at] + sides + jpeg[at + 4 : luma] + b"\x12" + jpeg[luma + 1 :]


def marked(width: int, height: int, sampling: str, interval: int, seed: int, quality: int = 90) -> bytes:
    """Returns a JPEG with a restart marker every `interval` MCUs."""
    options: dict[str, Any] = {"quality": quality, "restart_marker_blocks": interval}
    if sampling == "grey":
        return jpeg_of(width, height, seed, "L", **options)
    stored = {"4:4:0": "4:2:2"}.get(sampling, sampling)
    jpeg = jpeg_of(width, height, seed, subsampling=stored, **options)
    return as_440(jpeg) if sampling == "4:4:0" else jpeg


def across(width: int, sampling: str) -> int:
    """Returns the MCUs in a row."""
    return -(-width // (8 * SAMPLINGS["4:2:2" if sampling == "4:4:0" else sampling][0]))


def size_of(jpeg: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(jpeg)) as image:
        return image.size


def decoded(jpeg: bytes) -> npt.NDArray[Any]:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))


def near(draw: st.DrawFn, low: int, high: int) -> int:
    """Draws a number, three times of four near the edge of an MCU: there a pixel more or less decides."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.integers(low, high))
    return min(max(16 * draw(st.integers(0, high // 16)) + draw(st.integers(-4, 4)), low), high)


@st.composite
def windows(draw: st.DrawFn, *, usable: bool = False) -> tuple[bytes, Box]:
    """JPEGs with restart markers, in usable places or anywhere, and a window of each, often a narrow one."""
    sampling = draw(st.sampled_from(sorted(SAMPLINGS)))
    wide, high = near(draw, 1, 200), near(draw, 1, 120)
    units = across(wide, sampling)
    divisors = [k for k in range(1, units + 1) if units % k == 0]
    few = st.sampled_from([1, *divisors, ROWS * units])
    interval = draw(few if usable else st.integers(0, 2 * units))
    jpeg = marked(wide, high, sampling, interval, draw(st.integers(0, 9)), draw(st.sampled_from([30, 90, 100])))
    wide, high = size_of(jpeg)
    x, y = near(draw, 0, wide - 1), near(draw, 0, high - 1)
    most = draw(st.sampled_from([3, 40, 200]))
    return jpeg, (x, y, min(near(draw, x + 1, wide) - x, most), min(near(draw, y + 1, high) - y, most))


def filled(jpeg: bytes, box: Box, size: int, left: int, *, cuts: bool) -> tuple[bytes, npt.NDArray[Any]]:
    """Fills a square by the compiled function itself; the decoder shrinks if the filter has `left` times the size left."""
    batch, facts = np.zeros((1, size, size, 3), np.uint8), np.array([[0, *box, False]], np.int32)
    became = libjpeg._compiled.fill(batch, size, 0, [jpeg], facts, left, (1.0,) * 3, (0.0,) * 3, True, cuts)
    return became, batch


def cut_of(jpeg: bytes, box: Box) -> tuple[bytes | None, Box]:
    jpegs, crops = cut.cut_windows([jpeg], crops_of(box))
    return jpegs[0], (int(crops.x[0]), int(crops.y[0]), int(crops.width[0]), int(crops.height[0]))


def is_cut(jpeg: bytes, box: Box) -> bool:
    """Returns whether a window is cut; if not, the object and its crop must come back."""
    made, moved = cut_of(jpeg, box)
    assert (made is jpeg) == (made == jpeg)
    assert made is not jpeg or moved == box
    return made is not jpeg


@COMPILED
@settings(max_examples=400, deadline=None)
@given(windows(usable=True), st.sampled_from([1, 2, 5, 16, 40]), st.sampled_from([1, 2, 3, WHOLE]))
def test_a_cut_window_has_the_bits_of_the_whole_image(made: tuple[bytes, Box], size: int, left: int) -> None:
    """Its edges too, and where the decoder shrinks by 2, 4 or 8: then a pixel beside the window is as large."""
    jpeg, box = made
    found, wanted = (filled(jpeg, box, size, left, cuts=cuts) for cuts in (True, False))
    assert found[0] == wanted[0] == b"\0"
    assert (found[1] == wanted[1]).all()


@COMPILED
@settings(max_examples=300, deadline=None)
@given(windows())
def test_other_decoders_find_the_window_in_the_cut(made: tuple[bytes, Box]) -> None:
    jpeg, (x, y, width, height) = made
    smaller, (left, top, *sides) = cut_of(jpeg, (x, y, width, height))
    assert smaller is not None and sides == [width, height] and len(smaller) <= len(jpeg)
    found = decoded(smaller)[top : top + height, left : left + width]
    assert (found == decoded(jpeg)[y : y + height, x : x + width]).all()


@COMPILED
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("rows", [False, True])
def test_a_cut_holds_the_segments_that_are_needed_and_no_others(sampling: str, rows: bool) -> None:
    """With colours of half the columns or rows, a pixel beside the window too: at its left edge another segment."""
    units = across(256, sampling)
    jpeg = marked(256, 256, sampling, units if rows else 2, 1)
    wide, halved = size_of(jpeg)[0], SAMPLINGS[sampling]
    unit = wide if rows else 16 * halved[0], 8 * halved[1]
    box = (40 if rows else unit[0], unit[1] * 3, unit[0] // 2, unit[1] // 2)
    smaller, moved = cut_of(jpeg, box)
    assert smaller is not None
    columns = wide if rows else unit[0] * halved[0]  # one segment, or the one before it too
    assert size_of(smaller) == (columns, unit[1] * halved[1])
    assert moved == (box[0] if rows else columns - unit[0], unit[1] * (halved[1] - 1), *box[2:])


@COMPILED
def test_an_image_keeps_its_place_in_the_batch() -> None:
    plain, with_markers = jpeg_of(96, 80, 1), marked(96, 80, "4:2:0", 2, 2)
    crops = Crops(*(np.array([value] * 4, np.int32) for value in (70, 60, 10, 12)), np.array([True, False] * 2))
    found, moved = cut.cut_windows([plain, None, with_markers, with_markers], crops)
    assert found[0] is plain and found[1] is None and found[2] == found[3] != with_markers
    assert moved.x.tolist() == [70, 70, 6, 6] and moved.y.tolist() == [60, 60, 12, 12]
    assert moved.width.tolist() == [10] * 4 and (moved.flip == crops.flip).all()
    assert crops.x.tolist() == [70] * 4, "the given crops are unchanged"
    assert {moved.x.dtype, moved.width.dtype} == {np.dtype(np.int32)}


def marker(number: int) -> bytes:
    return bytes((0xFF, 0xD0 + number))


@COMPILED
@pytest.mark.parametrize("sampling", ["4:2:2", "4:2:0"])
@pytest.mark.parametrize("width", range(33, 38))
def test_a_narrow_cut_has_the_bits_of_the_whole_image(sampling: str, width: int) -> None:
    """libjpeg interpolates no colours in rows of two, which a cut of a wider image can have: then it is made wider."""
    jpeg = marked(width, 32, sampling, 1, 1)
    whole = decoded(jpeg)
    for x in range(30, width):
        for wide in range(1, width - x + 1):
            smaller, (left, top, *_) = cut_of(jpeg, (x, 3, wide, 5))
            assert smaller is not None and len(smaller) < len(jpeg)
            assert (decoded(smaller)[top : top + 5, left : left + wide] == whole[3:8, x : x + wide]).all()


@COMPILED
def test_markers_are_numbered_from_0_to_7() -> None:
    """Decoders that count them, as this one does, find no gap."""
    jpeg, box = marked(160, 160, "4:4:4", 1, 4), (40, 40, 80, 70)
    smaller, _ = cut_of(jpeg, box)
    assert smaller is not None and len(smaller) < len(jpeg)
    begin = smaller.index(b"\xff\xda")
    numbers = [second - 0xD0 for first, second in itertools.pairwise(smaller[begin + 14 :]) if first == 0xFF and second]
    ends = numbers.pop()
    assert ends == 9 and len(numbers) == 90 - 1 and numbers == [number % 8 for number in range(len(numbers))]


def altered_segments(jpeg: bytes) -> dict[str, bytes]:
    """Returns JPEGs whose markers are not in their places before the end of segment 11, the last one of a window."""
    third = jpeg.index(marker(2))
    ninth = jpeg.index(marker(0), jpeg.index(marker(7)))
    return {
        "one is missing": jpeg[:third] + jpeg[third + 2 :],
        "one is there twice": jpeg[: third + 2] + jpeg[third:],
        "another number": jpeg[:third] + marker(3) + jpeg[third + 2 :],
        "eight are missing": jpeg[: jpeg.index(marker(0))] + jpeg[ninth:],
        "a fill byte before one": jpeg[:third] + b"\xff" + jpeg[third:],
        "another marker": jpeg[:third] + b"\xff\xfe\0\2" + jpeg[third:],
        "the end of the image": jpeg[:third] + b"\xff\xd9" + jpeg[third:],
        "the file ends": jpeg[: ninth + 2],
        "the file ends in a marker": jpeg[: ninth + 1],
    }


def altered_headers(jpeg: bytes) -> dict[str, bytes]:
    """Returns JPEGs whose headers say what is not cut."""
    frame, scan, restart = (jpeg.index(code) for code in (b"\xff\xc0", b"\xff\xda", b"\xff\xdd"))

    def with_byte(place: int, value: int) -> bytes:
        return jpeg[:place] + bytes((value,)) + jpeg[place + 1 :]

    return {
        "no end of the header": jpeg[:scan],
        "no image": b"",
        "two bytes": jpeg[:2],
        "no start": b"\0" + jpeg[1:],
        "12 bits": with_byte(frame + 4, 12),
        "progressive": with_byte(frame + 1, 0xC2),
        "arithmetic": with_byte(frame + 1, 0xC9),
        "no height": jpeg[: frame + 5] + b"\0\0" + jpeg[frame + 7 :],
        "too wide for libjpeg": jpeg[: frame + 7] + b"\xff\xff" + jpeg[frame + 9 :],
        "two frames": jpeg[:frame] + jpeg[frame : frame + 19] + jpeg[frame:],
        "two components": with_byte(frame + 9, 2),
        "four to one": with_byte(frame + 11, 0x41),
        "larger colours": with_byte(frame + 14, 0x22),
        "a component twice": with_byte(frame + 13, jpeg[frame + 10]),
        "a scan of another component": with_byte(scan + 7, 9),
        "a scan of one component": jpeg[: scan + 2] + b"\0\x08\1\1\0\0\x3f\0" + jpeg[scan + 14 :],
        "part of the spectrum": with_byte(scan + 12, 5),
        "part of the bits": with_byte(scan + 13, 1),
        "no interval": jpeg[:restart] + jpeg[restart + 6 :],
        "an interval of 0": with_byte(restart + 5, 0),
        "an interval in no rows": with_byte(restart + 5, 5),
        "a long interval": with_byte(restart + 3, 5),
        "garbage between segments": jpeg[:frame] + b"\0" + jpeg[frame:],
        "a segment without length": jpeg[:frame] + b"\xff\xfe\0\0" + jpeg[frame:],
    }


@COMPILED
def test_what_is_not_understood_in_full_is_declined() -> None:
    jpeg, box = marked(96, 80, "4:2:0", 2, 2), (40, 50, 16, 9)  # segments of rows 3 and 4, of 3 a row
    assert is_cut(jpeg, box)
    for why, altered in (altered_segments(jpeg) | altered_headers(jpeg)).items():
        assert altered != jpeg and not is_cut(altered, box), why
    progressive = jpeg_of(96, 80, 2, progressive=True, restart_marker_blocks=2)
    assert not is_cut(progressive, box) and not is_cut(jpeg_of(96, 80, 2, "CMYK", restart_marker_blocks=2), box)


@COMPILED
@pytest.mark.parametrize(
    "box", [(-1, 0, 9, 9), (0, -1, 9, 9), (90, 0, 9, 9), (0, 0, 0, 9), (0, 0, 9, -1), (0, 0, 96, 80)]
)
def test_a_window_that_is_outside_or_the_whole_image_is_declined(box: Box) -> None:
    assert not is_cut(marked(96, 80, "4:2:0", 2, 2), box)
    most = 2**31 - 1
    assert not is_cut(marked(96, 80, "4:2:0", 2, 2), (most, most, most, most))


@COMPILED
def test_segments_and_comments_in_the_header_stay() -> None:
    jpeg = marked(96, 80, "4:2:0", 2, 2)
    exif = b"\xff\xe1\0\x08Exif\0\0"
    smaller, _ = cut_of(jpeg[:2] + exif + jpeg[2:], (40, 40, 9, 9))
    assert (
        smaller is not None and smaller[2:12] == exif and smaller[12:] == (cut_of(jpeg, (40, 40, 9, 9))[0] or b"")[2:]
    )


@COMPILED
def test_only_damage_that_the_window_needs_is_seen() -> None:
    """Altered bytes of the Huffman code that are neither markers nor 0xFF: beside the window nothing changes; in it, the
    cut has the pixels of the whole image."""
    jpeg, box = marked(160, 120, "4:2:0", 2, 3), (70, 50, 40, 30)
    _, good = filled(jpeg, box, 40, WHOLE, cuts=True)
    draw, same, other = np.random.default_rng(3), 0, 0
    begin = jpeg.index(b"\xff\xda") + 14
    for _ in range(300):
        place = int(draw.integers(begin, len(jpeg) - 2))
        if 0xFF in jpeg[place - 1 : place + 1]:
            continue
        altered = jpeg[:place] + bytes((int(draw.integers(0, 0xFF)),)) + jpeg[place + 1 :]
        assert is_cut(altered, box)
        (became, found), (_, wanted) = (filled(altered, box, 40, WHOLE, cuts=cuts) for cuts in (True, False))
        assert became == b"\0" and (found == wanted).all()
        same, other = same + (found == good).all(), other + (found != good).any()
    assert same > 20 and other > 20


@COMPILED
def test_a_window_is_found_where_the_file_ends_after_it() -> None:
    jpeg, box = marked(96, 80, "4:2:0", 2, 2), (40, 10, 16, 9)
    ends = jpeg[: jpeg.index(marker(6)) + 2]
    assert is_cut(ends, box)
    assert (filled(ends, box, 16, WHOLE, cuts=True)[1] == filled(jpeg, box, 16, WHOLE, cuts=False)[1]).all()


@COMPILED
def test_invalid_arguments_of_the_compiled_function_raise_an_error() -> None:
    jpeg, box = marked(96, 80, "4:2:0", 2, 2), np.array([[40, 40, 9, 9]], np.int32)
    compiled = cut._compiled.cut_windows
    for wrong in (box[:, :3].copy(), box[:0], box.astype(np.int64)):
        with pytest.raises(ValueError, match="int32"):
            compiled([jpeg], wrong, 8)
    with pytest.raises(TypeError):
        compiled(["text"], box, 8)
    for eighths in (-1, 0, 9):
        assert compiled([jpeg], box, eighths) == [None]
    assert compiled([], box[:0], 8) == [] and box.tolist() == [[40, 40, 9, 9]]
    assert compiled([jpeg], box, 8)[0] and box.tolist() == [[8, 8, 9, 9]]


def test_nothing_is_cut_without_the_compiled_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut, "_compiled", None)
    assert not is_cut(marked(96, 80, "4:2:0", 2, 2), (40, 40, 9, 9))
