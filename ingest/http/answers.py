"""What an HTTP answer means for a URL: its body, a redirect, or the reason why there is no body."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from tagmill.ingest.http.content_encoding import TooBigError, TruncatedBodyError, codings_of, decode_body
from tagmill.ingest.http.lenient_parser import MAX_HEAD_BYTES
from tagmill.ingest.http.opt_out import Obeyed
from tagmill.ingest.http.retries import retry_after
from tagmill.ingest.reasons import Reason

RETRYABLE_STATUS = frozenset([429, 500, 502, 503, 504])
_REDIRECTS = frozenset([301, 302, 303, 307, 308])
_GONE = frozenset([404, 410])
_BUSY = frozenset([429, 503])

Address = tuple[Any, ...]  # of the remote end of a socket, as `getpeername` returns it


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is asked for with a URL, and the limits of the answer."""

    accept: str
    most: int  # most bytes of a body
    redirects: int  # most redirects that are followed
    is_robots: bool = False  # robots.txt or tdmrep.json: cut at `most` bytes, exempt from robots rules and opt-outs


@dataclass(frozen=True, slots=True)
class Reply:
    """Outcome of one request, or of several."""

    body: bytes | None = None
    reason: Reason | None = None
    detail: str | None = None
    http_status: int | None = None
    retryable: bool = False  # a retry may succeed
    wait: float = 0.0  # seconds that the host asks to wait before a retry
    redirect: str | None = None  # Location of a redirect, which is not yet a final answer
    host_failed: bool | None = False  # None: the outcome says nothing about the host
    encoding: str | None = None  # content codings that could not be removed from the body
    unparsed_from: Address | None = (
        None  # sender of an answer that the client's parser refused and the lenient parser may read
    )

    @property
    def busy(self) -> bool:
        """Whether the host asks for a backoff of all requests, not only of this URL."""
        return self.wait > 0 and self.http_status in _BUSY


def reply_from_head(status: int, headers: Any, wanted: Expectation, obeyed: Obeyed) -> Reply | None:
    """Returns the reply that status and headers decide; None: the body is needed.

    `headers` is a case-insensitive multidict.
    """
    if sum(len(name) + len(value) for name, value in headers.items()) > MAX_HEAD_BYTES:
        return Reply(
            reason=Reason.BAD_HEADERS, detail=f"headers of more than {MAX_HEAD_BYTES} bytes", http_status=status
        )
    if status in _REDIRECTS:
        return Reply(http_status=status, redirect=headers.get("Location", ""))
    if not 200 <= status < 300:
        reason = Reason.NOT_FOUND if status in _GONE else Reason.HTTP_ERROR
        retryable, wait = status in RETRYABLE_STATUS, retry_after(headers.get("Retry-After")) or 0.0
        return Reply(reason=reason, detail=f"HTTP {status}", http_status=status, retryable=retryable, wait=wait)
    if not wanted.is_robots and (found := obeyed.forbids(headers)) is not None:
        return Reply(reason=found[0], detail=found[1], http_status=status)
    return None


async def reply_from_body(
    status: int, headers: Any, length: int | None, blocks: AsyncIterator[bytes], wanted: Expectation
) -> Reply:
    """Reads the body and removes its content codings, or returns what is wrong with it. Raises what `blocks` raises.

    `length` is the Content-Length in bytes. At most `wanted.most` bytes and one block are held.
    """
    most = wanted.most
    big = Reply(reason=Reason.TOO_BIG, detail=f"more than {most} bytes", http_status=status)
    if (length or 0) > most and not wanted.is_robots:
        return big
    kept, size = [], 0
    async for block in blocks:
        size += len(block)
        if size > most and not wanted.is_robots:
            return big
        kept.append(block)
        if size >= most and wanted.is_robots:
            break
    body, encoding = b"".join(kept)[:most], None
    try:
        if codings := codings_of(headers):  # in a thread: decompression must not block the event loop
            work = partial(decode_body, body, codings, most, cut=wanted.is_robots)
            body, encoding = await asyncio.get_running_loop().run_in_executor(None, work)
    except TooBigError:
        return Reply(reason=Reason.TOO_BIG, detail=f"more than {most} bytes, unpacked", http_status=status)
    except TruncatedBodyError as error:
        detail = f"Content-Encoding: {error.coding}, which ends too early"
        return Reply(reason=Reason.TRUNCATED, detail=detail, http_status=status)
    if not body:
        return Reply(reason=Reason.EMPTY, detail=f"HTTP {status} without a body", http_status=status)
    return Reply(body=body, http_status=status, encoding=encoding)
