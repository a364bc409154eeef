"""Tests hedged requests: which answer is used, and how many requests there may be."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tagmill.shards.storage import hedge
from tagmill.shards.storage.counters import STORE_COUNTERS
from tagmill.shards.storage.hedge import BURST, KNOWN, SHARE, Hedge, LatencyTracker, hedged, unhedged
from tagmill.shards.storage.store import Store
from tests.shards.faults import Faults, faulty
from tests.shards.objectstore import ObjectStore


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets a limit of 50 ms, without measurements, so that a test does not wait long."""
    monkeypatch.setattr(hedge, "FIRST_SECONDS", 0.05)


@pytest.fixture
def silent() -> threading.Event:
    """Yields an event that is set at the end of the test: until then requests that wait for it hang."""
    return threading.Event()


def test_a_late_request_is_repeated_and_the_first_answer_is_used(silent: threading.Event) -> None:
    asked = []

    def request() -> str:
        asked.append(None)
        if len(asked) == 1:
            silent.wait(60)
            return "late"
        return "soon"

    assert Hedge().call(4096, request) == "soon"
    silent.set()
    assert len(asked) == 2


def test_the_first_may_still_win_and_an_error_is_not_an_answer(silent: threading.Event) -> None:
    asked = []

    def request() -> str:
        asked.append(None)
        if len(asked) == 1:
            silent.wait(60)
            return "first"
        threading.Timer(0.02, silent.set).start()
        raise ConnectionResetError("the second")

    assert Hedge().call(4096, request) == "first"
    assert len(asked) == 2


def test_errors_are_those_of_the_request(silent: threading.Event) -> None:
    hedge_of_test = Hedge()
    for error in (FileNotFoundError("a"), ZeroDivisionError("ours")):

        def fails(error: Exception = error) -> None:
            raise error

        with pytest.raises(type(error)):
            hedge_of_test.call(1, fails)


@pytest.mark.parametrize("count", [20, 200])
def test_second_requests_stay_within_their_share(count: int) -> None:
    """Every request is late, and so is every second one: there is one answer for each."""
    hedge_of_test, asked, lock = Hedge(), [0], threading.Lock()

    def request() -> int:
        with lock:
            asked[0] += 1
        threading.Event().wait(0.06)
        return 1

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(lambda _: hedge_of_test.call(4096, request), range(count))) == count
    extra = asked[0] - count
    assert 1 <= extra <= SHARE * count + BURST


def test_threads_are_bounded_and_requests_do_not_wait_for_one(
    silent: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hedge, "SLOTS", 3)
    hedge_of_test, began = Hedge(), threading.Semaphore(0)

    def stuck() -> bool:
        began.release()
        return silent.wait(60)

    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(hedge_of_test.call, 4096, stuck) for _ in range(3)]
        for _ in waiting:
            assert began.acquire(timeout=20)
        assert hedge_of_test.call(4096, lambda: "its own thread") == "its own thread"
        silent.set()
        assert all(each.result(20) for each in waiting)


def test_the_usual_latency() -> None:
    usual, draw = LatencyTracker(), random.Random(1)
    assert usual.late == hedge.FIRST_SECONDS
    for _ in range(KNOWN):
        usual.add(0.001)
    assert usual.late == hedge.FLOOR_SECONDS
    for _ in range(1000):
        usual.add(30.0 if draw.random() < 0.01 else draw.uniform(0.09, 0.1))
    assert 0.27 < usual.late < 0.31, "one answer in a hundred that takes half a minute is not usual"


def test_stalled_requests_are_not_waited_for(
    s3_service: ObjectStore, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1 % of the requests are never answered: every read returns its bytes, none after a retry (hence after a timeout)."""
    Store(s3_bucket).put("a", bytes(100_000))
    monkeypatch.setattr(hedge, "_OF_PROCESS", {})
    for name in ("FIRST_SECONDS", "FLOOR_SECONDS"):  # more than a busy machine takes
        monkeypatch.setattr(hedge, name, 0.4)
    with faulty(s3_service.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        store = Store(s3_bucket)
        before = STORE_COUNTERS.counts()
        assert len(store.read_range("a", 0, 4000)) == 4000
        proxy.forget()
        proxy.faults = Faults(stall=0.01, once=True, seed=5)
        with ThreadPoolExecutor(8) as pool:
            reads = pool.map(lambda start: store.read_range("a", start, start + 4000, 100_000), range(1000))
            assert all(len(data) == 4000 for data in reads)
        asked = STORE_COUNTERS.counts() - before
        assert proxy.counts()["stall"] >= 4
        assert asked["retries"] == 0
        assert proxy.counts()["stall"] <= asked["hedges"] <= SHARE * 1000 + BURST
        assert 1000 <= len(proxy.requests) <= 1000 + asked["hedges"]


def test_a_process_has_one_hedge() -> None:
    assert hedged(1, lambda: threading.current_thread().name).startswith("tagmill-request")
    assert len(hedge._OF_PROCESS) == 1


def test_a_thread_may_make_its_own_requests() -> None:
    """Inside the block only, and only that thread."""
    own = threading.get_ident()
    with unhedged(), unhedged():
        assert hedged(4096, threading.get_ident) == hedged(None, threading.get_ident) == own
        with ThreadPoolExecutor(1) as pool:
            other, there = pool.submit(lambda: (threading.get_ident(), hedged(4096, threading.get_ident))).result()
        assert there not in (own, other)
    assert hedged(4096, threading.get_ident) != own
