"""Bodies that a server has packed although it was asked not to (`Content-Encoding`), unpacked within a bound."""

import zlib
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from tagmill.ingest.http.lenient_parser import transfer_codings

_BLOCK = 1 << 16  # bytes that are unpacked at a time
_MOST = 3  # codings of a body that are taken off; no server of good will has two
_ARROW = {"br": "brotli", "zstd": "zstd"}
_ZLIB = frozenset(["gzip", "x-gzip", "deflate"])
_PICTURE = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")  # no packed body begins so


class TooBigError(Exception):
    """More comes out than may."""


class CutError(Exception):
    """A packed body that ends too early; `coding` names how it is packed."""

    def __init__(self, coding: str) -> None:
        super().__init__(coding)
        self.coding = coding


def codings_of(headers: Any) -> tuple[str, ...]:
    """How the headers say that a body is packed, in lower case, the outermost last. Headers are a multidict."""
    content = [each for value in headers.getall("Content-Encoding", ()) for each in _tokens(value)]
    transfer = (each for each in transfer_codings(headers.getall("Transfer-Encoding", ())) if each != "chunked")
    return (*(each for each in content if each != "identity"), *transfer)


def _tokens(value: str) -> Iterable[str]:
    return (token for part in value.lower().split(",") if (token := part.strip()))


def unpacked(body: bytes, codings: tuple[str, ...], most: int, *, cut: bool = False) -> tuple[bytes, str | None]:
    """A body without its codings, and those that were left on it for a person (None: none was).

    A coding that is not known, or that the body does not have, is left: hosts send plain pictures under any name. Raises
    TooBigError where more than `most` bytes come out, and CutError where the body ends too early; with `cut` it gives
    what came until then instead.
    """
    if len(codings) > _MOST:
        return body, _named(codings)
    for number in range(len(codings), 0, -1):
        inside = _without(body, codings[number - 1], most, cut=cut)
        if inside is None:
            return body, _named(codings[:number])
        body = inside
    return body, None


def _named(codings: tuple[str, ...]) -> str:
    return "Content-Encoding: " + ascii(", ".join(codings))[1:-1][:100]


def _without(body: bytes, coding: str, most: int, *, cut: bool) -> bytes | None:
    """None: it cannot be taken off."""
    if body.startswith(_PICTURE):
        return None
    if coding in _ZLIB:
        return _inflated(body, coding, most, cut=cut)
    if coding in _ARROW and pa.Codec.is_available(_ARROW[coding]):
        return _by_arrow(body, coding, most, cut=cut)
    return None


def _inflated(body: bytes, coding: str, most: int, *, cut: bool) -> bytes | None:
    """By zlib. A `deflate` may be with or without the wrapper that it should have; what follows a gzip is passed over."""
    bits = 31 if coding != "deflate" else 15 if body[:1] and body[0] & 15 == 8 and _is_zlib(body) else -15
    stream = zlib.decompressobj(bits)
    try:
        found = stream.decompress(body, most + 1)
    except zlib.error:
        return None
    if len(found) > most:
        return _cut_at(found, most, cut=cut)
    if not stream.eof and not cut:
        raise CutError(coding)
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
                    return _cut_at(b"".join(blocks), most, cut=cut)
    except (OSError, pa.ArrowException) as error:
        if "truncated" not in str(error).lower():
            return None
        if not cut:
            raise CutError(coding) from None
    return b"".join(blocks)


def _cut_at(found: bytes, most: int, *, cut: bool) -> bytes:
    if not cut:
        raise TooBigError
    return found[:most]
