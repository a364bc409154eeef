"""PNGs with large or damaged metadata are accepted; those with damaged or missing pixels are rejected."""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from tagmill.ingest.config.image_policy import ImagePolicy
from tagmill.ingest.images import png_chunks
from tagmill.ingest.images.png_chunks import read_png
from tagmill.ingest.images.prepare import Prepared, prepare
from tagmill.ingest.images.rejected import Rejected, RejectError
from tagmill.ingest.reasons import Reason

POLICY = ImagePolicy(64, 95, 8, 1_000_000)


def chunk(kind: bytes, content: bytes, checksum: int | None = None) -> bytes:
    found = zlib.crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", found)


def png(pixels: np.ndarray[Any, Any] | None = None, **options: Any) -> bytes:
    if pixels is None:
        pixels = np.random.default_rng(1).integers(1, 256, (70, 90, 3), dtype=np.uint8)
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG", **options)
    return sink.getvalue()


def drawn(header: tuple[int, ...], rows: bytes, *more: bytes) -> bytes:
    """Builds a PNG of (width, height, bit depth, colour type, interlacing) and compressed rows."""
    width, height, bits, kind, interlaced = header
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced))
    tail = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return png_chunks.SIGNATURE + head + b"".join(more) + tail


def with_chunks(*more: bytes, body: bytes | None = None, after: bool = False) -> bytes:
    """Inserts chunks before the pixels, or after them."""
    body = body or png()
    at = body.index(b"IEND" if after else b"IDAT") - 4
    return body[:at] + b"".join(more) + body[at:]


def good(body: bytes, policy: ImagePolicy = POLICY) -> Prepared:
    made = prepare(body, policy)
    assert isinstance(made, Prepared), made
    return made


def pixel(body: bytes, x: int = 9, y: int = 9) -> tuple[int, ...]:
    found = Image.open(io.BytesIO(good(body).jpeg)).getpixel((x, y))
    assert isinstance(found, tuple)
    return tuple(int(value) for value in found)


LARGE = zlib.compress(bytes(3 << 20))  # more than Pillow unpacks
NOT_NEEDED = {
    "zTXt": chunk(b"zTXt", b"Comment\0\0" + LARGE),
    "iTXt": chunk(b"iTXt", b"Comment\0\1\0\0\0" + LARGE),
    "XMP": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LARGE),
    "iCCP": chunk(b"iCCP", b"display\0\0" + LARGE),
    "bomb": chunk(b"iCCP", b"display\0\0" + zlib.compress(bytes(1 << 26))),
    "bad checksum": chunk(b"tEXt", b"Comment\0by me", checksum=7),
    "bad iCCP": chunk(b"iCCP", b"display\0\0no stream of bytes"),
    "bad zTXt": chunk(b"zTXt", b"Raw profile type exif\0\0no stream of bytes"),
    "short iTXt": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1"),
    "bad eXIf": chunk(b"eXIf", b"MM\0\x2a\0\0\0\x08", checksum=7),
    "short pHYs": chunk(b"pHYs", b"\0\0"),
    "short sRGB": chunk(b"sRGB", b""),
    "short gAMA": chunk(b"gAMA", b"\0"),
    "short cHRM": chunk(b"cHRM", b"\0\1\2"),
    "animation": chunk(b"acTL", b"\0\0\0") + chunk(b"fcTL", b"\0\0"),
    "unknown": chunk(b"unKn", b"whatever"),
    "much": b"".join(chunk(b"zTXt", b"%d\0\0" % number + zlib.compress(bytes(1_000_000))) for number in range(80)),
}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("name", NOT_NEEDED)
def test_unneeded_chunks_are_skipped(name: str, after: bool) -> None:
    assert good(with_chunks(NOT_NEEDED[name], after=after)).jpeg == good(png()).jpeg


def test_unneeded_chunks_may_interrupt_the_pixel_stream() -> None:
    body = png()
    at = body.index(b"IDAT") + 4
    length = struct.unpack(">I", body[at - 8 : at - 4])[0]
    content = body[at : at + length]
    halves = [chunk(b"IDAT", content[:50]), NOT_NEEDED["bad checksum"], chunk(b"IDAT", content[50:])]
    assert good(body[: at - 8] + b"".join(halves) + body[at + length + 4 :]).jpeg == good(body).jpeg


EXIF = b"MM\0\x2a\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"  # orientation 6
XMP = b'<x tiff:Orientation="6"/>'
RAW = b"\nexif\n      %d\n%s\n" % (len(EXIF) + 6, (b"Exif\0\0" + EXIF).hex().encode())
TURNED = {
    "eXIf": chunk(b"eXIf", EXIF),
    "iTXt": chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
    "packed iTXt": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0en\0key\0" + zlib.compress(XMP)),
    "large iTXt": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP + b" " * (3 << 20))),
    "tEXt": chunk(b"tEXt", b"Raw profile type exif\0" + RAW),
    "zTXt": chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(RAW)),
}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("name", TURNED)
def test_an_orientation_is_found_before_the_pixels_and_behind_them(name: str, after: bool) -> None:
    made = good(with_chunks(TURNED[name], after=after))
    assert (made.original_width, made.original_height) == (70, 90)


def test_a_large_profile_is_applied() -> None:
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", data[128:132])[0]
    places = {bytes(data[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    red, green = places[b"rXYZ"], places[b"gXYZ"]
    data[red : red + 4], data[green : green + 4] = data[green : green + 4], data[red : red + 4]
    swapped = bytes(data).replace("sRGB".encode("utf-16-be"), "abcd".encode("utf-16-be"))
    body = png(np.full((70, 90, 3), (250, 0, 0), np.uint8))
    for padding in (0, 3 << 20):
        packed = zlib.compress(swapped + bytes(padding))
        found = pixel(with_chunks(chunk(b"iCCP", b"display\0\0" + packed), body=body))
        assert found[0] < 60 < found[1]


# What is needed, and what is wrong with it.


def idat(body: bytes) -> slice:
    at = body.index(b"IDAT") + 4
    return slice(at, at + struct.unpack(">I", body[at - 8 : at - 4])[0])


@pytest.mark.parametrize("policy", [POLICY, ImagePolicy(64, 95, 8, 1_000_000, resize="no", reencode="auto")])
def test_damaged_pixels_are_a_reject(policy: ImagePolicy) -> None:
    """Pillow returned what it had at a second attempt, after it was asked for the orientation."""
    body, place = png(), idat(png())
    refused = 0
    for at in range(place.start, place.stop, 997):
        broken = bytearray(body)
        broken[at] ^= 0x55
        made = prepare(bytes(broken), policy)
        assert isinstance(made, Rejected) and made.reason in (Reason.DECODER_FAILED, Reason.TRUNCATED), at
        refused += 1
    assert refused > 10


def test_rows_that_are_missing_in_order_are_found() -> None:
    rows = [b"\0" + bytes([level] * 120) for level in range(1, 81)]
    header = (40, 80, 8, 2, 0)
    good(drawn(header, b"".join(rows)))
    for count in (0, 1, 40, 79):
        made = prepare(drawn(header, b"".join(rows[:count])), POLICY)
        assert isinstance(made, Rejected) and made.reason == Reason.TRUNCATED, count
    assert good(drawn(header, b"".join(rows) + b"more"))  # more is no harm
    cut = prepare(drawn(header, b"".join(rows)[:-1]), POLICY)
    assert isinstance(cut, Rejected) and cut.reason == Reason.TRUNCATED


def test_a_picture_whose_last_rows_are_black_is_whole() -> None:
    rows = b"\0" + bytes([200] * 120) + bytes(79 * 121)
    good(drawn((40, 80, 8, 2, 0), rows))
    made = prepare(drawn((40, 80, 8, 2, 0), rows[:-121]), POLICY)
    assert made == Rejected(Reason.TRUNCATED, "PNG: fewer rows than its header says")


@pytest.mark.parametrize("size", [(40, 80), (9, 8), (64, 9), (33, 31)])
def test_interlaced_rows_are_counted(size: tuple[int, int]) -> None:
    width, height = size
    found = read_png(drawn((width, height, 8, 0, 1), b"")).raw_size
    rows = bytes(found)
    policy = ImagePolicy(64, 95, 1, 1_000_000)
    good(drawn((width, height, 8, 0, 1), rows), policy)
    made = prepare(drawn((width, height, 8, 0, 1), rows[:-1]), policy)
    assert isinstance(made, Rejected) and made.reason == Reason.TRUNCATED


def test_streams_that_are_too_short_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    body = drawn((900, 900, 8, 2, 0), b"\0" * 900)
    loaded: list[object] = []
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda image: loaded.append(image))
    made = prepare(body, POLICY)
    assert isinstance(made, Rejected) and made.reason == Reason.TRUNCATED and "cannot hold" in str(made.detail)
    assert not loaded


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ({"max_pixels": 6000}, Reason.TOO_MANY_PIXELS),  # up to twice that Pillow only warns
        ({"min_side": 80}, Reason.TOO_SMALL),
        ({"max_aspect": 1.1}, Reason.TOO_NARROW),
        ({"resize": "no", "reencode": "never"}, Reason.NEEDS_ENCODING),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_nothing_is_decoded_to_be_refused(
    kind: str, policy: dict[str, Any], reason: Reason, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = io.BytesIO()
    Image.new("RGB", (90, 70), (1, 2, 3)).save(sink, kind)
    loaded: list[object] = []
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda image: loaded.append(image))
    orders: dict[str, Any] = {"image_size": 64, "quality": 90, "min_side": 8, "max_pixels": 1_000_000, **policy}
    made = prepare(sink.getvalue(), ImagePolicy(**orders))
    assert isinstance(made, Rejected) and made.reason == reason and made.detail and not loaded


def damaged() -> Iterator[tuple[str, bytes, Reason]]:
    body = png()
    palette = drawn((16, 16, 8, 3, 0), bytes(17 * 16), chunk(b"PLTE", bytes(768)))
    good(palette)
    yield "header's checksum", body[:29] + b"\0\0\0\0" + body[33:], Reason.DECODER_FAILED
    yield (
        "palette's checksum",
        palette.replace(chunk(b"PLTE", bytes(768)), chunk(b"PLTE", bytes(768), 7)),
        Reason.DECODER_FAILED,
    )
    yield "no palette", drawn((16, 16, 8, 3, 0), bytes(17 * 16)), Reason.DECODER_FAILED
    yield "palette's name", palette.replace(b"PLTE", b"PLTe"), Reason.DECODER_FAILED
    yield "tRNS", with_chunks(chunk(b"tRNS", bytes(6), 7)), Reason.DECODER_FAILED
    yield "short tRNS", with_chunks(chunk(b"tRNS", bytes(3))), Reason.DECODER_FAILED
    yield "no chunk", body[:33] + bytes(20) + body[33:], Reason.DECODER_FAILED
    yield "pixels first", body[:8] + chunk(b"IDAT", b"") + body[8:], Reason.DECODER_FAILED
    yield "no pixels", body[:33] + chunk(b"IEND", b""), Reason.TRUNCATED
    yield "cut header", body[:20], Reason.TRUNCATED
    yield "signature", body[:8], Reason.TRUNCATED
    yield "cut pixels", body[: len(body) // 2], Reason.TRUNCATED
    yield "unknown and critical", with_chunks(chunk(b"CRIt", b"", 7)), Reason.DECODER_FAILED


@pytest.mark.parametrize(("body", "reason"), [pytest.param(*rest, id=name) for name, *rest in damaged()])
def test_damage_of_what_is_needed(body: bytes, reason: Reason) -> None:
    made = prepare(body, POLICY)
    assert isinstance(made, Rejected) and made.reason == reason and str(made.detail).startswith("PNG"), made


def test_a_missing_iend_loses_no_pixels() -> None:
    body = png()
    for cut in (body[:-4], body[:-12], body[:-16]):
        assert good(cut).jpeg == good(body).jpeg


@pytest.mark.parametrize(
    ("bits", "kind", "row", "key", "lighter"),
    [
        (1, 0, b"\x55" * 8, (1,), 0.0),  # it was white before
        (2, 0, b"\x1b" * 16, (1,), (255 - 85) / 4),
        (4, 0, b"\x1e" * 32, (1,), (255 - 17) / 2),
        (8, 0, bytes([7, 90]) * 32, (90,), (255 - 90) / 2),
        (16, 0, bytes([70, 1, 90, 2]) * 32, (0x5A02,), (255 - 90) / 2),
        (16, 0, bytes([90, 1, 90, 2]) * 32, (0x5A02,), (255 - 90) / 2),
        (8, 2, bytes([9, 9, 9, 60, 60, 60]) * 32, (60, 60, 60), (255 - 60) / 2),
        (16, 2, bytes([9, 7, 9, 7, 9, 7, 60, 8, 60, 8, 60, 8]) * 32, (0x3C08,) * 3, (255 - 60) / 2),
    ],
)
def test_a_transparent_colour_is_one_of_the_file(
    bits: int, kind: int, row: bytes, key: tuple[int, ...], lighter: float
) -> None:
    """At every bit depth: pixels with it are white, others are not."""
    rows, transparent = (b"\0" + row) * 64, chunk(b"tRNS", struct.pack(f">{len(key)}H", *key))
    plain, keyed = (
        np.asarray(Image.open(io.BytesIO(good(drawn((64, 64, bits, kind, 0), rows, *more)).jpeg)).convert("L")).mean()
        for more in ((), (transparent,))
    )
    assert abs(keyed - plain - lighter) < 3


def test_the_best_compression_is_accepted() -> None:
    """An image of one colour, compressed as well as deflate can, is no reject."""
    for kind, channels in ((0, 1), (2, 3), (6, 4)):
        rows = (b"\0" + bytes(900 * channels)) * 900
        made = prepare(drawn((900, 900, 8, kind, 0), rows), POLICY)
        assert isinstance(made, Prepared), made


@given(st.binary(max_size=200), st.integers(0, 120))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_a_png_or_a_reason(some: bytes, at: int) -> None:
    body = png(np.zeros((9, 9), np.uint8))
    mutated = body[:at] + some + body[at + len(some) :]
    if not png_chunks.is_png(mutated):
        return
    try:
        found = read_png(mutated)
    except RejectError as error:
        assert str(error.rejected.detail).startswith("PNG")
        return
    assert read_png(found.body).body == found.body
