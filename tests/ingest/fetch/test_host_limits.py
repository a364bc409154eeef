"""Requests per host are limited and spaced, and the circuit breaker opens, half-opens, closes and backs off."""

import asyncio
import math
import time
from collections import Counter

import pytest

from tagmill.ingest.fetch import host_limits
from tagmill.ingest.fetch.host_limits import (
    DOWN_INTERVAL,
    MAX_BACKOFF,
    MAX_BACKOFFS,
    OPEN_INTERVALS,
    CircuitBreaker,
    HostSlots,
)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def fail(breaker: CircuitBreaker, host: str, times: int) -> None:
    for _ in range(times):
        assert breaker.wait(host) == 0
        breaker.record(host, answered=False)


def test_repeated_failures_open_the_breaker_of_one_host_only(clock: Clock) -> None:
    breaker = CircuitBreaker(3, clock)
    fail(breaker, "a", 3)
    fail(breaker, "b", 2)
    assert [breaker.wait(host) for host in "abc"] == [math.inf, 0, 0]


def test_an_answer_resets_the_failures(clock: Clock) -> None:
    breaker = CircuitBreaker(3, clock)
    for _ in range(5):
        fail(breaker, "a", 2)
        breaker.record("a", answered=True)
    assert breaker.wait("a") == 0


def test_a_probe_after_the_interval_closes_or_reopens(clock: Clock) -> None:
    breaker = CircuitBreaker(2, clock)
    fail(breaker, "a", 2)
    clock.now += DOWN_INTERVAL - 1
    assert breaker.wait("a") == math.inf
    clock.now += 1
    assert [breaker.wait("a") for _ in range(3)] == [0, math.inf, math.inf]
    clock.now += 10
    breaker.record("a", answered=False)
    clock.now += DOWN_INTERVAL - 1
    assert breaker.wait("a") == math.inf
    clock.now += 1
    assert breaker.wait("a") == 0
    breaker.record("a", answered=True)
    assert breaker.wait("a") == breaker.wait("a") == 0
    fail(breaker, "a", 2)  # from the beginning


def test_a_lost_probe_is_followed_by_another(clock: Clock) -> None:
    breaker = CircuitBreaker(1, clock)
    fail(breaker, "a", 1)
    for _ in range(3):
        clock.now += DOWN_INTERVAL
        assert [breaker.wait("a"), breaker.wait("a")] == [0, math.inf]


def test_a_host_that_has_answered_gets_several_intervals_before_it_is_down(clock: Clock) -> None:
    breaker = CircuitBreaker(2, clock)
    for _ in range(2):  # an answer resets the intervals
        breaker.record("a", answered=True)
        fail(breaker, "a", 2)
        breaker.record("a", answered=False)  # a request in flight: no interval of its own
        for pause in OPEN_INTERVALS:
            assert breaker.wait("a") == pause
            clock.now += pause
            assert breaker.wait("a") == 0
            assert 0 < breaker.wait("a") < math.inf  # others wait for the probe
            breaker.record("a", answered=False)
        assert breaker.wait("a") == math.inf
        clock.now += DOWN_INTERVAL
        assert breaker.wait("a") == 0


def test_a_requested_backoff_is_kept(clock: Clock) -> None:
    breaker = CircuitBreaker(1, clock)
    breaker.back_off("a", 7.0)
    breaker.back_off("a", 3.0)
    assert (breaker.wait("a"), breaker.wait("b")) == (7.0, 0)
    breaker.record("a", answered=True)  # one that was in flight
    assert breaker.wait("a") == 7.0
    clock.now += 7.0
    assert breaker.wait("a") == 0
    breaker.back_off("a", 1e9)
    assert breaker.wait("a") == MAX_BACKOFF


def test_a_host_with_too_many_backoffs_is_down(clock: Clock) -> None:
    breaker = CircuitBreaker(1, clock)
    for _ in range(MAX_BACKOFFS):
        for _ in range(9):
            breaker.back_off("a", 5.0)  # a burst counts as one backoff
        assert breaker.wait("a") == 5.0
        clock.now += 5.0
    breaker.back_off("a", 5.0)
    assert breaker.wait("a") == math.inf
    clock.now += 5.0
    assert breaker.wait("a") == 0
    breaker.record("a", answered=True)
    breaker.back_off("a", 5.0)
    assert breaker.wait("a") == 5.0


def test_the_number_of_hosts_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_limits, "MAX_KNOWN_HOSTS", 2)
    breaker = CircuitBreaker(1, clock)
    for host in "abc":
        fail(breaker, host, 1)
    assert [breaker.wait(host) for host in "abc"] == [0, math.inf, math.inf]


def held(slots: HostSlots, names: list[str]) -> tuple[int, int]:
    """Takes a slot for every name at once. Returns the most that were held at one host, and over all."""
    now: dict[str, int] = dict.fromkeys(names, 0)
    most = [0, 0]

    async def one(name: str) -> None:
        async with slots.slot(name):
            now[name] += 1
            most[:] = max(most[0], now[name]), max(most[1], sum(now.values()))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            now[name] -= 1

    async def all_of_them() -> None:
        await asyncio.gather(*map(one, names))

    asyncio.run(all_of_them())
    assert not any(now.values())
    return most[0], most[1]


@pytest.mark.parametrize("at_once", [1, 3])
def test_slots_are_limited_per_host(at_once: int) -> None:
    slots = HostSlots(at_once)
    assert held(slots, ["a"] * 20 + ["b"] * 20) == (at_once, 2 * at_once)
    assert not slots._hosts  # hosts without users are forgotten


def test_a_slot_is_released_after_errors_and_cancellation() -> None:
    slots = HostSlots(1)

    async def use() -> None:
        for _ in range(3):
            with pytest.raises(KeyError):
                async with slots.slot("a"):
                    raise KeyError
        waiting = asyncio.create_task(slots.slot("a").__aenter__())
        async with slots.slot("a"):
            await asyncio.sleep(0)
            waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        async with slots.slot("a"):
            pass

    asyncio.run(asyncio.wait_for(use(), 30))
    assert not slots._hosts


def test_requests_of_a_host_are_spaced_and_those_of_another_are_not() -> None:
    slots = HostSlots(8, gap=0.05)
    begun: dict[str, list[float]] = {"a": [], "b": []}

    async def one(name: str) -> None:
        async with slots.slot(name):
            await slots.pace(name)
            begun[name].append(time.monotonic())

    async def all_of_them() -> None:
        await asyncio.gather(*(one(name) for name in "abababab"))

    start = time.monotonic()
    asyncio.run(all_of_them())
    for times in begun.values():
        for number, at in enumerate(sorted(times)):
            assert at - start >= 0.05 * number - 0.001  # none before its time; how late depends on the machine


def test_hosts_whose_gap_is_over_are_forgotten() -> None:
    slots = HostSlots(1, gap=1e-9)

    async def use() -> None:
        for number in range(5000):
            async with slots.slot(f"{number}"):
                await slots.pace(f"{number}")

    asyncio.run(use())
    assert len(slots._hosts) <= 1024


def test_a_host_may_ask_for_a_longer_gap_than_the_run_keeps() -> None:
    async def run() -> None:
        slots, begun = HostSlots(2, gap=0.01), []
        start = time.monotonic()  # not the first of `begun`: it may be late, and the last is not later for it

        async def one(host: str, gap: float) -> None:
            async with slots.slot(host):
                await slots.pace(host, gap)
                begun.append((host, time.monotonic()))

        await asyncio.gather(*(one("slow", 0.2) for _ in range(4)), *(one("quick", 0.0) for _ in range(4)))
        slow = [when for host, when in begun if host == "slow"]
        assert slow[-1] - start >= 0.59
        assert [host for host, _ in begun].index("slow") < 8 and begun[-1][0] == "slow"

    asyncio.run(run())


def test_a_gap_outlives_its_slot_and_is_forgotten_when_it_is_over() -> None:
    async def run() -> None:
        slots, begun, start = HostSlots(1), [], time.monotonic()
        for _ in range(3):
            async with slots.slot("a"):
                await slots.pace("a", 0.2)
                begun.append(time.monotonic())
        assert begun[2] - start >= 0.39
        async with slots.slot("b"):
            await slots.pace("b")
        assert "b" not in slots._hosts
        async with slots.slot("c"):
            await slots.pace("c", 3600)
        assert "c" in slots._hosts
        await asyncio.sleep(0.21)
        async with slots.slot("a"):
            pass
        assert "a" not in slots._hosts and "c" in slots._hosts

    asyncio.run(run())


def test_a_host_that_is_owned_has_the_whole_limits_and_another_its_share() -> None:
    """Of 4 slots over 4 processes one is this process's; a gap is as many times longer."""
    slots = HostSlots(4, gap=0.05, workers=4, owned=frozenset(["mine"]))
    at_once, most, begun = Counter[str](), Counter[str](), dict[str, list[float]](mine=[], theirs=[])

    async def one(host: str) -> None:
        async with slots.slot(host):
            await slots.pace(host)
            begun[host].append(time.monotonic())
            at_once[host] += 1
            most[host] = max(most[host], at_once[host])
            while len(begun["mine"]) < 4:  # none leaves before all four are in
                await asyncio.sleep(0.001)
            at_once[host] -= 1

    async def all_of_them() -> None:
        await asyncio.gather(*(one(host) for host in ["mine"] * 4 + ["theirs"] * 3))

    start = time.monotonic()
    asyncio.run(asyncio.wait_for(all_of_them(), 60))
    assert most == {"mine": 4, "theirs": 1}
    assert all(at - start >= 0.2 * number - 0.001 for number, at in enumerate(begun["theirs"]))
    assert all(at - start >= 0.05 * number - 0.001 for number, at in enumerate(begun["mine"]))
