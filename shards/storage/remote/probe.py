"""Asks a service for headers that obstore does not show: how long to wait (Retry-After), and the region of a bucket.

One small HEAD request, without retries. A service whose answer does not say how long to wait is not asked again for a
minute, and one that says is not asked before that time.
"""

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from typing import NamedTuple

from tagmill.shards.storage.error_verdicts import seconds_of

SECONDS = 5.0  # for an answer
SILENT_SECONDS = 60.0  # until a service that did not say how long to wait is asked again
BUSY = (429, 503)

Clock = Callable[[], float]


class HeadAnswer(NamedTuple):
    """`headers` have names in lower case."""

    status: int
    headers: Mapping[str, str]


def ask_head(url: str) -> HeadAnswer | None:
    """Returns the answer to a HEAD request, whatever its status and without following redirects; None if there is none."""
    from http.client import HTTPException  # imported when a store is in trouble
    from urllib.error import HTTPError
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class Stay(HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            """Follows none."""

    try:
        with build_opener(Stay).open(Request(url, method="HEAD"), timeout=SECONDS) as answer:
            status, headers = answer.status, answer.headers
    except HTTPError as error:
        with error:
            status, headers = error.code, error.headers
    except (OSError, HTTPException, ValueError):
        return None
    return HeadAnswer(int(status), {name.lower(): value for name, value in headers.items()})


class WaitsAsked:
    """What busy services of this process have asked for."""

    def __init__(self, ask: Callable[[str], HeadAnswer | None] = ask_head, clock: Clock = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._until: dict[Hashable, tuple[float, bool]] = {}  # time, and whether the service asked for it

    def seconds(self, place: Hashable, url: Callable[[], str | None]) -> float | None:
        """Returns the seconds that a busy place asks to wait from now, None if it does not say. `url` is asked, unless
        what it said is still known; only one thread asks."""
        with self._lock:
            until, asked_for = self._until.get(place, (0.0, False))
            now = self._clock()
            if now < until:
                return until - now if asked_for else None
            self._until[place] = now + SILENT_SECONDS, False
        address = url()
        answer = self._ask(address) if address else None
        wait = seconds_of(answer.headers) if answer is not None and answer.status in BUSY else None
        if wait is not None:
            with self._lock:
                self._until[place] = self._clock() + wait, True
        return wait


WAITS_ASKED = WaitsAsked()
