"""Which hosts take the time: found whatever else comes, in memory of a fixed size."""

import json
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.progress.host_times import HOSTS_REPORTED, MOST_HOST_NAME, FetchStats, HostLatency, HostTime

NOTED = st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.integers(0, 50), st.integers(0, 9)), max_size=200)


@given(NOTED, st.integers(1, 8))
def test_a_host_of_more_than_its_share_is_never_missed_and_no_host_is_blamed_for_another(
    noted: list[tuple[str, int, int]], slots: int
) -> None:
    waits, truth = HostLatency(slots), Counter[str]()
    for host, seconds, size in noted:
        waits.note(host, float(seconds), size)
        truth[host] += seconds
    traffic = waits.traffic()
    assert traffic.size == sum(size for *_, size in noted) and traffic.seconds == truth.total()
    assert len(traffic.slowest) <= slots
    told = {each.host: each.seconds for each in traffic.slowest}
    assert all(0 <= seconds <= truth[host] for host, seconds in told.items())
    assert all(host in told for host, seconds in truth.items() if seconds > truth.total() / slots)


def test_few_hosts_are_counted_exactly_and_sorted_slowest_first() -> None:
    waits = HostLatency()
    for number in range(100):
        waits.note(f"h{number % 20}", float(number % 20), 1)
    slowest = waits.traffic().slowest
    assert slowest == tuple(HostTime(f"h{n}", 5.0 * n, 5) for n in range(19, 19 - HOSTS_REPORTED, -1))
    assert slowest[0].mean == 19.0


def test_traffic_of_several_workers_is_one() -> None:
    first = FetchStats(5, 2.0, (HostTime("a", 1.5, 3), HostTime("b", 0.5, 1)))
    both = FetchStats.sum([first, FetchStats(7, 9.0, (HostTime("b", 9.0, 2),))])
    assert both == FetchStats(12, 11.0, (HostTime("b", 9.5, 3), HostTime("a", 1.5, 3)))
    assert FetchStats.of(json.loads(json.dumps(both.as_json()))) == both
    assert FetchStats.sum([]) == FetchStats() == FetchStats.of({})


def test_many_hosts_and_long_names_are_cut() -> None:
    waits = HostLatency()
    for number in range(300):
        waits.note(f"{number:03d}" + "x" * 400, 123456.789, 10**9)
    assert all(len(each.host) == MOST_HOST_NAME for each in waits.traffic().slowest)
    many = FetchStats(1, 1.0, tuple(HostTime(str(number), 1.0, 1) for number in range(1000)))
    assert len(many.as_json()["hosts"]) == HOSTS_REPORTED
