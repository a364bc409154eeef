"""Decodes bodies that a server has compressed although the request allows only `identity`; output is bounded."""

import zlib
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from tagmill.ingest.http.lenient_parser import transfer_codings

_BLOCK = 1 << 16  # bytes that are decompressed at a time
_MOST = 3  # content codings that are removed from a body; real servers use one
_ARROW = {"br": "brotli", "zstd": "zstd"}
_ZLIB = frozenset(["gzip", "x-gzip", "deflate"])
_PICTURE = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")  # no compressed body begins with these


class TooBigError(Exception):
    """The decompressed body is larger than allowed."""


class TruncatedBodyError(Exception):
    """A compressed body ends too early; `coding` is its content coding."""

    def __init__(self, coding: str) -> None:
        super().__init__(coding)
        self.coding = coding


def codings_of(headers: Any) -> tuple[str, ...]:
    """Returns the content and transfer codings in the headers (a multidict), in lower case, the outermost last."""
    content = [each for value in headers.getall("Content-Encoding", ()) for each in _tokens(value)]
    transfer = (each for each in transfer_codings(headers.getall("Transfer-Encoding", ())) if each != "chunked")
    return (*(each for each in content if each != "identity"), *transfer)


def _tokens(value: str) -> Iterable[str]:
    return (token for part in value.lower().split(",") if (token := part.strip()))


def decode_body(body: bytes, codings: tuple[str, ...], most: int, *, cut: bool = False) -> tuple[bytes, str | None]:
    """Returns the body without its codings, and a description of the codings that were left on it (None: none).

    A coding that is unknown, or that the body does not have, is left: hosts send plain images with any header. Raises
    TooBigError where the output exceeds `most` bytes, and TruncatedBodyError where the body ends too early; with `cut`,
    returns the bytes up to that point instead.
    """
    if len(codings) > _MOST:
        return body, _coding_names(codings)
    for number in range(len(codings), 0, -1):
        inside = _take_off(body, codings[number - 1], most, cut=cut)
        if inside is None:
            return body, _coding_names(codings[:number])
        body = inside
    return body, None


def _coding_names(codings: tuple[str, ...]) -> str:
    return "Content-Encoding: " + ascii(", ".join(codings))[1:-1][:100]


def _take_off(body: bytes, coding: str, most: int, *, cut: bool) -> bytes | None:
    """Returns the body without one coding; None where it cannot be removed."""
    if body.startswith(_PICTURE):
        return None
    if coding in _ZLIB:
        return _inflated(body, coding, most, cut=cut)
    if coding in _ARROW and pa.Codec.is_available(_ARROW[coding]):
        return _by_arrow(body, coding, most, cut=cut)
    return None


def _inflated(body: bytes, coding: str, most: int, *, cut: bool) -> bytes | None:
    """Decompresses with zlib: `deflate` with or without its zlib header; bytes after the first gzip member are ignored."""
    bits = 31 if coding != "deflate" else 15 if body[:1] and body[0] & 15 == 8 and _is_zlib(body) else -15
    stream = zlib.decompressobj(bits)
    try:
        found = stream.decompress(body, most + 1)
    except zlib.error:
        return None
    if len(found) > most:
        return _cut_or_raise(found, most, cut=cut)
    if not stream.eof and not cut:
        raise TruncatedBodyError(coding)
    return found


def _is_zlib(body: bytes) -> bool:
    return len(body) > 1 and (body[0] << 8 | body[1]) % 31 == 0


def _by_arrow(body: bytes, coding: str, most: int, *, cut: bool) -> bytes | None:
    blocks, size = [], 0
    try:
        with pa.CompressedInputStream(pa.BufferReader(body), _ARROW[coding]) as stream:
            while block := stream.read(min(_BLOCK, most + 1 - size)):
                size += len(block)
                blocks.append(block)
                if size > most:
                    return _cut_or_raise(b"".join(blocks), most, cut=cut)
    except (OSError, pa.ArrowException) as error:
        if "truncated" not in str(error).lower():
            return None
        if not cut:
            raise TruncatedBodyError(coding) from None
    return b"".join(blocks)


def _cut_or_raise(found: bytes, most: int, *, cut: bool) -> bytes:
    if not cut:
        raise TooBigError
    return found[:most]
