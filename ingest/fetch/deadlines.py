"""The deadline of one URL, and the state that it keeps across its requests."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from yarl import URL


class Deadline:
    """Counts down the seconds that a URL has left, only while it is being requested, not while it queues for a host slot."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self.begun: datetime | None = None
        self.read_leniently: set[URL] = set()  # URLs that were already re-requested with the lenient parser

    @asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        """Lets the deadline run in the body of the context. Raises TimeoutError there when no time is left."""
        if self.begun is None:
            self.begun = datetime.now(UTC)
        begun = time.monotonic()
        try:
            async with asyncio.timeout(self.left):
                yield
        finally:
            self.left -= time.monotonic() - begun

    async def sleep(self, seconds: float) -> None:
        """Sleeps for `seconds`, which count against the deadline. Raises nothing when it is exceeded."""
        begun = time.monotonic()
        await asyncio.sleep(seconds)
        self.left -= time.monotonic() - begun
