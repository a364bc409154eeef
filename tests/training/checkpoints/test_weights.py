"""Tests that the weights of a checkpoint are found by what a person calls it, and read on one process."""

from pathlib import Path

import pytest
import torch

from tagmill.shards import ConfigError, IntegrityError, Store
from tagmill.training.checkpoints.weights import (
    find_checkpoint,
    has_average,
    read_checkpoint_weights,
    read_vocabulary,
)
from tests.training.checkpoints.small_run import LABELS, begun, saved, small_run


def test_a_checkpoint_is_found_by_output_and_step_or_by_its_own_address(tmp_path: Path) -> None:
    saved(str(tmp_path), 3)
    for url, step, wanted in (
        (str(tmp_path), "newest", 3),
        (f"{tmp_path}/", 2, 2),
        (f"{tmp_path}/checkpoints/1", "newest", 1),
        (f"{tmp_path}/checkpoints/1/", "best", 1),
    ):
        store, done = find_checkpoint(url, step)  # type: ignore[arg-type]
        assert (store.url, done.step) == (str(tmp_path), wanted)
        assert read_vocabulary(store, done) == LABELS
    for url, step, says in (
        (str(tmp_path), 9, "no checkpoint of step 9"),
        (f"{tmp_path}/checkpoints/7", "newest", "no checkpoint of step 7"),
        (str(tmp_path), "best", "no checkpoint that was judged"),
        (f"{tmp_path}/nowhere", "newest", "no checkpoint of a run"),
    ):
        with pytest.raises(ConfigError, match=says):
            find_checkpoint(url, step)  # type: ignore[arg-type]


def test_the_average_of_the_weights_is_read_as_weights(tmp_path: Path) -> None:
    run = saved(str(tmp_path), 3, ema=20)
    store, done = find_checkpoint(str(tmp_path))
    assert has_average(store, done) and run.ema is not None
    found, wanted = read_checkpoint_weights(store, done, "ema"), run.ema.module.state_dict()
    assert found.keys() == run.model.state_dict().keys()
    assert all(torch.equal(value, wanted[name]) for name, value in found.items())
    assert not torch.equal(found["0.weight"], read_checkpoint_weights(store, done)["0.weight"])
    again = small_run(str(tmp_path), ema=20)
    with begun(again):
        assert again.ema is not None
        state = again.ema.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in run.ema.state_dict().items())


def test_a_run_without_an_average_says_so(tmp_path: Path) -> None:
    saved(str(tmp_path), 1)
    store, done = find_checkpoint(str(tmp_path))
    assert not has_average(store, done)
    with pytest.raises(ConfigError, match="no average of the weights"):
        read_checkpoint_weights(store, done, "ema")


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    saved(str(tmp_path), 2)
    store, done = find_checkpoint(str(tmp_path))
    store.put("checkpoints/2/00000-0000.safetensors", b"")
    with pytest.raises(IntegrityError, match=r"bytes in objects|truncated"):
        read_checkpoint_weights(store, done)
    Store(str(tmp_path)).put("checkpoints/1/done.json", b"")
    with pytest.raises(IntegrityError, match="not a whole checkpoint"):
        find_checkpoint(str(tmp_path))
