"""Tests that a run which is stopped after any of its steps and resumed is the run that was not stopped."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tagmill.training.config.train import TrainConfig
from tests.training.whole.worlds import WHOLE, evaluation, farthest, losses, run, same_lines, weights


@pytest.fixture
def copied(undisturbed: TrainConfig, tmp_path: Path) -> TrainConfig:
    """A copy of the undisturbed run with all of its checkpoints, which a test may overwrite."""
    shutil.copytree(undisturbed.output, tmp_path / "model")
    return replace(undisturbed, output=str(tmp_path / "model"), checkpoint_every=100)


def test_a_run_resumes_bit_for_bit_after_each_of_its_steps(undisturbed: TrainConfig, copied: TrainConfig) -> None:
    """From the last to the first: resuming at a step deletes the checkpoints of later ones."""
    wanted, ended = same_lines(undisturbed), weights(undisturbed)
    for step in range(23, 0, -1) if WHOLE else (23, 18, 11, 6, 1):
        run(copied, resume=str(step))
        assert same_lines(copied) == wanted, step
        assert all(torch.equal(found, ended[name]) for name, found in weights(copied).items()), step
        assert evaluation(copied) == evaluation(undisturbed)


@pytest.mark.parametrize("ranks", [1, 2, 3] if WHOLE else [3])
def test_a_run_resumes_on_any_number_of_processes(undisturbed: TrainConfig, copied: TrainConfig, ranks: int) -> None:
    """Before the last step, at an epoch's end, and between two steps of an epoch."""
    for step in (23, 18, 16):
        run(copied, ranks, resume=str(step), accumulation=1 + step % 2)
        assert farthest(undisturbed, copied) < 1e-5
        assert losses(copied) == pytest.approx(losses(undisturbed), rel=1e-5)
        assert [line["step"] for line in same_lines(copied)] == list(range(1, 25))


def test_a_run_may_change_its_number_of_processes_more_than_once(undisturbed: TrainConfig, tmp_path: Path) -> None:
    """Three processes take steps 1 to 7, one takes 8 to 15, two take the rest."""
    config = replace(undisturbed, output=str(tmp_path / "model"))
    run(config, 3, checkpoint_every=7)
    run(config, 1, resume="7", checkpoint_every=15)
    run(config, 2, resume="15", checkpoint_every=100)
    assert farthest(undisturbed, config) < 1e-5
    assert losses(config) == pytest.approx(losses(undisturbed), rel=1e-5)
