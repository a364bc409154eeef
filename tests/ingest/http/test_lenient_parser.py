"""The lenient parser: what it reads, what it refuses, that only AnswerError is raised and that memory is bounded."""

import asyncio
import itertools
from typing import Any

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError, PayloadEncodingError
from aiohttp.http_parser import HttpResponseParser
from aiohttp.streams import StreamReader
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.http.lenient_parser import (
    MAX_HEAD_BYTES,
    MAX_HEAD_LINES,
    MAX_LINE_BYTES,
    AnswerError,
    Head,
    LenientReader,
)
from tagmill.ingest.reasons import Reason

OK = b"HTTP/1.1 200 OK\r\n"
BODY = b"pixels\r\n\x00\xff"
BAD = Reason.BAD_HEADERS
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
IN_CHUNKS = b"4\r\npixe\r\n6\r\nls\r\n\x00\xff\r\n0\r\n\r\n"


def read(data: bytes, cuts: list[int] | None = None, most: int = 1 << 20) -> tuple[Head, bytes]:
    """Reads an answer that arrives in pieces, up to `most` bytes of its body."""

    async def run() -> tuple[Head, bytes]:
        stream = asyncio.StreamReader(limit=MAX_LINE_BYTES)

        async def feed() -> None:
            places = [0, *sorted(cuts or []), len(data)]
            for start, stop in itertools.pairwise(places):
                stream.feed_data(data[start:stop])
                await asyncio.sleep(0)
            stream.feed_eof()

        feeding = asyncio.create_task(feed())
        try:
            lenient, body = LenientReader(stream), bytearray()
            head = await lenient.head()
            async for block in lenient.body(head):
                body += block
                if len(body) > most:
                    break
            return head, bytes(body)
        finally:
            await feeding

    return asyncio.run(run())


@pytest.mark.parametrize(
    "answer",
    [
        OK + LENGTH + b"\r\n" + BODY,
        OK + LENGTH + b"\r\n" + BODY + b"\r\nand more",
        OK + LENGTH + b"X-Long: " + b"a" * 60_000 + b"\r\n\r\n" + BODY,
        OK + b"".join(b"X-%d: y\r\n" % number for number in range(500)) + LENGTH + b"\r\n" + BODY,
        OK + LENGTH + LENGTH + b"\r\n" + BODY,
        OK + b"Content-Length: 10, 10\r\n\r\n" + BODY,
        OK + b"Content-Length : 10\r\n\r\n" + BODY,
        OK + b"content-length:10\r\n\r\n" + BODY,
        OK + LENGTH + b"just a line\r\n: no name\r\n  goes on\r\nX Odd: v\r\n\r\n" + BODY,
        OK + b"  begins with a space\r\n" + LENGTH + b"\r\n" + BODY,
        OK + LENGTH + b"Transfer-Encoding: identity\r\n\r\n" + BODY,
        OK + b"Transfer-Encoding: identity\r\n\r\n" + BODY,
        OK + b"\r\n" + BODY,
        OK + b"Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n" + IN_CHUNKS,
        OK + b"Transfer-Encoding : Chunked\r\n\r\n" + IN_CHUNKS,
        OK + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n" + IN_CHUNKS,
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + IN_CHUNKS[:-2],  # without its last line end
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + IN_CHUNKS[:-2] + b"Trailer: x",
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b" 04 ;x=y\npixe\n00000006\r\nls\r\n\x00\xff\r\n0 \n",
        b"HTTP/1.1 200 OK\nContent-Length: 10\n\n" + BODY,
        b"\r\n\r\nHTTP/1.0 200\r\n\r\n" + BODY,
        b"http/2 200\r\n" + LENGTH + b"\r\n" + BODY,
        b"HTTP/1.1 200 \xc3\xbc \xff\r\n" + LENGTH + b"\r\n" + BODY,
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Go on\r\n\r\n" + OK + LENGTH + b"\r\n" + BODY,
    ],
)
def test_answers_that_browsers_read_are_read(answer: bytes) -> None:
    head, body = read(answer)
    assert (head.status, body) == (200, BODY)


LONG_CHUNK_LINE = OK + b"Transfer-Encoding: chunked\r\n\r\n4;" + b"x" * MAX_LINE_BYTES + b"\r\n"


@pytest.mark.parametrize(
    ("answer", "reason", "detail", "retryable"),
    [
        (b"", Reason.CONNECTION, "closed before the end of the headers", True),
        (OK + LENGTH, Reason.CONNECTION, "closed before the end of the headers", True),
        (b"\x16\x03\x01 no HTTP at all", BAD, "no HTTP status line", False),
        (b"HTTP/1", Reason.CONNECTION, "closed before the end of the headers", True),
        (b"<html>no HTTP at all\n", BAD, "no HTTP status line", False),
        (b"HTTP/1.1 2000 OK\r\n\r\n", BAD, "no HTTP status line", False),
        (OK + b"X: " + b"a" * MAX_LINE_BYTES + b"\r\n\r\n", BAD, f"a line of more than {MAX_LINE_BYTES} bytes", False),
        (OK + b"X: y\r\n" * MAX_HEAD_LINES + b"\r\n", BAD, f"more than {MAX_HEAD_LINES} header lines", False),
        (OK + (b"X: " + b"a" * 60_000 + b"\r\n") * 5 + b"\r\n", BAD, f"headers of more than {MAX_HEAD_BYTES} bytes", False),
        (b"HTTP/1.1 100 Go on\r\n\r\n" * 400, BAD, f"more than {MAX_HEAD_LINES} header lines", False),
        (b"\r\n" * 600, BAD, f"more than {MAX_HEAD_LINES} header lines", False),
        (OK + b"X: a\x00b\r\n\r\n", BAD, "a header with a NUL byte", False),
        (b"HTTP/1.1 101 Switch\r\n\r\n", BAD, "HTTP 101, which was not asked for", False),
        (OK + b"Content-Length: -4\r\n\r\n", BAD, "a Content-Length that is no number", False),
        (OK + b"Content-Length: 1e3\r\n\r\n", BAD, "a Content-Length that is no number", False),
        (OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", BAD, "a Content-Length that is no number", False),
        (OK + LENGTH + b"Content-Length: 4\r\n\r\n", BAD, "several values of Content-Length", False),
        (OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n", BAD, "Transfer-Encoding: chunked, and more after it", False),
        (OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n", BAD, "Transfer-Encoding: chunked, and more after it", False),
        (OK + b"Content-Length: 11\r\n\r\n" + BODY, Reason.TRUNCATED, "the body ends before its length", True),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\npixe\r\n", Reason.TRUNCATED, "the body ends before its length", True),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\npi", Reason.TRUNCATED, "the body ends before its length", True),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\npixe\r\n0", Reason.TRUNCATED, "the body ends before its length", True),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nwhat\r\n", BAD, "a chunk without a size", False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n-4\r\npixe\r\n", BAD, "a chunk without a size", False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 16 + b"\r\n", BAD, "a chunk without a size", False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\npixels\r\n", BAD, "a chunk that is longer than it says", False),
        (LONG_CHUNK_LINE, BAD, f"a line of more than {MAX_LINE_BYTES} bytes", False),
    ],
)  # fmt: skip
def test_refused_answers_say_why(answer: bytes, reason: Reason, detail: str, retryable: bool) -> None:
    with pytest.raises(AnswerError) as raised:
        read(answer)
    assert (raised.value.reason, raised.value.detail, raised.value.retryable) == (reason, detail, retryable)


def test_headers_are_found_by_any_spelling_and_go_on() -> None:
    head, _ = read(OK + b"LOCATION : /\xc3\xbc\xff\r\nX-Robots-Tag: noindex,\r\n\t noai \r\nx-robots-tag: none\r\n\r\n")
    assert head.headers["location"] == "/ü\udcff"
    assert head.headers.getall("X-Robots-Tag") == ["noindex, noai", "none"]


@pytest.mark.parametrize("status", [204, 304])
def test_some_answers_have_no_body(status: int) -> None:
    assert read(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\nbytes" % status)[1] == b""


def test_a_lost_connection_is_classified_by_its_position() -> None:
    async def run(data: bytes) -> None:
        stream = asyncio.StreamReader(limit=MAX_LINE_BYTES)
        stream.feed_data(data)
        asyncio.get_running_loop().call_later(0.01, stream.set_exception, ConnectionResetError())
        lenient = LenientReader(stream)
        async for _ in lenient.body(await lenient.head()):
            pass

    for data, reason in [
        (OK, Reason.CONNECTION),
        (OK + LENGTH + b"\r\npix", Reason.TRUNCATED),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", Reason.TRUNCATED),
    ]:
        with pytest.raises(AnswerError) as raised:
            asyncio.run(run(data))
        assert raised.value.reason == reason and raised.value.retryable


def by_client(data: bytes) -> tuple[int, list[tuple[str, str]], bytes] | None:
    """Returns what aiohttp's parser reads of an answer; None if it refuses it."""

    async def run() -> tuple[int, list[tuple[str, str]], bytes] | None:
        loop = asyncio.get_running_loop()
        parser: Any = HttpResponseParser(BaseProtocol(loop), loop, 1 << 20, read_until_eof=True, auto_decompress=False)
        try:
            messages, _, _ = parser.feed_data(data)
            parser.feed_eof()
        except (HttpProcessingError, PayloadEncodingError):
            return None
        for message, payload in messages:
            if message.code >= 200:
                blocks = payload._buffer if isinstance(payload, StreamReader) else ()
                return message.code, list(message.headers.items()), b"".join(blocks)
        return None

    return asyncio.run(run())


FIELDS = [b"X-Odd: a  b\t", b"x-odd:", b"Server: \xc3\xbc\xff", b"Content-Type: image/jpeg ", b"Location:\t/x"]
FRAMED = [LENGTH + b"\r\n" + BODY, b"\r\n" + BODY, b"Content-Length: 0\r\n\r\n", LENGTH + b"\r\n" + BODY[:-1]]
FRAMED += [LENGTH + LENGTH + b"\r\n", b"Transfer-Encoding: chunked\r\n\r\n" + IN_CHUNKS]
FRAMED += [
    b"Transfer-Encoding: Chunked\r\n\r\n" + IN_CHUNKS[:-2],
    b"Transfer-Encoding: gzip, chunked\r\n\r\n" + IN_CHUNKS,
]
FRAMED += [b"Transfer-Encoding: chunked\r\n\r\n4;x=y\r\npixe\r\n0\r\nX: y\r\n\r\n"]
INTERIM = [b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n"]


@given(
    st.sampled_from(INTERIM),
    st.sampled_from([200, 206, 301, 404, 503, 204, 304]),
    st.lists(st.sampled_from(FIELDS), max_size=6),
    st.sampled_from(FRAMED),
)
def test_both_parsers_agree_on_what_the_client_reads(
    interim: bytes, status: int, fields: list[bytes], framed: bytes
) -> None:
    """The result of a URL must not depend on which parser has read it."""
    data = interim + b"HTTP/1.1 %d Said\r\n" % status + b"".join(field + b"\r\n" for field in fields) + framed
    if (theirs := by_client(data)) is not None:
        head, body = read(data)
        assert (head.status, list(head.headers.items()), body) == theirs


PIECES = [
    b"HTTP/1.1 ",
    b"200",
    b" OK",
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b":",
    b",",
    b";",
    b"\x00",
    b"\xff",
    b"0",
    b"5",
    b"a",
]
PIECES += [b"Content-Length: ", b"Transfer-Encoding: ", b"chunked", b"gzip", b"identity", b"100", b"-1", b"x" * 70_000]
PIECES += [
    OK,
    LENGTH,
    b"Transfer-Encoding: chunked\r\n",
    IN_CHUNKS,
    BODY,
    b"X: y\r\n" * 100,
    b"\r\n\r\n",
    b"5\r\nbytes\r\n",
]


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=9), max_size=20), st.data())
@settings(max_examples=400, deadline=None)
def test_any_bytes_in_any_pieces_give_an_answer_or_the_one_error(pieces: list[bytes], data: st.DataObject) -> None:
    """The result does not depend on how the bytes are cut into pieces."""
    text = b"".join(pieces)
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=8))
    outcomes = []
    for where in ([], cuts):
        try:
            head, body = read(text, where)
            assert 200 <= head.status <= 999 and len(body) <= len(text)
            outcomes.append((head.status, list(head.headers.items()), body))
        except AnswerError as error:
            outcomes.append((error.reason, error.detail, b""))
    assert outcomes[0] == outcomes[1]
