"""Tests one `for` over a loader: an epoch, its length, the start of the next, and what is kept between them."""

import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tagmill.pipeline import Batch, Loader, LoaderConfig, Mixture, World
from tagmill.pipeline.meters import OUTPUT
from tagmill.shards.errors import ConfigError, TagmillError
from tagmill.shards.view import ONE
from tests.pipeline.corpora import Made, make_corpus

REPEATS = np.random.default_rng(4).integers(0, 5 * ONE // 2, 61)
CONFIG = LoaderConfig(
    batch_size=12, streams=4, window=2, chunk=4, size=16, threads=2, readers=2, backend="cpu", seed=11
)
HOLDOUT: dict[str, Any] = {"split": "holdout", "augment": "eval", "batch_size": 4}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_corpus(tmp_path_factory.mktemp("epochs"), [30, 31], holdout=[13], repeats=REPEATS)


@pytest.fixture
def opened(made: Made) -> Iterator[Any]:
    """Returns a factory of loaders that are closed when the test ends."""
    loaders: list[Loader] = []

    def loader(**changes: Any) -> Loader:
        loaders.append(Loader(made.url, replace(CONFIG, **changes), World()))
        return loaders[-1]

    yield loader
    for one in loaders:
        one.close()


def facts(batch: Batch) -> tuple[list[int], bytes]:
    return batch.positions.tolist(), batch.images.contiguous().numpy().tobytes()


def place(loader: Loader) -> tuple[object, object]:
    state = loader.state_dict()
    return state["epoch"], state["turn"]


def keys(batches: Any) -> Counter[str]:
    return Counter(batch.key(row) for batch in batches for row in range(batch.count))


# ------------------------------------------------------------------------------------------------- One `for` is one epoch
@pytest.mark.parametrize("epochs", [None, 3])
def test_one_for_is_one_epoch_and_len_its_batches(made: Made, opened: Any, epochs: int | None) -> None:
    loader, stream = opened(epochs=epochs), opened()
    whole = iter(stream.endless())
    for epoch in range(3):
        assert place(loader) == (epoch, 0) and loader.samples_per_epoch == made.copies(epoch).sum()
        found, length = list(loader), len(loader) if epochs is None else None
        wanted = list(islice(whole, len(found)))
        assert [facts(batch) for batch in found] == [facts(batch) for batch in wanted]
        assert sum(batch.count for batch in found) == made.copies(epoch).sum()
        assert length is None or length == -(-int(made.copies(epoch + 1).sum()) // 12)
    assert place(loader) == (3, 0)


def test_len_is_the_whole_epoch_also_after_a_resume_in_its_middle(opened: Any) -> None:
    first = opened()
    batches = len(first)
    whole = [facts(batch) for batch in islice(first, 3)]
    assert len(first) == batches
    again = opened()
    again.load_state_dict(first.state_dict())
    assert len(again) == batches
    whole += [facts(batch) for batch in again]
    assert len(whole) == batches and place(again) == (1, 0)
    assert whole == [facts(batch) for batch in opened()]


def test_a_for_that_is_left_continues_in_the_next(opened: Any) -> None:
    wanted = [facts(batch) for batch in opened()]
    loader, found = opened(), []
    while place(loader)[0] == 0:
        for number, batch in enumerate(loader):
            found.append(facts(batch))
            if number == 2:
                break
    assert found == wanted


def test_after_the_last_epoch_every_for_raises_an_error(opened: Any) -> None:
    loader = opened(epochs=2)
    counts = [sum(1 for _ in loader), sum(1 for _ in loader)]
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"all 2 epochs are over.*rewind\(\)"):
            next(iter(loader))
    assert place(loader) == (2, 0) and len(loader) == counts[1]
    resumed = opened(epochs=2)
    resumed.load_state_dict(loader.state_dict())
    with pytest.raises(ConfigError, match="all 2 epochs are over"):
        list(resumed)
    longer = opened(epochs=3)
    longer.load_state_dict(loader.state_dict())
    assert sum(1 for _ in longer) and place(longer) == (3, 0)
    with pytest.raises(ConfigError, match="its one epoch is over"):
        list(once := opened(epochs=1)) + list(once)


def test_a_data_loader_around_it_has_the_same_epochs(opened: Any) -> None:
    around = DataLoader(opened(epochs=3), batch_size=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns if batches and length disagree
        for _ in range(3):
            length = len(around)
            assert sum(1 for _ in around) == length


def test_an_iteration_ended_by_another_raises_an_error_and_one_that_is_over_stops(opened: Any) -> None:
    loader = opened()
    first, wanted = iter(loader), [facts(batch) for batch in opened()]
    assert facts(next(first)) == wanted[0]
    second = iter(loader)
    assert facts(next(second)) == wanted[1]
    with pytest.raises(TagmillError, match="iterate again"):
        next(first)
    assert [facts(batch) for batch in second] == wanted[2:]  # the error of the first consumed no batch
    over = iter(loader)
    for _ in range(len(loader)):
        next(over)
    following = next(iter(loader))
    assert list(over) == [] and following.count and place(loader) == (2, 12)


@pytest.mark.parametrize("how", ["close", "load_state_dict", "rewind"])
def test_changes_of_the_state_end_the_iteration(opened: Any, how: str) -> None:
    loader = opened()
    iterator = iter(loader)
    next(iterator)
    loader.load_state_dict(loader.state_dict()) if how == "load_state_dict" else getattr(loader, how)()
    with pytest.raises(TagmillError, match="iterate again"):
        next(iterator)
    assert facts(next(iter(loader))) == [facts(batch) for batch in opened()][0 if how == "rewind" else 1]


def test_the_state_at_an_epochs_last_turn_is_the_next_epochs_first(made: Made, opened: Any) -> None:
    """Also if the last turns are dropped: nothing of the epoch is left, and an empty `for` would be one too many."""
    for drop_last in (False, True):
        loader = opened(drop_last=drop_last)
        loader.load_state_dict({**loader.state_dict(), "turn": int(made.copies(0).sum())})
        assert place(loader) == (1, 0)
        assert sum(batch.count for batch in loader) >= made.copies(1).sum() - 11


def test_an_epoch_without_a_sample_is_an_empty_for(tmp_path: Path) -> None:
    """If all repeats together are less than one sample, some epochs have one and some have none."""
    rare = make_corpus(tmp_path, [1], repeats=[ONE // 3])
    wanted = [int(rare.copies(epoch).sum()) for epoch in range(7)]
    assert set(wanted) == {0, 1}
    with Loader(rare.url, CONFIG, World()) as loader:
        for epoch, count in enumerate(wanted):
            assert place(loader) == (epoch, 0) and len(loader) == count
            assert sum(batch.count for batch in loader) == count


# ------------------------------------------------------------------------------------------------------------- Restarting
def test_an_evaluation_sees_the_whole_split_every_time(made: Made, opened: Any) -> None:
    """The held-out split restarts: after a whole pass, and after an interrupted one, as in Lightning's sanity check."""
    for epochs in (None, 1, 100):
        loader = opened(**HOLDOUT, epochs=epochs)
        wanted = [facts(batch) for batch in loader]
        assert len(wanted) == len(loader) == 4 and place(loader) == (1, 0)
        for left_after in (1, 4, 3):
            assert [facts(batch) for batch in islice(loader, left_after)] == wanted[:left_after]
            assert len(loader) == 4
            found = list(loader)
            assert [facts(batch) for batch in found] == wanted
            assert keys(found) == Counter(key.hex() for key in made.keys[-13:])


def test_restart_follows_the_split_unless_configured(opened: Any) -> None:
    assert LoaderConfig(split="holdout").restarts and not LoaderConfig().restarts
    goes_on = opened(**HOLDOUT, restart=False)
    two = [facts(batch) for batch in islice(goes_on, 2)]
    two += [facts(batch) for batch in goes_on]
    again = opened(**HOLDOUT)
    assert two == [facts(batch) for batch in again] and place(goes_on) == (1, 0)
    restarting = opened(restart=True)
    assert [facts(batch) for batch in restarting] == [facts(batch) for batch in restarting]
    stream = opened(restart=True).endless()
    assert [facts(batch) for batch in islice(stream, 3)] == [facts(batch) for batch in islice(stream, 3)]


def test_the_first_for_after_a_loaded_state_resumes_there(opened: Any) -> None:
    loader = opened(**HOLDOUT)
    wanted = [facts(batch) for batch in loader]
    next(iter(loader))
    state = loader.state_dict()
    other = opened(**HOLDOUT)
    other.load_state_dict(state)
    assert len(other) == 4
    assert [facts(batch) for batch in other] == wanted[1:] and place(other) == (1, 0)
    assert [facts(batch) for batch in other] == wanted
    other.load_state_dict(state)
    other.rewind()
    assert [facts(batch) for batch in other] == wanted


def test_a_state_after_the_last_epoch_restarts(opened: Any) -> None:
    """The saved state of a finished evaluation must not end a resumed run."""
    loader = opened(**HOLDOUT, epochs=1)
    wanted = [facts(batch) for batch in loader]
    other = opened(**HOLDOUT, epochs=1)
    other.load_state_dict(loader.state_dict())
    assert len(other) == 4 and [facts(batch) for batch in other] == wanted
    without_end = opened(**HOLDOUT)
    without_end.load_state_dict(loader.state_dict())
    second = list(without_end)
    assert keys(second).total() == 13 and place(without_end) == (2, 0)
    assert [facts(batch) for batch in without_end] == wanted


# ---------------------------------------------------------------------------------------------------------------- Mixture
def test_a_mixture_has_no_epochs_and_the_error_names_endless(made: Made, tmp_path: Path) -> None:
    other = make_corpus(tmp_path, [20], seed=1)
    with Loader(Mixture((made.url, 2), (other.url, 1)), CONFIG, World()) as loader:
        with pytest.raises(ConfigError, match=r"loader\.endless\(\)"):
            next(iter(loader))
        with pytest.raises(ConfigError, match=r"loader\.endless\(\)"):
            list(loader)
        with pytest.raises(TypeError, match=r"loader\.endless\(\)"):
            len(loader)
        assert len(list(islice(loader.endless(), 20))) == 20
        around = DataLoader(loader.endless(), batch_size=None)
        assert len(list(islice(around, 3))) == 3 and place(loader) == (0, 23 * 12)


def test_endless_is_refused_if_epochs_are_limited(opened: Any) -> None:
    with pytest.raises(ConfigError, match=r"endless\(\), and epochs = 2"):
        opened(epochs=2).endless()


def test_for_and_endless_continue_each_other(opened: Any) -> None:
    wanted = [facts(batch) for batch in islice(opened().endless(), 30)]
    loader = opened()
    found = [facts(batch) for batch in islice(loader.endless(), 3)]
    found += [facts(batch) for batch in loader]
    assert place(loader) == (1, 0)
    found += [facts(batch) for batch in islice(loader.endless(), 30 - len(found))]
    assert found == wanted


# ------------------------------------------------------------------------------------------------- What is kept
def test_threads_and_read_ahead_are_kept(opened: Any) -> None:
    before = set(threading.enumerate())
    loader = opened()
    for _ in range(2):
        list(loader)
    run, threads = loader._engine.run, set(threading.enumerate()) - before
    assert threads
    for epoch in range(2, 5):
        assert run is not None and run.at == (epoch, 0) and run._source._prefetcher.num_open  # of the next epoch
        next(iter(loader))  # left in its middle
        list(loader)
        assert loader._engine.run is run and set(threading.enumerate()) - before == threads
    loader.close()
    assert not set(threading.enumerate()) - before


def test_an_evaluation_reads_nothing_of_another_pass_ahead(opened: Any) -> None:
    loader = opened(**HOLDOUT)
    list(loader)
    backend = loader._engine._backend
    assert loader._engine.run._source._prefetcher.num_open == 0
    list(loader)
    assert loader._engine._backend is backend


def test_the_time_between_two_for_does_not_count_as_the_trainers(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may contain an evaluation, and would make a slow loader look fast."""
    now = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    loader = opened(epochs=2)
    list(loader)
    for ahead in loader._engine.run._pending:
        ahead.result()  # so that the decoder is idle while the clock advances
    now[0] += 3600
    list(loader)
    assert loader.meters.as_dict()["seconds"][OUTPUT] < 60


# ---------------------------------------------------------------------------------------------- Refusals
def test_a_loader_made_before_its_process_group_is_refused(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    early, told = Loader(made.url, CONFIG), Loader(made.url, CONFIG, World(0, 1))
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 1)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    for stream in (early, early.endless()):
        with pytest.raises(ConfigError, match=r"before init_process_group, as rank 0 of 1: this is rank 1 of 2"):
            next(iter(stream))
    assert place(early) == (0, 0)
    with told, Loader(made.url, CONFIG) as late:
        assert next(iter(told)).count and next(iter(late)).count and late.world == World(1, 2)


def test_a_loader_with_an_explicit_world_is_accepted(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with Loader(made.url, CONFIG) as loader:
        monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
        monkeypatch.setattr("torch.distributed.get_rank", lambda: 1)
        monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
        assert next(iter(loader)).count


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_that_are_not_forked_raise_the_same_error(opened: Any, method: str) -> None:
    loader = opened()
    for dataset in (loader, loader.endless()):
        around = DataLoader(dataset, batch_size=None, num_workers=1, multiprocessing_context=method)
        with pytest.raises(ConfigError, match="set num_workers to 0: the loader has its own threads"):
            next(iter(around))
    assert torch.utils.data.get_worker_info() is None and list(loader)
