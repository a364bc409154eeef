"""A lease is taken by one run at a time; one that is no longer renewed is taken over, and its run finds out."""

import json
import os
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace

import pytest

from tagmill.ingest.layout import RUN_FILE
from tagmill.ingest.sole_run.lease import LOOK_SECONDS, SILENT_SECONDS, Lease, leased
from tagmill.ingest.sole_run.processes import begun_of, this_process
from tagmill.shards.errors import CorpusError, StoreError
from tagmill.shards.storage.store import Store

NEVER = 1e6  # seconds between renewals


@pytest.fixture
def store() -> Store:
    return Store(f"memory://{secrets.token_hex(8)}")


def waits(then: Callable[[int], object] = lambda _: None) -> tuple[list[float], Callable[[float], None]]:
    """Returns a list of seconds and a `wait` that notes them instead, and calls `then` with their number."""
    waited = list[float]()

    def wait(seconds: float) -> None:
        waited.append(seconds)
        then(len(waited))

    return waited, wait


def there(store: Store) -> Lease:
    found = Lease.parse(store.read(RUN_FILE))
    assert found is not None
    return found


def of_elsewhere(store: Store) -> Lease:
    """A lease of a run on another machine."""
    lease = Lease("0123", "far-away", {"machine": "another", "pid": "1", "begun": "1"}, "2026-01-01T00:00:00+00:00")
    assert store.put_new(RUN_FILE, lease.data())
    return lease


def test_it_is_there_during_the_block_and_gone_after_it(store: Store) -> None:
    with leased(store, NEVER) as check:
        assert there(store).process == this_process()
        check()
    assert not store.exists(RUN_FILE)


def test_one_of_this_process_that_has_ended_is_taken_over_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its store failed when it would have given the lease back."""

    def failing(self: Store, name: str) -> None:
        raise StoreError("no answer", name, "try again")

    with monkeypatch.context() as patch, leased(store, NEVER):
        patch.setattr(Store, "delete", failing)
    before, (waited, wait) = there(store), waits()
    with leased(store, NEVER, wait) as check:
        assert there(store).token != before.token and waited == []
        check()
        with pytest.raises(CorpusError, match="another run is at work"), leased(store, NEVER, wait):
            pass
    assert not store.exists(RUN_FILE)


def test_it_is_released_after_an_error(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), leased(store, NEVER):
        raise ZeroDivisionError
    assert not store.exists(RUN_FILE)


def test_a_run_that_renews_is_left_alone(store: Store) -> None:
    other = of_elsewhere(store)
    renewed = replace(other, beats=1).data()
    waited, wait = waits(lambda times: times == 3 and store.put(RUN_FILE, renewed))
    with pytest.raises(CorpusError, match=r"another run is at work in this output, on far-away since 2026-01-01"):
        leased(store, NEVER, wait).__enter__()
    assert waited == [LOOK_SECONDS] * 3
    assert store.read(RUN_FILE) == renewed


def test_a_silent_run_of_another_machine_is_taken_over(store: Store) -> None:
    of_elsewhere(store)
    waited, wait = waits()
    with leased(store, NEVER, wait) as check:
        assert sum(waited) == SILENT_SECONDS
        assert there(store).process == this_process()
        check()


def test_a_run_that_ends_meanwhile_is_followed_at_once(store: Store) -> None:
    of_elsewhere(store)
    waited, wait = waits(lambda _: store.delete(RUN_FILE))
    with leased(store, NEVER, wait):
        assert len(waited) == 1


def test_a_run_of_this_machine_that_is_at_work_is_an_error_without_a_wait(store: Store) -> None:
    parent = {**this_process(), "pid": str(os.getppid()), "begun": begun_of(os.getppid())}
    store.put_new(RUN_FILE, Lease("1", "here", parent, "now").data())
    waited, wait = waits()
    with pytest.raises(CorpusError, match="another run is at work in this output, on here since now"):
        leased(store, NEVER, wait).__enter__()
    assert not waited


def test_a_run_of_this_machine_that_was_killed_is_followed_without_a_wait(store: Store) -> None:
    gone = this_process() | {"begun": "0"}
    store.put_new(RUN_FILE, replace(Lease("1", "here", {}, "now"), process=gone).data())
    waited, wait = waits()
    with leased(store, NEVER, wait):
        assert not waited


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"{}", json.dumps({"token": 1, "more": 2}).encode()])
def test_what_is_no_lease_is_replaced_at_once(store: Store, data: bytes) -> None:
    store.put(RUN_FILE, data)
    waited, wait = waits()
    with leased(store, NEVER, wait):
        assert not waited
        assert there(store).process == this_process()


def test_of_two_that_take_over_one_does(store: Store) -> None:
    other = of_elsewhere(store)
    fresh = Lease("4567", "third", {}, "now")
    last = round(SILENT_SECONDS / LOOK_SECONDS)
    reads = store.read(RUN_FILE)
    _, wait = waits(lambda times: times == last and store.put(RUN_FILE, fresh.data()))
    with pytest.raises(CorpusError, match="another run is at work"):
        leased(store, NEVER, wait).__enter__()
    assert asdict(there(store)) == asdict(fresh)
    assert reads == other.data()


def test_it_is_renewed_and_a_run_that_lost_it_finds_out(store: Store) -> None:
    with ExitStack() as stack:
        check = stack.enter_context(leased(store, beat_seconds=0.001))
        while there(store).beats < 2:
            check()
        taken = Lease("4567", "third", {}, "now")
        with pytest.raises(CorpusError, match="has taken this output over"):
            while True:
                store.put(RUN_FILE, taken.data())  # a renewal may come between: the stand-in compares before it writes
                check()
    assert there(store) == taken


def test_a_renewal_does_not_bring_back_what_the_run_has_deleted(store: Store) -> None:
    with leased(store, beat_seconds=0.001) as check:
        while there(store).beats < 1:
            check()
        while store.exists(RUN_FILE):
            store.delete(RUN_FILE)
        check()
    assert not store.exists(RUN_FILE)
