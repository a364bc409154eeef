"""What an HTTP answer means for a URL: its body, a redirect, or the reason for which there is no body."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from tagmill.ingest.http.content_encoding import CutError, TooBigError, codings_of, unpacked
from tagmill.ingest.http.lenient_parser import MOST_HEAD_BYTES
from tagmill.ingest.http.opt_out import opt_out
from tagmill.ingest.http.retries import retry_after
from tagmill.ingest.reasons import Reason

TRY_AGAIN = frozenset([429, 500, 502, 503, 504])
_REDIRECTS = frozenset([301, 302, 303, 307, 308])
_GONE = frozenset([404, 410])
_BUSY = frozenset([429, 503])

Address = tuple[Any, ...]  # of a socket's other end, as `getpeername` gives it


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a URL is asked for, and what may come of it."""

    accept: str
    most: int  # bytes of a body
    redirects: int
    is_robots: bool = False  # read up to `most`, whatever robots.txt and opt-outs say


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one request, or of several."""

    body: bytes | None = None
    reason: Reason | None = None
    detail: str | None = None
    http_status: int | None = None
    again: bool = False  # another try may help
    wait: float = 0.0  # seconds that the host asks for before another try
    target: str | None = None  # of a redirect, which is no answer yet
    host_failed: bool | None = False  # None: says nothing about the host
    packed: str | None = None  # the codings that were left on the body
    unread: Address | None = None  # who sent what the client's parser refuses, and a lenient reader may read

    @property
    def busy(self) -> bool:
        """Whether the host asks not only this URL to wait."""
        return self.wait > 0 and self.http_status in _BUSY


def by_head(status: int, headers: Any, wanted: Wanted, agents: frozenset[str] | None) -> Reply | None:
    """What the head of an answer decides; None: its body is what was asked for.

    `headers` is a multidict without regard to case; `agents` are the names by which opt-outs address us (None: they are not
    heard).
    """
    if sum(len(name) + len(value) for name, value in headers.items()) > MOST_HEAD_BYTES:
        return Reply(
            reason=Reason.BAD_HEADERS, detail=f"headers of more than {MOST_HEAD_BYTES} bytes", http_status=status
        )
    if status in _REDIRECTS:
        return Reply(http_status=status, target=headers.get("Location", ""))
    if not 200 <= status < 300:
        reason = Reason.NOT_FOUND if status in _GONE else Reason.HTTP_ERROR
        again, wait = status in TRY_AGAIN, retry_after(headers.get("Retry-After")) or 0.0
        return Reply(reason=reason, detail=f"HTTP {status}", http_status=status, again=again, wait=wait)
    if agents is not None and not wanted.is_robots:
        rule = opt_out(headers.getall("X-Robots-Tag", ()), agents)
        if rule is not None:
            return Reply(reason=Reason.OPTED_OUT, detail=f"X-Robots-Tag: {rule}", http_status=status)
    return None


async def by_body(status: int, headers: Any, length: int | None, blocks: AsyncIterator[bytes], wanted: Wanted) -> Reply:
    """The body, unpacked where it came packed, or what is wrong with it. Raises what `blocks` raises.

    `length` is what the head says of its bytes. No more than `wanted.most` are kept, and one block.
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
    body, packed = b"".join(kept)[:most], None
    try:
        if codings := codings_of(headers):  # in a thread: other answers must not wait for it
            work = partial(unpacked, body, codings, most, cut=wanted.is_robots)
            body, packed = await asyncio.get_running_loop().run_in_executor(None, work)
    except TooBigError:
        return Reply(reason=Reason.TOO_BIG, detail=f"more than {most} bytes, unpacked", http_status=status)
    except CutError as error:
        detail = f"Content-Encoding: {error.coding}, which ends too early"
        return Reply(reason=Reason.TRUNCATED, detail=detail, http_status=status)
    if not body:
        return Reply(reason=Reason.EMPTY, detail=f"HTTP {status} without a body", http_status=status)
    return Reply(body=body, http_status=status, packed=packed)
