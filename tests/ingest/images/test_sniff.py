"""A reject's detail names what hosts sent in place of an image, and tells truncated images from other content."""

import gzip
import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tagmill.ingest.config.image_policy import ImagePolicy
from tagmill.ingest.images.prepare import prepare
from tagmill.ingest.images.rejected import Rejected
from tagmill.ingest.images.sniff import explain_unreadable, kind_of
from tagmill.ingest.reasons import Reason

POLICY = ImagePolicy(48, 90, 8, 1_000_000)
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")


def ftyp(brand: bytes, *like: bytes) -> bytes:
    content = brand + b"\0\0\0\0" + b"".join(like)
    return struct.pack(">I", 8 + len(content)) + b"ftyp" + content + b"\0\0\0\x0cmdat1234"


NO_PICTURES = {
    b"<html>no picture</html>": "HTML",
    b"\n\n <!DOCTYPE html>\n<title>404</title>": "HTML",
    b"\xef\xbb\xbf<!doctype HTML>": "HTML",
    b"\xff\xfe" + "<html><body>gone".encode("utf-16-le"): "HTML",
    b"<?xml version='1.0'?><!-- by me --><svg xmlns='http://www.w3.org/2000/svg'/>": "SVG",
    b"<svg width='9'></svg>": "SVG",
    b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>": "XML",
    b"<div>login</div>": "markup",
    b'{"error": "not found"}': "JSON",
    b"  [1, 2]": "JSON",
    gzip.compress(b"anything", mtime=0): "gzip",
    b"PK\x03\x04" + b"a" * 30: "zip",
    b"%PDF-1.4\n": "PDF",
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n": "PostScript",
    ftyp(b"heic", b"mif1"): "HEIC",
    ftyp(b"mif1", b"heic"): "HEIC",
    ftyp(b"isom", b"mp42"): "MP4 video",
    b"\xff\x0a" + b"\x80" * 20: "JPEG XL",
    b"\0\0\0\x0cJXL \x0d\x0a\x87\x0a": "JPEG XL",
    b"\0\0\0\x0cjP  \x0d\x0a\x87\x0a": "JPEG 2000",
    b"\0\0\1\0\1\0": "ICO",
    b"8BPS\0\1": "Photoshop",
    b"\x1aE\xdf\xa3 webm": "WebM or Matroska video",
    b"404 not found": "text",
    b" \r\n\t": "blank",
    bytes(500): "zeros",
    b"\x01\x02\x03\x80": None,
}


@pytest.mark.parametrize("body", NO_PICTURES, ids=lambda body: repr(body[:20]))
def test_content_that_is_no_image_is_named(body: bytes) -> None:
    assert prepare(body, POLICY) == Rejected(Reason.NOT_AN_IMAGE, NO_PICTURES[body])


def test_avif_is_named_also_where_it_is_not_read() -> None:
    for brands in ((b"avif", b"mif1", b"miaf"), (b"mif1", b"avif"), (b"avis",)):
        body = ftyp(*brands)
        assert explain_unreadable(body, FORMATS) == Rejected(Reason.NOT_AN_IMAGE, "AVIF")
        cut = body[:-3]
        assert explain_unreadable(cut, FORMATS) == Rejected(
            Reason.NOT_AN_IMAGE, "AVIF"
        )  # a whole one would not be read either
        assert explain_unreadable(cut, (*FORMATS, "AVIF")) == Rejected(Reason.TRUNCATED, "AVIF")
        assert explain_unreadable(body, (*FORMATS, "AVIF")) == Rejected(Reason.NOT_AN_IMAGE, "AVIF")


def encoded(kind: str, **options: Any) -> bytes:
    sink = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(sink, kind, **options)
    return sink.getvalue()


def cuts() -> Iterator[tuple[str, bytes]]:
    for kind in FORMATS:
        body = encoded(kind, **({"compression": "tiff_lzw"} if kind == "TIFF" else {}))
        yield from ((kind, body[:length]) for length in (14, 24, 40, len(body) // 2, len(body) - 30))
    yield "WEBP", encoded("WEBP", exif=b"Exif\0\0II*\0" + bytes(40))[:-20]


@pytest.mark.parametrize(("kind", "body"), [*cuts()])
def test_a_cut_image_is_truncated_at_every_length(kind: str, body: bytes) -> None:
    made = prepare(body, POLICY)
    assert isinstance(made, Rejected) and made.reason == Reason.TRUNCATED, made
    assert str(made.detail).upper().startswith(kind)


def test_a_broken_picture_of_full_length_is_no_image() -> None:
    webp = bytearray(encoded("WEBP"))
    webp[12:16] = b"VP8?"
    made = prepare(bytes(webp), POLICY)
    assert isinstance(made, Rejected) and made.reason == Reason.NOT_AN_IMAGE and str(made.detail).startswith("WebP")


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"RIFF", b"\0\0\0\x18ftyp", b"<", b"{", b"\xff\xfe", b"BM", b"II*\0"]),
)
def test_any_bytes_have_one_kind_or_none(tail: bytes, head: bytes) -> None:
    kind = kind_of(head + tail)
    made = explain_unreadable(head + tail, (*FORMATS, "AVIF"))
    assert made.detail == kind and made.reason in (Reason.NOT_AN_IMAGE, Reason.TRUNCATED)


def test_a_picture_behind_compression_is_named_by_that() -> None:
    assert kind_of(gzip.compress(encoded("PNG"))) == "gzip"
    assert kind_of(zlib.compress(b"anything")) is None
