"""The contract of commits at once, in addition to `contract`: of several writers exactly one wins, each time."""

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

import pytest

from tagmill.shards.manifest import Corpus, CorpusFile, Named, commit
from tagmill.shards.storage.store import Store
from tests.shards.writers import race, race_to_commit, race_to_exchange

T = TypeVar("T")
CONTENDERS, ROUNDS, PATIENCE = 4, 100, 200


class RacingContract:
    """For stores that other processes can see, and whose `exchange` is one conditional request. A subclass has a
    fixture `store`."""

    def test_of_many_puts_exactly_one_wins(self, store: Store) -> None:
        names = [f"race/{i}" for i in range(ROUNDS)]
        contents = [b"contender %d " % i * 200 for i in range(CONTENDERS)]
        won = raced(lambda ask, ready: [ask(race, store, names, each, ready) for each in contents])
        assert sorted(name for of_one in won for name in of_one) == sorted(names), "one winner a name"
        assert all(len(of_one) < ROUNDS for of_one in won), "no race: one contender had all"
        for content, of_one in zip(contents, won, strict=True):
            assert all(store.read(name) == content for name in of_one)
        assert store.names("") == sorted(names)

    @pytest.mark.slow
    def test_of_many_exchanges_exactly_one_wins(self, store: Store) -> None:
        """Each content names the one that it replaced, so a lost one would break the chain."""
        store.put("head", b"the first")
        mine = [b"contender %d" % i for i in range(CONTENDERS)]
        won = raced(lambda ask, ready: [ask(race_to_exchange, store, "head", ROUNDS, each, ready) for each in mine])
        assert all(len(of_one) < ROUNDS for of_one in won), "no race: one contender had all"
        chain = sorted((each for of_one in won for each in of_one), key=lambda each: int(each.split()[0]))
        assert [int(each.split()[0]) for each in chain] == list(range(ROUNDS)), "one winner a round"
        for before, after in zip([b"the first", *chain], chain, strict=False):
            assert after.endswith(b", after " + before.partition(b",")[0])
        assert store.read("head") == chain[-1]

    @pytest.mark.slow
    def test_of_two_commits_exactly_one_wins(self, store: Store) -> None:
        """Each generation names the one that it replaced."""
        commit(store, CorpusFile("ours", Named("manifests/none.parquet", "1" * 64), {}, seed=-1))
        won = raced(lambda ask, ready: [ask(race_to_commit, store, ROUNDS, mine, ready) for mine in (1, 2)], 2)
        assert all(len(of_one) < ROUNDS for of_one in won), "no race: one contender had all"
        chain = sorted((each for of_one in won for each in of_one), key=lambda each: each.seed)
        assert [each.seed // 10 for each in chain] == list(range(ROUNDS)), "one winner a round"
        assert [each.lineage[0]["before"] for each in chain] == [-1, *(each.seed for each in chain[:-1])]
        assert Corpus.open(store.url).file == chain[-1] and store.names("") == ["corpus.json"]


def raced(
    begin: Callable[[Callable[..., Future[T]], threading.Barrier], list[Future[T]]], contenders: int = CONTENDERS
) -> list[T]:
    """Returns what each contender returns; `begin` starts them by its first argument, each in a process of its own, with
    the barrier that is its second."""
    spawn = multiprocessing.get_context("spawn")
    with spawn.Manager() as manager, ProcessPoolExecutor(contenders, spawn) as processes:
        return [future.result(PATIENCE) for future in begin(processes.submit, manager.Barrier(contenders))]
