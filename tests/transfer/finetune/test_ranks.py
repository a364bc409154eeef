"""Tests that a fine-tuning is one run on any number of processes, and in parts.

The network has smooth activations and no batch statistics, so that rounding stays small over a run.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
import torch.distributed as dist

from tagmill.shards import TagmillError
from tagmill.training.checkpoints.weights import find_checkpoint, read_checkpoint_weights
from tagmill.transfer.finetune import fine_tune, tuning_steps
from tagmill.transfer.finetune.recipe import Recipe, recipe_of
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.outcome.outcome_file import outcome_bytes, read_outcome
from tests.training.whole.worlds import run_each
from tests.transfer.drawn_set import drawn_set
from tests.transfer.finetune.small_tune import random_model, tuned

TRAIN = drawn_set(3, 9, undecodable=[4, 13], missing=[20, 21])
TEST = drawn_set(3, 50, seed=1, undecodable=[2, 70], missing=[149])  # in three blocks
CHANGED = {"batch_size": 10, "lr": 0.02}


@dataclass(frozen=True)
class Tuning:
    """One run, as `run_each` gives it to every process."""

    output: str
    stop: int = 0  # after this step all processes end; 0: at the end of the run
    changed: Mapping[str, Any] = field(default_factory=dict)


def mixing(*given: Any) -> Recipe:
    return replace(recipe_of(*given), mixup=0.3)


def tune(task: Tuning) -> None:
    """Fine-tunes with mixup, which small sets do not have, and leaves the outcome of this process."""
    take = tuning_steps.take_step

    def stopping(run: Any, *given: Any, **named: Any) -> None:
        if task.stop and run.step == task.stop:
            raise TagmillError("stopped", "here", "start again")
        take(run, *given, **named)

    with patch.object(fine_tune, "recipe_of", mixing), patch.object(tuning_steps, "take_step", stopping):
        try:
            found = tuned(task.output, random_model("test_vit"), TRAIN, TEST, **CHANGED, **task.changed)
        except TagmillError as error:
            assert task.stop and error.what == "stopped"
            return
    assert not dist.is_initialized()
    Path(f"{task.output}.outcome{os.environ.get('RANK', '0')}").write_bytes(outcome_bytes(found))


def outcome(task: Tuning, rank: int = 0) -> Outcome:
    return read_outcome(Path(f"{task.output}.outcome{rank}").read_bytes(), "outcome")


def weights(task: Tuning) -> dict[str, torch.Tensor]:
    (folder,) = Path(task.output, "fine-tune").iterdir()
    return read_checkpoint_weights(*find_checkpoint(str(folder)))


def assert_same(one: Tuning, other: Tuning, ranks: int) -> None:
    first, second = weights(one), weights(other)
    assert max(float((first[name] - second[name]).abs().max()) for name in first) < 1e-5
    for rank in range(ranks):
        found, wanted = outcome(other, rank), outcome(one)
        for name in ("keys", "truth", "top", "groups"):
            assert np.array_equal(getattr(found, name), getattr(wanted, name)), name
        # The name of a run has the number of parts in it.
        settings = [{**each.settings, "run": ""} for each in (found, wanted)]
        assert settings[0] == settings[1] and found.skipped == wanted.skipped


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Tuning:
    """A run of one process."""
    task = Tuning(str(tmp_path_factory.mktemp("alone") / "out"))
    tune(task)
    return task


def test_the_run_goes_far(alone: Tuning) -> None:
    """The tolerance of the tests below is small beside what a run changes, and steps do not divide evenly among ranks."""
    begun, ended = random_model("test_vit").weights, weights(alone)
    assert max(float((begun[name] - ended[name]).abs().max()) for name in ended if "head" not in name) > 3e-3
    found = outcome(alone)
    assert sum(found.skipped.values()) == 3 and found.settings["train_skipped"]["missing"] == 2  # type: ignore[index]
    assert CHANGED["batch_size"] % 3 and len(set(found.top[:, 0].tolist())) > 1


def test_three_processes_give_what_one_gives_and_each_has_the_outcome(alone: Tuning, tmp_path: Path) -> None:
    task = Tuning(str(tmp_path / "out"), changed={"accumulation": 2})
    run_each([task], 3, tune)  # type: ignore[list-item, arg-type]
    assert_same(alone, task, 3)


def test_a_run_goes_on_on_another_number_of_processes(alone: Tuning, tmp_path: Path) -> None:
    """Two processes take steps 1 to 6 and one the others; then two from step 3 on."""
    task = Tuning(str(tmp_path / "out"), stop=7)
    run_each([task], 2, tune)  # type: ignore[list-item, arg-type]
    tune(replace(task, stop=10))
    run_each([replace(task, stop=0)], 2, tune)  # type: ignore[list-item, arg-type]
    assert_same(alone, task, 2)
