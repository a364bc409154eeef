"""Tests that checkpoints are saved in the background, that a fault leaves the older ones whole, and which are kept."""

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tagmill.pipeline import World
from tagmill.shards import Store, StoreError, TagmillError
from tagmill.training.checkpoints.layout import read_all, read_done, steps_there
from tagmill.training.checkpoints.saving import Checkpoints, best_until
from tagmill.training.checkpoints.state import tensors_of
from tagmill.training.checkpoints.weights import find_checkpoint, read_checkpoint_weights
from tests.training.checkpoints.ranks import on_ranks, sharded_run
from tests.training.checkpoints.small_run import LABELS, begun, saved, small_run, state_of, take_steps
from tests.warm.python import called

OBJECTS = ["00000-0000.safetensors", "vocabulary.json", "metadata.json", "done.json"]


def test_steps_go_on_while_a_checkpoint_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer waits until the next step has changed the weights; what it writes are the weights of before."""
    changed, put = threading.Event(), Store.put

    def waiting(self: Store, name: str, source: Any, **options: Any) -> None:
        if name.endswith(".safetensors"):
            assert changed.wait(60)
        put(self, name, source, **options)

    monkeypatch.setattr(Store, "put", waiting)
    run = small_run(str(tmp_path))
    with begun(run) as checkpoints:
        take_steps(run, 1)
        wanted = state_of(run)
        checkpoints.save()
        take_steps(run, 1)
        assert steps_there(Store(str(tmp_path))) == [] and not checkpoints.failed()
        changed.set()
    weights = read_checkpoint_weights(*find_checkpoint(str(tmp_path)))
    assert all(torch.equal(value, wanted[f"model.{name}"]) for name, value in weights.items())
    assert not torch.equal(weights["0.weight"], state_of(run)["model.0.weight"])


@pytest.mark.parametrize("name", OBJECTS)
def test_a_full_disk_leaves_the_older_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    run, put = small_run(str(tmp_path)), Store.put

    def full(self: Store, place: str, source: Any, **options: Any) -> None:
        if place == f"checkpoints/2/{name}":
            raise StoreError("cannot write here: No space left on device", place, "free space")
        put(self, place, source, **options)

    with begun(run) as checkpoints:
        take_steps(run, 1)
        checkpoints.save()
        monkeypatch.setattr(Store, "put", full)
        take_steps(run, 1)
        checkpoints.save()
        with pytest.raises(
            TagmillError, match=r"step 2 was not saved: cannot write here: No space.*older checkpoints are"
        ):
            checkpoints.wait()
        take_steps(run, 1)
        with pytest.raises(TagmillError, match="step 2 was not saved"):
            run.step = 2
            checkpoints.save()
            run.step = 3
            checkpoints.save()
    monkeypatch.undo()
    assert steps_there(Store(str(tmp_path))) == [1]
    again = small_run(str(tmp_path))
    with begun(again):
        assert again.step == 1 and not (tmp_path / "checkpoints/2").exists()


def test_an_error_of_the_steps_is_the_one_that_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise StoreError("no space", "here", "free space")

    run = small_run(str(tmp_path))
    with pytest.raises(ZeroDivisionError), begun(run) as checkpoints:
        take_steps(run, 1)
        monkeypatch.setattr(Store, "put", full)
        checkpoints.save()
        raise ZeroDivisionError


@pytest.mark.parametrize("name", ["model.0.weight", "model.1.running_var", "optimiser.4.bias.exp_avg"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nothing_that_is_not_finite_is_saved(tmp_path: Path, name: str, value: float) -> None:
    run = small_run(str(tmp_path))
    with begun(run) as checkpoints:
        take_steps(run, 1)
        checkpoints.save()
        take_steps(run, 1)
        tensors_of(run)[name].view(-1)[0] = value
        with pytest.raises(TagmillError, match=r"not finite \(step 2 of 100\).*steps: 1;"):
            checkpoints.save()
    assert steps_there(Store(str(tmp_path))) == [1]


# --------------------------------------------------------------------------------------------------------------- Killed
def killed_at(folder: str, name: str) -> None:
    put = Store.put

    def killing(self: Store, place: str, source: Any, **options: Any) -> None:
        if place == f"checkpoints/3/{name}":
            os.kill(os.getpid(), signal.SIGKILL)
        put(self, place, source, **options)

    Store.put = killing  # type: ignore[method-assign]
    saved(folder, 3, keep=1)


@pytest.mark.parametrize("name", OBJECTS)
def test_a_kill_between_two_objects_leaves_the_older_checkpoint(tmp_path: Path, name: str) -> None:
    process = called(tmp_path / "call", killed_at, str(tmp_path), name)
    assert process.wait(120) == -signal.SIGKILL
    assert steps_there(Store(str(tmp_path))) == [2]
    run = small_run(str(tmp_path), keep=1)
    with begun(run) as checkpoints:
        assert run.step == 2 and not (tmp_path / "checkpoints/3").exists()
        take_steps(run, 1)
        checkpoints.save()
    assert steps_there(Store(str(tmp_path))) == [3]


# ------------------------------------------------------------------------------------------------------ Other processes
def fail_on(world: World, output: str) -> None:
    """The object of rank 1 cannot be written."""
    run, put = sharded_run(world, output, "ddp"), Store.put

    def full(self: Store, place: str, source: Any, **options: Any) -> None:
        if place.startswith("checkpoints/2/00001"):
            raise StoreError("no space", place, "free space")
        put(self, place, source, **options)

    Store.put = full  # type: ignore[method-assign]
    with begun(run) as checkpoints:
        for _ in range(2):
            take_steps(run, 1)
            checkpoints.save()


def test_the_error_of_one_process_is_that_of_all(tmp_path: Path) -> None:
    first, second = on_ranks(2, fail_on, str(tmp_path))
    assert first == second and "the checkpoint of step 2 was not saved: no space" in first
    assert steps_there(Store(str(tmp_path))) == [1]


def unshared_on(world: World, output: str) -> None:
    run = sharded_run(world, f"{output}/{world.rank}", "ddp")
    with begun(run):
        raise AssertionError("it began")


def test_an_output_that_processes_do_not_share_is_refused_at_the_start(tmp_path: Path) -> None:
    for said in on_ranks(2, unshared_on, str(tmp_path)):
        assert "does not see what process 0 writes" in said and "all processes share" in said


# ------------------------------------------------------------------------------------------------------- What is kept
def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    """Scores are of steps whose checkpoint is whole, is being written, or will be saved for it."""
    run = small_run(str(tmp_path), keep=2)
    scores = {1: 0.2, 2: 0.6, 4: 0.5, 6: 0.6, 7: 0.7}
    with begun(run) as checkpoints:
        for step in range(1, 10):
            take_steps(run, 1)
            if step == 7:
                assert checkpoints.score(scores[step])
            checkpoints.save()
            if step in scores and step != 7:
                assert not checkpoints.score(scores[step])
            if step == 5:
                checkpoints.wait()
                assert steps_there(checkpoints.store) == [2, 4, 5]
    store = Store(str(tmp_path))
    assert steps_there(store) == [7, 8, 9] and read_done(store, 7).score == 0.7
    assert find_checkpoint(str(tmp_path), "best")[1].step == 7
    again = small_run(str(tmp_path), keep=2)
    with begun(again) as checkpoints:
        assert checkpoints.best == 0.7 and not checkpoints.score(0.65) and checkpoints.score(0.75) is False
    assert read_done(store, 9).score == 0.75
    assert best_until(read_all(store)[0], 8) == 0.7


def test_a_run_that_is_over_does_not_write_its_last_checkpoint_again(tmp_path: Path) -> None:
    """With one that is kept, a kill in between would leave none."""
    saved(str(tmp_path), 2, keep=1)
    written = (tmp_path / "checkpoints/2/done.json").stat()
    run = small_run(str(tmp_path), keep=1)
    with begun(run) as checkpoints:
        checkpoints.save()
        checkpoints.wait()
        assert (tmp_path / "checkpoints/2/done.json").stat() == written
        take_steps(run, 1)
        checkpoints.save()
    assert steps_there(Store(str(tmp_path))) == [3]


def test_a_checkpoint_is_due_at_intervals_and_at_ends_of_epochs(tmp_path: Path) -> None:
    run = small_run(str(tmp_path), checkpoint_every=3)
    checkpoints = Checkpoints(run, Store(str(tmp_path)), LABELS)
    due = []
    for epochs in (False, True):
        run.config, run.step = replace(run.config, checkpoint_epochs=epochs), 0
        for _ in range(9):
            take_steps(run, 1)
            if checkpoints.due():
                due.append(run.step)
    assert due == [3, 6, 9, 3, 4, 6, 8, 9]


def test_a_bucket_has_checkpoints_too() -> None:
    whole = saved("memory://bucket/model", 3, keep=2)
    store = Store("memory://bucket/model")
    assert steps_there(store) == [2, 3] and store.names("checkpoints")[0] == "checkpoints/2/00000-0000.safetensors"
    run = small_run("memory://bucket/model", resume="2")
    with begun(run):
        take_steps(run, 1)
    assert all(torch.equal(value, state_of(whole)[name]) for name, value in state_of(run).items())
