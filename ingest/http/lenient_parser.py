"""Parses HTTP/1 answers as leniently as browsers and curl do, where a strict parser refuses. One answer a connection.

Ambiguous answers (Content-Length beside chunks, several lengths, odd header lines) are harmless only because the
connection is closed afterwards: no second answer can be smuggled into it. Callers must never reuse the connection.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from multidict import CIMultiDict

from tagmill.ingest.reasons import Reason

MAX_LINE_BYTES = 1 << 16  # bytes of a line
MAX_HEAD_BYTES = 1 << 18  # bytes of all lines before the body, including interim answers
MAX_HEAD_LINES = 512  # lines before the body
_BLOCK = 1 << 16  # bytes of a body that are read at once
_STATUS = re.compile(rb"HTTP/[0-9]{1,3}(?:\.[0-9]{1,3})?[ \t]+([0-9]{3})(?:[ \t].*)?", re.IGNORECASE | re.DOTALL)
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,15})[ \t]*(?:;.*)?", re.DOTALL)
_NO_BODY = frozenset([204, 304])
_PACKINGS = frozenset(["gzip", "x-gzip", "deflate"])  # transfer codings that change where a body ends


class AnswerError(Exception):
    """An answer that cannot be parsed, or is incomplete, with the reason. `retryable`: a retry may succeed."""

    def __init__(self, reason: Reason, detail: str, *, retryable: bool = False) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.retryable = retryable


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers of an answer."""

    status: int
    headers: CIMultiDict[str]  # UTF-8; other bytes as decoded by "surrogateescape"
    length: int | None  # bytes of the body; None: it is chunked, or ends with the connection
    chunked: bool


class LenientReader:
    """Reads one answer from a stream whose limit is `MAX_LINE_BYTES`. Raises only AnswerError, whatever the input."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream
        self._size = 0  # bytes of the head so far
        self._lines = 0  # of the head so far

    async def head(self) -> Head:
        """Returns the head of the final answer; interim ones (1xx) are skipped."""
        while True:
            status = await self._status()
            headers = await self._headers()
            if status == 101:
                raise AnswerError(Reason.BAD_HEADERS, "HTTP 101, which was not asked for")
            if status >= 200:
                chunked = _is_chunked(headers.getall("Transfer-Encoding", ()))
                length = None if chunked else _length(status, headers)
                return Head(status, headers, length, chunked)

    async def body(self, head: Head) -> AsyncIterator[bytes]:
        """Yields the blocks of the body, without chunk framing."""
        if head.chunked:
            async for block in self._chunks():
                yield block
        elif head.length is not None:
            async for block in self._exactly(head.length):
                yield block
        else:
            while block := await self._some(_BLOCK):
                yield block

    async def _status(self) -> int:
        while not (line := await self._line()):  # blank lines may come first
            pass
        found = _STATUS.fullmatch(line)
        if found is None:
            raise AnswerError(Reason.BAD_HEADERS, "no HTTP status line")
        return int(found[1])

    async def _headers(self) -> CIMultiDict[str]:
        """Reads header lines.

        A line that begins with a space continues the one before; one without a name or colon is ignored.
        """
        found: list[tuple[bytes, list[bytes]]] = []
        while line := await self._line():
            if line[:1] in b" \t":
                if found:
                    found[-1][1].append(line.strip(b" \t"))
                continue
            name, colon, value = line.partition(b":")
            found.append((name.strip(b" \t") if colon else b"", [value.strip(b" \t")]))
        headers: CIMultiDict[str] = CIMultiDict()
        for name, values in found:
            if name:
                headers.add(_text(name), _text(b" ".join(values)))
        return headers

    async def _line(self) -> bytes:
        """Returns a line of the head, without its line end."""
        line = await self._until_end()
        if not line.endswith(b"\n"):
            if not self._lines and line.strip() and line[:5].upper() != b"HTTP/":
                raise AnswerError(Reason.BAD_HEADERS, "no HTTP status line")
            raise AnswerError(Reason.CONNECTION, "closed before the end of the headers", retryable=True)
        self._size += len(line)
        self._lines += 1
        if self._lines > MAX_HEAD_LINES:
            raise AnswerError(Reason.BAD_HEADERS, f"more than {MAX_HEAD_LINES} header lines")
        if self._size > MAX_HEAD_BYTES:
            raise AnswerError(Reason.BAD_HEADERS, f"headers of more than {MAX_HEAD_BYTES} bytes")
        if b"\0" in line:
            raise AnswerError(Reason.BAD_HEADERS, "a header with a NUL byte")
        return line.rstrip(b"\r\n")

    async def _until_end(self) -> bytes:
        """Returns a line with its line end, or without where the stream ends first."""
        try:
            return await self._stream.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            raise AnswerError(Reason.BAD_HEADERS, f"a line of more than {MAX_LINE_BYTES} bytes") from None
        except asyncio.IncompleteReadError as error:
            return error.partial
        except OSError as error:
            raise AnswerError(Reason.CONNECTION, type(error).__name__, retryable=True) from None

    async def _some(self, most: int) -> bytes:
        """Returns up to `most` bytes of the body; b"" at the end of the stream."""
        try:
            return await self._stream.read(most)
        except OSError:
            raise _cut() from None

    async def _exactly(self, left: int) -> AsyncIterator[bytes]:
        while left:
            block = await self._some(min(left, _BLOCK))
            if not block:
                raise _cut()
            left -= len(block)
            yield block

    async def _chunks(self) -> AsyncIterator[bytes]:
        """Yields the chunks. The last chunk ends the body: trailers and the empty line after it are not waited for."""
        while size := _chunk_size(await self._framing()):
            async for block in self._exactly(size):
                yield block
            if (await self._framing()).strip(b"\r\n"):
                raise AnswerError(Reason.BAD_HEADERS, "a chunk that is longer than it says")

    async def _framing(self) -> bytes:
        try:
            line = await self._until_end()
        except AnswerError as error:
            raise (_cut() if error.retryable else error) from None
        if not line.endswith(b"\n"):
            raise _cut()
        return line


def _cut() -> AnswerError:
    return AnswerError(Reason.TRUNCATED, "the body ends before its length", retryable=True)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def transfer_codings(values: Iterable[str]) -> list[str]:
    """Returns the `Transfer-Encoding` tokens that change a body, in lower case; others, such as `identity`, are ignored."""
    tokens = (token.strip().lower() for value in values for token in value.split(","))
    return [token for token in tokens if token == "chunked" or token in _PACKINGS]


def _is_chunked(values: Iterable[str]) -> bool:
    codings = transfer_codings(values)
    if "chunked" in codings[:-1]:
        raise AnswerError(Reason.BAD_HEADERS, "Transfer-Encoding: chunked, and more after it")
    return codings[-1:] == ["chunked"]


def _length(status: int, headers: CIMultiDict[str]) -> int | None:
    """Returns the Content-Length of an answer that is not chunked; None: the body ends with the connection."""
    if status in _NO_BODY:
        return 0
    if transfer_codings(headers.getall("Transfer-Encoding", ())):
        return None
    given = [text.strip(" \t") for value in headers.getall("Content-Length", ()) for text in value.split(",")]
    if not all(map(_LENGTH.fullmatch, given)):
        raise AnswerError(Reason.BAD_HEADERS, "a Content-Length that is no number")
    lengths = set(map(int, given))
    if len(lengths) > 1:
        raise AnswerError(Reason.BAD_HEADERS, "several values of Content-Length")
    return lengths.pop() if lengths else None


def _chunk_size(line: bytes) -> int:
    found = _CHUNK.fullmatch(line.rstrip(b"\r\n"))
    if found is None:
        raise AnswerError(Reason.BAD_HEADERS, "a chunk without a size")
    return int(found[1], 16)
