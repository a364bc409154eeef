"""Tests the wait of many ranks before their first request."""

from pathlib import Path

import pytest

from tagmill.pipeline import Loader, LoaderConfig, World, loader, start_wait
from tagmill.pipeline.start_wait import LONGEST_WAIT_SECONDS, RANKS_A_SECOND, wait_to_start
from tagmill.shards import CorpusError
from tests.pipeline.corpora import make_corpus


@pytest.mark.parametrize(
    ("ranks", "longest"), [(2, 2 / RANKS_A_SECOND), (336, 336 / RANKS_A_SECOND), (100_000, LONGEST_WAIT_SECONDS)]
)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_the_wait_grows_with_the_ranks(ranks: int, longest: float, share: float) -> None:
    slept: list[float] = []
    wait_to_start(ranks, draw=lambda: share, sleep=slept.append)
    assert slept == [share * longest]


def test_one_rank_does_not_wait() -> None:
    wait_to_start(1, draw=lambda: pytest.fail("drawn"), sleep=lambda seconds: pytest.fail("slept"))


def test_waits_differ_although_a_script_seeds_its_random_numbers() -> None:
    slept: list[float] = []
    for _ in range(8):
        wait_to_start(1000, sleep=slept.append)
    assert len(set(slept)) == 8 and all(0 <= each < 10 for each in slept)


def test_a_loader_waits_before_it_asks_a_remote_store_and_not_for_a_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(loader, "wait_to_start", asked.append)
    made = make_corpus(tmp_path, [64])
    with Loader(made.url, LoaderConfig(batch_size=8), World(0, 4)):
        assert asked == []
    with pytest.raises(CorpusError, match="no corpus here"):
        Loader("memory://nothing-here", LoaderConfig(batch_size=8), World(1, 4))
    assert asked == [4]
    assert start_wait.wait_to_start is not loader.wait_to_start
