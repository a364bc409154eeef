"""The robots.txt rules that a worker knows: those of its part's hosts, fetched before, and those of redirect targets."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import pyarrow as pa

from tagmill.ingest.fetch.robots_rules import MAX_COMPILED, MAX_COMPILED_TEXT, CompiledRules, RobotsAnswer, RobotsRules
from tagmill.ingest.layout import long_rules_file, rules_file
from tagmill.ingest.optional_objects import read_if_there
from tagmill.ingest.reasons import Reason
from tagmill.shards.formats.parquet import read_table
from tagmill.shards.storage.store import Store

REFUSED_SECONDS = 600.0  # seconds until a redirect target that gave no robots.txt is asked again

FetchRobots = Callable[[str], Awaitable[RobotsAnswer]]  # fetches and interprets the robots.txt of an origin


# The robots.txt answers of a part's hosts, one row a host.
LISTED = pa.schema(
    [
        pa.field("part", pa.int32(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("reason", pa.string()),  # why no URL of the host may be fetched
        pa.field("detail", pa.string()),
        pa.field("rules", pa.string(), nullable=False),
        pa.field("kept", pa.string(), nullable=False),
    ]
)


class RedirectCache:
    """Caches the robots.txt answers of hosts that only redirects lead to.

    Lives as long as the process, bounded in size and age.
    """

    def __init__(
        self, max_age: float, max_hosts: int = MAX_COMPILED, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Answers expire after `max_age` seconds; refusals after REFUSED_SECONDS, if that is less."""
        self._max_age = max_age
        self._max_hosts = max_hosts
        self._clock = clock
        self._answers: OrderedDict[str, tuple[RobotsAnswer, float]] = OrderedDict()
        self._text = 0
        self.compiled = CompiledRules()

    def get(self, origin: str) -> RobotsAnswer | None:
        """Returns the answer of an origin, or None if it is unknown or expired."""
        answer, until = self._answers.get(origin, (None, 0.0))
        if answer is None or until <= self._clock():
            return None
        self._answers.move_to_end(origin)
        return answer

    def put(self, origin: str, answer: RobotsAnswer) -> None:
        """Stores an answer, and evicts the least recently used ones where there are too many."""
        self._drop(origin)
        age = self._max_age if answer.reason is None else min(self._max_age, REFUSED_SECONDS)
        self._answers[origin] = answer, self._clock() + age
        self._text += len(answer.rules)
        while len(self._answers) > 1 and (len(self._answers) > self._max_hosts or self._text > MAX_COMPILED_TEXT):
            self._drop(next(iter(self._answers)))

    def _drop(self, origin: str) -> None:
        dropped, _ = self._answers.pop(origin, (None, 0.0))
        self._text -= 0 if dropped is None else len(dropped.rules)


class RobotsCache:
    """Knows what the hosts of a part allow. Belongs to one event loop, and is closed with it.

    `known` holds the answers that were fetched before; `read` returns long rules, stored apart, by their sha256. The
    robots.txt of other hosts is fetched on demand and cached in `redirects`.
    """

    def __init__(self, known: Mapping[str, RobotsAnswer], read: Callable[[str], str], redirects: RedirectCache) -> None:
        self._known = known
        self._read = read
        self._redirects = redirects
        self._under_way: dict[str, asyncio.Task[RobotsAnswer]] = {}

    def cached(self, origin: str) -> RobotsRules | RobotsAnswer | None:
        """Returns the rules of an origin, a RobotsAnswer if the host is blocked, or None if `look_up` is needed."""
        answer = self._known.get(origin) or self._redirects.get(origin)
        if answer is None or answer.reason is not None:
            return answer
        # Compiled rules are keyed by their text, which many hosts share.
        if (rules := self._redirects.compiled.get(answer.kept or answer.rules)) is not None:
            return rules
        return None if answer.kept else self._redirects.compiled.put(answer.rules, answer.rules)

    async def look_up(self, origin: str, fetch: FetchRobots) -> RobotsRules | RobotsAnswer:
        """Returns the same as `cached`, and reads or fetches what is missing.

        Concurrent look-ups of an origin share one request.
        """
        answer = self._known.get(origin)
        if answer is not None and answer.kept:
            text = await asyncio.get_running_loop().run_in_executor(None, self._read, answer.kept)
            return self._redirects.compiled.put(answer.kept, text)
        if (found := self.cached(origin)) is not None:
            return found
        task = self._under_way.get(origin)
        if task is None:
            task = self._under_way[origin] = asyncio.create_task(self._fetch(origin, fetch))
        answer = await asyncio.shield(task)  # a caller's deadline must not cancel the request for the others
        return answer if answer.reason is not None else self._redirects.compiled.put(answer.rules, answer.rules)

    async def _fetch(self, origin: str, fetch: FetchRobots) -> RobotsAnswer:
        try:
            answer = await fetch(origin)
            self._redirects.put(origin, answer)
            return answer
        finally:
            del self._under_way[origin]

    async def close(self) -> None:
        """Cancels the requests that are still in flight."""
        for task in list(self._under_way.values()):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def open_robots_cache(store: Store, part: int, redirects: RedirectCache) -> RobotsCache:
    """Opens the cache of a part with the answers that the robots stage has stored."""
    known: dict[str, RobotsAnswer] = {}
    if (rules := read_if_there(store, rules_file(part))) is not None:
        for row in read_table(rules).to_pylist():
            reason = Reason(row["reason"]) if row["reason"] else None
            known[row["origin"]] = RobotsAnswer(row["rules"], row["kept"], reason, row["detail"])
    return RobotsCache(known, lambda sha256: store.read(long_rules_file(sha256)).decode(), redirects)
