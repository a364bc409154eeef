"""The contract of commits at once, in addition to `contract`: of several writers exactly one wins, each time."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import pytest

from tagmill.shards.manifest import Corpus, CorpusFile, Named, commit
from tagmill.shards.storage.store import Store
from tests.shards.writers import count_up, race, race_to_commit, race_to_exchange

T = TypeVar("T")
CONTENDERS, PATIENCE = 4, 200
ROUNDS = int(os.environ.get("TAGMILL_RACES", "25"))  # 100 take a minute against Ceph


class Racers:
    """Contenders with an executor of their own, and what they wait at for each other."""

    def __init__(self, executor: Executor, barrier: Callable[[int], threading.Barrier]) -> None:
        self._executor, self._barrier = executor, barrier

    def race(
        self, begin: Callable[[Callable[..., Future[T]], threading.Barrier], list[Future[T]]], many: int
    ) -> list[T]:
        """Returns what each contender returns; `begin` starts them by its first argument, with the barrier that is its
        second."""
        return [future.result(PATIENCE) for future in begin(self._ask, self._barrier(many))]

    def _ask(self, run: Callable[..., T], *arguments: object) -> Future[T]:
        return self._executor.submit(_with_environment, dict(os.environ), run, *arguments)


def _with_environment(environment: dict[str, str], run: Callable[..., T], *arguments: object) -> T:
    """The contenders live longer than a test, whose fixtures say in the environment where its service is."""
    os.environ.clear()
    os.environ.update(environment)
    return run(*arguments)


@contextmanager
def racing_processes() -> Iterator[Racers]:
    """Each contender is a process of its own, forked from one without threads and clients that has imported the store."""
    context = multiprocessing.get_context("forkserver")
    with context.Manager() as manager, ProcessPoolExecutor(CONTENDERS, context) as processes:
        yield Racers(processes, manager.Barrier)


@pytest.fixture(scope="module")
def racers() -> Iterator[Racers]:
    with racing_processes() as racers:
        yield racers


class RacingContract:
    """For stores that other processes can see, and whose `exchange` is one conditional request. A subclass has a
    fixture `store`, and its module the fixture `racers` of this one."""

    def test_of_many_puts_exactly_one_wins(self, store: Store, racers: Racers) -> None:
        won = one_of_many_wins(store, racers, race, ROUNDS)
        assert all(len(of_one) < ROUNDS for of_one in won), "no race: one contender had all"

    def test_no_exchange_is_lost(self, store: Store, racers: Racers) -> None:
        """Four contenders increment the same number; a store that only compares before the put, as in memory, would lose
        some."""
        store.put("count", b"0")
        racers.race(lambda ask, _: [ask(count_up, store, 25) for _ in range(CONTENDERS)], CONTENDERS)
        assert store.read("count") == b"100"

    @pytest.mark.slow
    def test_of_many_exchanges_exactly_one_wins(self, store: Store, racers: Racers) -> None:
        """Each content names the one that it replaced, so a lost one would break the chain."""
        store.put("head", b"the first")
        mine = [b"contender %d" % i for i in range(CONTENDERS)]
        won = racers.race(
            lambda ask, ready: [ask(race_to_exchange, store, "head", ROUNDS, each, ready) for each in mine], CONTENDERS
        )
        assert all(len(of_one) < ROUNDS for of_one in won), "no race: one contender had all"
        chain = sorted((each for of_one in won for each in of_one), key=lambda each: int(each.split()[0]))
        assert [int(each.split()[0]) for each in chain] == list(range(ROUNDS)), "one winner a round"
        for before, after in zip([b"the first", *chain], chain, strict=False):
            assert after.endswith(b", after " + before.partition(b",")[0])
        assert store.read("head") == chain[-1]

    @pytest.mark.slow
    def test_of_two_commits_exactly_one_wins(self, store: Store, racers: Racers) -> None:
        """Each generation names the one that it replaced."""
        commit(store, CorpusFile("ours", Named("manifests/none.parquet", "1" * 64), {}, seed=-1))
        won = racers.race(lambda ask, ready: [ask(race_to_commit, store, ROUNDS, mine, ready) for mine in (1, 2)], 2)
        assert all(len(of_one) < ROUNDS for of_one in won), "no race: one contender had all"
        chain = sorted((each for of_one in won for each in of_one), key=lambda each: each.seed)
        assert [each.seed // 10 for each in chain] == list(range(ROUNDS)), "one winner a round"
        assert [each.lineage[0]["before"] for each in chain] == [-1, *(each.seed for each in chain[:-1])]
        assert Corpus.open(store.url).file == chain[-1] and store.names("") == ["corpus.json"]


def one_of_many_wins(store: Store, racers: Racers, run: Callable[..., list[str]], count: int) -> list[list[str]]:
    """All contenders put different bytes under the same `count` names; returns the names that each of them won."""
    names = [f"race/{i}" for i in range(count)]
    contents = [b"contender %d " % i * 2000 for i in range(CONTENDERS)]
    won = racers.race(lambda ask, ready: [ask(run, store, names, each, ready) for each in contents], CONTENDERS)
    assert sorted(name for of_one in won for name in of_one) == sorted(names), "one winner a name"
    for content, of_one in zip(contents, won, strict=True):
        assert all(store.read(name) == content for name in of_one)
    assert store.names("") == sorted(names)
    return won
