"""Tests the error of a run that diverges."""

from pathlib import Path

from tagmill.training.checkpoints.divergence import diverged
from tagmill.training.config.train import TrainConfig
from tests.training.checkpoints.small_run import saved


def test_the_error_names_the_steps_from_which_the_run_can_be_repeated(tmp_path: Path) -> None:
    config = TrainConfig(output=str(tmp_path))
    assert "(checkpoints of steps: none;" in str(diverged(config, "the loss is nan", "step 3 of 9"))
    saved(str(tmp_path), 3, keep=2)
    text = str(diverged(config, "the loss is nan", "step 3 of 9"))
    assert text.startswith("the loss is nan (step 3 of 9): start again with --resume never and a lower lr")
    assert text.endswith("(checkpoints of steps: 2, 3; --resume STEP repeats from one)")
