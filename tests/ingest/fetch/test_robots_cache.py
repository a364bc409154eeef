"""The robots.txt cache of a worker: stored answers, answers fetched on demand, and eviction."""

import asyncio
from pathlib import Path

import pytest
from yarl import URL

from tagmill.ingest.fetch.robots_cache import LISTED, REFUSED_SECONDS, RedirectCache, RobotsCache, open_robots_cache
from tagmill.ingest.fetch.robots_rules import RobotsAnswer, RobotsRules
from tagmill.ingest.layout import long_rules_file, rules_file
from tagmill.ingest.reasons import Reason
from tagmill.shards.formats.parquet import table_bytes
from tagmill.shards.storage.store import Store

CLOSED, OPEN = RobotsAnswer(rules="Disallow: /"), RobotsAnswer()
DOWN = RobotsAnswer(reason=Reason.TIMEOUT, detail="robots.txt: late")
URL_A = URL("http://a/x")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def may(found: RobotsRules | RobotsAnswer | None) -> bool | Reason | None:
    return found.allow(URL_A) if isinstance(found, RobotsRules) else found.reason if found else None


def refuse(sha256: str) -> str:
    raise AssertionError(sha256)


def test_the_cache_of_a_part_reads_stored_answers(tmp_path: Path) -> None:
    store, long = Store(str(tmp_path)), "Disallow: /x"
    store.put(long_rules_file("ab" * 32), long.encode())
    rows = [
        {"part": 3, "origin": "http://a", "reason": None, "detail": None, "rules": "Disallow: /", "kept": ""},
        {"part": 3, "origin": "http://b", "reason": "timeout", "detail": "robots.txt: late", "rules": "", "kept": ""},
        {"part": 3, "origin": "http://c", "reason": None, "detail": None, "rules": "", "kept": "ab" * 32},
        {"part": 3, "origin": "http://d", "reason": None, "detail": None, "rules": "", "kept": ""},
    ]
    store.put(rules_file(3), table_bytes(rows, LISTED))
    book = open_robots_cache(store, 3, RedirectCache(60.0))
    assert [may(book.cached(f"http://{host}")) for host in "abcde"] == [False, Reason.TIMEOUT, None, True, None]

    async def never(origin: str) -> RobotsAnswer:
        raise AssertionError(origin)

    assert may(asyncio.run(book.look_up("http://c", never))) is False
    assert may(book.cached("http://c")) is False  # from now on
    assert book.cached("http://b") == DOWN
    assert (
        may(open_robots_cache(store, 4, RedirectCache(60.0)).cached("http://a")) is None
    )  # a part without stored answers


def test_concurrent_look_ups_share_one_request() -> None:
    met, asked = RedirectCache(60.0), []

    async def ask(origin: str) -> RobotsAnswer:
        asked.append(origin)
        await asyncio.sleep(0.01)
        return CLOSED if origin == "http://a" else DOWN

    async def run() -> None:
        book = RobotsCache({}, refuse, met)
        found = await asyncio.gather(*(book.look_up(origin, ask) for origin in ["http://a", "http://b"] * 10))
        assert [may(one) for one in found] == [False, Reason.TIMEOUT] * 10
        await book.close()

    asyncio.run(run())
    asyncio.run(run())  # another part of the same process
    assert asked == ["http://a", "http://b"]


def test_a_cancelled_look_up_does_not_cancel_others() -> None:
    async def run() -> None:
        met = RedirectCache(60.0)
        book = RobotsCache({}, refuse, met)

        async def ask(origin: str) -> RobotsAnswer:
            await asyncio.sleep(0.1)
            return CLOSED

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await book.look_up("http://a", ask)
        assert may(await book.look_up("http://a", ask)) is False

        async def hang(origin: str) -> RobotsAnswer:
            await asyncio.sleep(3600)
            raise AssertionError

        waiting = asyncio.create_task(book.look_up("http://b", hang))
        await asyncio.sleep(0.01)
        await book.close()  # ends at once
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(run())


def test_answers_expire_and_refusals_sooner() -> None:
    clock = Clock()
    met = RedirectCache(86400.0, clock=clock)
    met.put("http://a", CLOSED)
    met.put("http://b", DOWN)
    clock.now += REFUSED_SECONDS - 1
    assert [met.get("http://a"), met.get("http://b")] == [CLOSED, DOWN]
    clock.now += 1
    assert [met.get("http://a"), met.get("http://b")] == [CLOSED, None]
    clock.now += 86400
    assert met.get("http://a") is None


def test_the_number_of_hosts_is_bounded() -> None:
    met = RedirectCache(60.0, max_hosts=3)
    for number in range(9):
        met.put(f"http://{number}", OPEN)
        met.get("http://0")
    assert [number for number in range(9) if met.get(f"http://{number}")] == [0, 7, 8]
    big = RedirectCache(60.0)
    for number in range(9):
        big.put(f"http://{number}", RobotsAnswer(rules="Allow: /" + "x" * 500_000))
    assert [number for number in range(9) if big.get(f"http://{number}")] == [5, 6, 7, 8]
