"""Compressed bodies, decompression bombs, and bodies that are not compressed whatever the headers say."""

import gzip
import random
import zlib

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from tagmill.ingest.http.content_encoding import TooBigError, TruncatedBodyError, codings_of, decode_body

BODY = random.Random(0).randbytes(500) * 9


def packed(body: bytes, coding: str) -> bytes:
    if coding in ("br", "zstd"):
        return bytes(pa.Codec({"br": "brotli"}.get(coding, coding)).compress(body, asbytes=True))
    if coding == "raw deflate":
        stream = zlib.compressobj(wbits=-15)
        return stream.compress(body) + stream.flush()
    return zlib.compress(body) if coding == "deflate" else gzip.compress(body)


CODINGS = ["gzip", "x-gzip", "deflate", "raw deflate", "br", "zstd"]


@pytest.mark.parametrize("coding", CODINGS)
def test_a_compressed_body_is_decoded_within_its_limit(coding: str) -> None:
    told, data = (coding.split()[-1],), packed(BODY, coding)
    assert decode_body(data, told, len(BODY)) == (BODY, None)
    with pytest.raises(TooBigError):
        decode_body(data, told, len(BODY) - 1)
    assert decode_body(data, told, 1000, cut=True) == (BODY[:1000], None)
    with pytest.raises(TruncatedBodyError):
        decode_body(data[: len(data) // 2], told, len(BODY))
    begun, _ = decode_body(data[: len(data) // 2], told, len(BODY), cut=True)
    assert BODY.startswith(begun)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_bomb_gives_no_more_than_the_limit(coding: str) -> None:
    bomb = packed(bytes(50_000_000), coding)
    assert len(bomb) < 100_000
    with pytest.raises(TooBigError):
        decode_body(bomb, (coding.split()[-1],), 1_000_000)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "utf-8", "base64"])
@pytest.mark.parametrize("body", [b"\xff\xd8\xff\xe0 jpeg", b"\x89PNG\r\n", b"GIF89a", b"RIFF1234WEBPVP8 "])
def test_an_image_that_is_not_compressed_is_unchanged_and_the_coding_is_named(coding: str, body: bytes) -> None:
    assert decode_body(body * 20, (coding,), 10_000) == (body * 20, f"Content-Encoding: {coding}")


def test_several_codings_are_removed_from_the_outermost_on() -> None:
    twice = packed(packed(BODY, "gzip"), "br")
    assert decode_body(twice, ("gzip", "br"), len(BODY)) == (BODY, None)
    odd = packed(BODY, "gzip")
    assert decode_body(odd, ("aes", "gzip"), len(BODY)) == (BODY, "Content-Encoding: aes")
    assert decode_body(odd, ("gzip",) * 4, len(BODY)) == (odd, "Content-Encoding: gzip, gzip, gzip, gzip")


def test_codings_are_read_from_headers() -> None:
    headers = CIMultiDict([("content-encoding", "Identity, GZIP ,"), ("Content-Encoding", "br")])
    headers.add("Transfer-Encoding", "deflate, chunked")
    assert codings_of(headers) == ("gzip", "br", "deflate")
    assert codings_of(CIMultiDict({"Transfer-Encoding": "identity"})) == ()


@given(st.binary(max_size=300), st.lists(st.sampled_from(["gzip", "deflate", "br", "zstd", "x"]), max_size=5))
def test_any_bytes_are_decoded_or_unchanged(body: bytes, codings: list[str]) -> None:
    try:
        found, left = decode_body(body, tuple(codings), 1000)
    except (TruncatedBodyError, TooBigError):
        return
    assert len(found) <= 1000 and (left is None or left.startswith("Content-Encoding: "))


@given(st.sampled_from(CODINGS), st.data())
def test_damaged_bodies_never_give_more_than_the_limit(coding: str, data: st.DataObject) -> None:
    body = bytearray(packed(BODY, coding))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found, left = decode_body(bytes(body), (coding.split()[-1],), len(BODY))
    except (TruncatedBodyError, TooBigError):
        return
    assert (found == bytes(body)) if left else len(found) <= len(BODY)
