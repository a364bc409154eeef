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
    for step in range(11, 0, -1) if WHOLE else (11, 9, 5, 3, 1):
        run(copied, resume=str(step))
        assert same_lines(copied) == wanted, step
        assert all(torch.equal(found, ended[name]) for name, found in weights(copied).items()), step
        assert evaluation(copied) == evaluation(undisturbed)


@pytest.mark.parametrize("ranks", [1, 2, 3] if WHOLE else [3])
def test_a_run_resumes_on_any_number_of_processes(undisturbed: TrainConfig, copied: TrainConfig, ranks: int) -> None:
    """Before the last step, at an epoch's end, and between two steps of an epoch."""
    for step in (11, 9, 8):
        run(copied, ranks, resume=str(step), accumulation=1 + step % 2)
        assert farthest(undisturbed, copied) < 1e-5
        assert losses(copied) == pytest.approx(losses(undisturbed), rel=1e-5)
        assert [line["step"] for line in same_lines(copied)] == list(range(1, 13))


def test_a_run_may_change_its_number_of_processes_more_than_once(undisturbed: TrainConfig, tmp_path: Path) -> None:
    """Three processes take steps 1 to 4, one takes 5 to 8, two take the rest."""
    config = replace(undisturbed, output=str(tmp_path / "model"))
    run(config, 3, checkpoint_every=4)
    run(config, 1, resume="4", checkpoint_every=8)
    run(config, 2, resume="8", checkpoint_every=100)
    assert farthest(undisturbed, config) < 1e-5
    assert losses(config) == pytest.approx(losses(undisturbed), rel=1e-5)
