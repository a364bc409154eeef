"""Tests that one run is the same on one process, on several, and in parts.

The model has smooth activations. Rounding differs between the ways to add a gradient up, and a smooth model keeps the
difference small over a run; test_gradients.py has those that do not.
"""

import re
from pathlib import Path

import pytest
import torch

from tagmill.training.config.train import TrainConfig
from tagmill.training.model.build import build_model
from tests.pipeline.corpora import NUM_LABELS
from tests.training.whole.worlds import WHOLE, evaluation, farthest, losses, run, same_lines, weights

EXACT = ("step", "epoch", "turn", "images", "lr", "holes")


def test_the_run_goes_far(undisturbed: TrainConfig) -> None:
    """The tolerance of the tests below is small beside what a run changes, and steps do not divide evenly among ranks."""
    torch.manual_seed(undisturbed.seed)
    begun, ended = build_model(undisturbed, NUM_LABELS).state_dict(), weights(undisturbed)
    assert max(float((begun[name] - ended[name]).abs().max()) for name in ended) > 0.05
    assert undisturbed.batch_size % 3 and undisturbed.batch_size % 4 == 0
    assert len({line["epoch"] for line in same_lines(undisturbed)}) > 3


@pytest.mark.parametrize(
    ("ranks", "parts"),
    [(ranks, parts) for ranks in (1, 2, 3) for parts in (1, 2, 3)][1:] if WHOLE else [(1, 3), (2, 1), (3, 2)],
    ids=lambda number: str(number),
)
def test_processes_and_parts_change_nothing(undisturbed: TrainConfig, tmp_path: Path, ranks: int, parts: int) -> None:
    other = run(undisturbed, ranks, accumulation=parts, checkpoint_every=100, output=str(tmp_path / "other"))
    assert farthest(undisturbed, other) < 1e-5
    assert losses(other) == pytest.approx(losses(undisturbed), rel=1e-5)
    found, wanted = same_lines(other), same_lines(undisturbed)
    assert [[line[name] for name in EXACT] for line in found] == [[line[name] for name in EXACT] for line in wanted]
    assert evaluation(other) == evaluation(undisturbed)
    for rank in range(ranks if ranks > 1 else 0):
        said = Path(f"{other.output}.rank{rank}.txt").read_text()
        compared = re.findall(
            rf"^ranks      without waits .*(?:{ranks} ranks wait alike|rank \d on )", said, re.MULTILINE
        )
        assert bool(compared) == (rank == 0), said


def test_sharded_weights_change_nothing_and_each_resumes_the_other(undisturbed: TrainConfig, tmp_path: Path) -> None:
    """FSDP takes steps 1 to 12, DDP goes back to step 8 of them and ends, and FSDP goes back to step 10 of those."""
    config = run(undisturbed, 2, parallel="fsdp", checkpoint_every=2, output=str(tmp_path / "model"))
    assert farthest(undisturbed, config) < 1e-5
    run(config, 2, resume="8", parallel="ddp")
    assert farthest(undisturbed, config) < 1e-5
    run(config, 2, resume="10", parallel="fsdp", checkpoint_every=100)
    assert farthest(undisturbed, config) < 1e-5
    assert losses(config) == pytest.approx(losses(undisturbed), rel=1e-5)
