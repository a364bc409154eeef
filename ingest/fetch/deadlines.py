"""The time that a URL has, and what was done in it that is done once."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from yarl import URL


class Deadline:
    """The seconds that a URL has left; they pass while it is asked for, not while it waits for a turn at its host."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self.begun: datetime | None = None
        self.read_again: set[URL] = set()  # what was asked for a second time, for the lenient reader

    @asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        """Raises TimeoutError in its body when nothing is left."""
        if self.begun is None:
            self.begun = datetime.now(UTC)
        begun = time.monotonic()
        try:
            async with asyncio.timeout(self.left):
                yield
        finally:
            self.left -= time.monotonic() - begun

    async def sleep(self, seconds: float) -> None:
        """Lets some of it pass, and raises nothing."""
        begun = time.monotonic()
        await asyncio.sleep(seconds)
        self.left -= time.monotonic() - begun
