"""Tests which metadata is found in files of each format, whole and damaged, and that no file costs more than its length."""

import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from tagmill.ingest.statements import metadata_blocks as module
from tagmill.ingest.statements.metadata_blocks import metadata_blocks

PACKET = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>text</x:xmpmeta>"
STORE = b"\0\0\1\0jumb\0\0\0\x1ejumdc2pa" + bytes(200)


def plain(kind: str) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(sink, kind)
    return sink.getvalue()


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def jpeg(*segments: bytes) -> bytes:
    body = plain("JPEG")
    return body[:2] + b"".join(segments) + body[2:]


def box_segment(number: int, content: bytes, *, long: bool = False) -> bytes:
    """A segment of JUMBF: each repeats the box's length and type, and with a long length 8 bytes more."""
    length = b"\0\0\0\1" if long else STORE[:4]
    return segment(
        0xEB, struct.pack(">2sHI4s4s", b"JP", 1, number, length, b"jumb") + (bytes(8) if long else b"") + content
    )


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    body = plain("PNG")
    made = [struct.pack(">I4s", len(content), kind) + content + bytes(4) for kind, content in chunks]
    return body[:-12] + b"".join(made) + body[-12:]


def riff(kind: bytes, content: bytes) -> bytes:
    body = plain("WEBP")
    return body + kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) & 1)


def gif(name: bytes, blocks: bytes) -> bytes:
    return plain("GIF")[:-1] + b"\x21\xff\x0b" + name + blocks + b"\0;"


def test_a_jpeg_has_its_packet_and_what_continues_it_in_order() -> None:
    head = b"http://ns.adobe.com/xmp/extension/\0" + bytes(40)
    body = jpeg(
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + PACKET),
        segment(0xE1, head + b"one "),
        segment(0xE1, head + b"two"),
    )
    assert list(metadata_blocks(body)) == [("xmp", PACKET), ("xmp", b"one two")]


@pytest.mark.parametrize("long", [False, True])
def test_a_store_over_several_segments_is_one(long: bool) -> None:
    rest = STORE[8:]
    body = jpeg(box_segment(1, rest[:100], long=long), segment(0xE0, b"JFIF\0"), box_segment(2, rest[100:], long=long))
    ((kind, found),) = metadata_blocks(body)
    assert kind == "c2pa" and found[4:] == STORE[4:]


def test_fill_bytes_and_markers_without_a_length_are_passed_over_and_pixels_are_not_read() -> None:
    wanted = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + PACKET)
    assert list(metadata_blocks(jpeg(b"\xff\xff\xff\x01", wanted))) == [("xmp", PACKET)]
    assert not list(metadata_blocks(plain("JPEG")[:-2] + wanted))


@pytest.mark.parametrize("packing", ["plain", "iTXt", "zTXt", "raw"])
def test_a_png_has_its_packet_in_each_packing(packing: str) -> None:
    keyword, packed = b"XML:com.adobe.xmp\0", zlib.compress(PACKET)
    raw = b"\nxmp\n%8d\n" % len(PACKET) + b"\n".join(
        PACKET.hex().encode()[start : start + 72] for start in range(0, 2 * len(PACKET), 72)
    )
    chunk = {
        "plain": (b"iTXt", keyword + b"\0\0en\0\0" + PACKET),
        "iTXt": (b"iTXt", keyword + b"\1\0\0\0" + packed),
        "zTXt": (b"zTXt", keyword + b"\0" + packed),
        "raw": (b"zTXt", b"Raw profile type xmp\0\0" + zlib.compress(raw)),
    }[packing]
    assert list(metadata_blocks(png(chunk))) == [("xmp", PACKET)]


def test_pillow_writes_what_is_found() -> None:
    sink, texts = io.BytesIO(), PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", PACKET.decode(), zip=True)
    Image.new("L", (4, 4)).save(sink, "PNG", pnginfo=texts)
    assert list(metadata_blocks(sink.getvalue())) == [("xmp", PACKET)]
    for kind in ("WEBP", "JPEG"):
        sink = io.BytesIO()
        Image.new("RGB", (4, 4)).save(sink, kind, xmp=PACKET)
        assert list(metadata_blocks(sink.getvalue())) == [("xmp", PACKET)], kind


def test_stores_of_png_webp_and_gif() -> None:
    assert list(metadata_blocks(png((b"caBX", STORE)))) == [("c2pa", STORE)]
    assert list(metadata_blocks(riff(b"C2PA", STORE))) == [("c2pa", STORE)]
    blocks = b"".join(bytes([len(piece)]) + piece for piece in (STORE[:200], STORE[200:]))
    assert list(metadata_blocks(gif(b"C2PA_GIF\1\0\0", blocks))) == [("c2pa", STORE)]
    ((kind, found),) = metadata_blocks(gif(b"XMP DataXMP", PACKET))
    assert kind == "xmp" and found.startswith(PACKET)


def test_other_formats_have_them_in_one_piece() -> None:
    found = dict(metadata_blocks(b"\0\0\0\x1cftypavif" + bytes(30) + PACKET + bytes(30) + STORE))
    assert found["xmp"].startswith(PACKET[:-9]) and found["c2pa"] == STORE


@given(st.binary(max_size=300), st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "other"]), st.data())
def test_no_bytes_raise_and_no_block_is_longer_than_the_file_unless_it_was_packed(
    noise: bytes, kind: str, data: st.DataObject
) -> None:
    bodies = {
        "JPEG": jpeg(box_segment(1, STORE[8:]), segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + PACKET)),
        "PNG": png((b"caBX", STORE), (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + PACKET)),
        "WEBP": riff(b"C2PA", STORE) + riff(b"XMP ", PACKET)[len(plain("WEBP")) :],
        "GIF": gif(b"C2PA_GIF\1\0\0", b"\x10" + STORE[:16]),
        "other": b"II*\0" + PACKET + STORE,
    }
    body = bodies[kind]
    place = data.draw(st.integers(0, len(body)))
    damaged = body[:place] + noise + body[data.draw(st.integers(place, len(body))) :]
    assert all(len(block) <= len(damaged) + 8 for _, block in metadata_blocks(damaged))


def test_what_unpacks_to_more_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BLOCK", 1000)
    bomb = zlib.compress(bytes(1_000_000))
    found = [*metadata_blocks(png((b"zTXt", b"XML:com.adobe.xmp\0\0" + bomb[:900])))]
    assert [len(block) for _, block in found] == [1000]
    assert sum(len(block) for _, block in metadata_blocks(riff(b"C2PA", bytes(5000)))) == 1000
    many = jpeg(*(box_segment(number, bytes(500)) for number in range(10)))
    assert sum(len(block) for _, block in metadata_blocks(many)) < 1700


def test_files_of_very_many_segments_are_not_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PARTS", 10)
    last = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + PACKET)
    assert len(list(metadata_blocks(jpeg(*[segment(0xFE, b"")] * 8, last)))) == 1
    assert not list(metadata_blocks(jpeg(*[segment(0xFE, b"")] * 10, last)))
