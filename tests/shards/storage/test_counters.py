"""Tests the counters of a process: threads lose nothing, and returned counts do not change."""

import threading

from tagmill.shards.storage.counters import StoreCounters


def test_threads_lose_nothing() -> None:
    traffic = StoreCounters()
    threads = [
        threading.Thread(target=lambda: [traffic.add(retries=1, hedges=2) for _ in range(2000)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    before = traffic.counts()
    assert before == {"retries": 8000, "hedges": 16000}
    traffic.add(retries=1)
    assert before["retries"] == 8000 and traffic.counts() - before == {"retries": 1}
