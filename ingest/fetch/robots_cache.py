"""What a worker knows of the robots.txt of hosts: the answers of its part's hosts, and those that it meets on its way."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import pyarrow as pa

from tagmill.ingest.fetch.robots_rules import MOST_COMPILED, MOST_TEXT, Compiled, RobotsAnswer, RobotsRules
from tagmill.ingest.layout import long_rules_file, rules_file
from tagmill.ingest.reasons import Reason
from tagmill.shards.formats.parquet import read_table
from tagmill.shards.storage.store import Store

REFUSED_FOR = 600.0  # seconds for which a host that was met and gave no robots.txt is not asked again

Ask = Callable[[str], Awaitable[RobotsAnswer]]  # fetches and judges the robots.txt of an origin


# What the hosts of a part answered, a row each.
LISTED = pa.schema(
    [
        pa.field("part", pa.int32(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("reason", pa.string()),  # why nothing of it may be asked for
        pa.field("detail", pa.string()),
        pa.field("rules", pa.string(), nullable=False),
        pa.field("kept", pa.string(), nullable=False),
    ]
)


class RedirectCache:
    """Answers of hosts that no list told of: redirects led there. They stay with a process, some of them for a while."""

    def __init__(self, max_age: float, most: int = MOST_COMPILED, clock: Callable[[], float] = time.monotonic) -> None:
        """`max_age` is how many seconds an answer holds."""
        self._max_age, self._most, self._clock = max_age, most, clock
        self._answers: OrderedDict[str, tuple[RobotsAnswer, float]] = OrderedDict()
        self._text = 0
        self.compiled = Compiled()

    def get(self, origin: str) -> RobotsAnswer | None:
        """What an origin answered, if it is known and not too old."""
        answer, until = self._answers.get(origin, (None, 0.0))
        if answer is None or until <= self._clock():
            return None
        self._answers.move_to_end(origin)
        return answer

    def put(self, origin: str, answer: RobotsAnswer) -> None:
        """Remembers an answer, and forgets others where there are too many."""
        self._drop(origin)
        age = self._max_age if answer.reason is None else min(self._max_age, REFUSED_FOR)
        self._answers[origin] = answer, self._clock() + age
        self._text += len(answer.rules)
        while len(self._answers) > 1 and (len(self._answers) > self._most or self._text > MOST_TEXT):
            self._drop(next(iter(self._answers)))

    def _drop(self, origin: str) -> None:
        dropped, _ = self._answers.pop(origin, (None, 0.0))
        self._text -= 0 if dropped is None else len(dropped.rules)


class RobotsCache:
    """What the hosts of a part allow; of one event loop, and closed with it.

    `known` are the answers that were found before; `read` gives the rules that are kept elsewhere, by their sha256. Other
    hosts' robots.txt are asked for when they are met, and remembered in `met`.
    """

    def __init__(self, known: Mapping[str, RobotsAnswer], read: Callable[[str], str], met: RedirectCache) -> None:
        self._known, self._read, self._met = known, read, met
        self._under_way: dict[str, asyncio.Task[RobotsAnswer]] = {}

    def at_hand(self, origin: str) -> RobotsRules | RobotsAnswer | None:
        """The rules of an origin, or its Answer if nothing of it may be asked for; None: they must be looked up."""
        answer = self._known.get(origin) or self._met.get(origin)
        if answer is None or answer.reason is not None:
            return answer
        # Rules are told apart by their text, which many hosts share.
        if (rules := self._met.compiled.get(answer.kept or answer.rules)) is not None:
            return rules
        return None if answer.kept else self._met.compiled.put(answer.rules, answer.rules)

    async def look_up(self, origin: str, ask: Ask) -> RobotsRules | RobotsAnswer:
        """The same, with all that must be read or asked for."""
        answer = self._known.get(origin)
        if answer is not None and answer.kept:
            text = await asyncio.get_running_loop().run_in_executor(None, self._read, answer.kept)
            return self._met.compiled.put(answer.kept, text)
        if (found := self.at_hand(origin)) is not None:
            return found
        task = self._under_way.get(origin)
        if task is None:
            task = self._under_way[origin] = asyncio.create_task(self._ask(origin, ask))
        answer = await asyncio.shield(task)  # who waits has a deadline, what is asked goes on for the others
        return answer if answer.reason is not None else self._met.compiled.put(answer.rules, answer.rules)

    async def _ask(self, origin: str, ask: Ask) -> RobotsAnswer:
        try:
            answer = await ask(origin)
            self._met.put(origin, answer)
            return answer
        finally:
            del self._under_way[origin]

    async def close(self) -> None:
        """Ends what is still being asked for."""
        for task in list(self._under_way.values()):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def open_robots_cache(store: Store, part: int, met: RedirectCache) -> RobotsCache:
    """The book of a part, whose hosts were asked before."""
    known: dict[str, RobotsAnswer] = {}
    if store.exists(name := rules_file(part)):
        for row in read_table(store.read(name)).to_pylist():
            reason = Reason(row["reason"]) if row["reason"] else None
            known[row["origin"]] = RobotsAnswer(row["rules"], row["kept"], reason, row["detail"])
    return RobotsCache(known, lambda sha256: store.read(long_rules_file(sha256)).decode(), met)
