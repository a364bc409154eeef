"""Tests that the bare loop does the work that the trainer does: the same loss and the same weights after a few steps."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from tagmill.bench.trainer import bare
from tagmill.bench.trainer.feeding import fed, resident, turns
from tagmill.pipeline import Batch, Loader
from tagmill.train import train
from tests.pipeline.corpora import NUM_LABELS, make_corpus
from tests.training.runs import VIT


# AdamW divides by the gradient's own size, which turns rounding of small gradients into steps.
@pytest.mark.parametrize("labels", [1, 3])
@pytest.mark.parametrize(("optimiser", "rounding"), [("nesterov", 2e-4), ("adamw", 2e-2)])
def test_both_loops_have_the_same_weights_after_some_steps(
    tmp_path: Path, labels: int, optimiser: Any, rounding: float
) -> None:
    made = make_corpus(tmp_path / "corpus", [72], max_labels=labels)
    config = replace(VIT, corpus=made.url, output=str(tmp_path / "model"), steps=4, checkpoint_every=100, lr=1e-3)
    config = replace(config, optimiser=optimiser, schedule="constant")
    step, steps = bare.bare_loop(config, NUM_LABELS, "cpu"), dict[int, list[list[torch.Tensor]]]()

    def note(optimiser: torch.optim.Optimizer, *_: object) -> None:
        weights = [each.detach().clone() for group in optimiser.param_groups for each in group["params"]]
        steps.setdefault(id(optimiser), []).append(weights)

    def feed(loader: Loader, own: Iterator[Batch]) -> Iterator[Batch]:
        batches = resident(own, "cpu", 2)
        for batch in turns(batches, 4):
            step(batch)
            yield batch

    noting = register_optimizer_step_post_hook(note)
    try:
        with fed(feed):
            train(config)
    finally:
        noting.remove()
    theirs, ours = steps.values()
    assert len(theirs) == len(ours) == 4 and len(theirs[0]) == len(ours[0])
    moved = max(float((last - first).abs().max()) for first, last in zip(theirs[0], theirs[3], strict=True))
    apart = max(float((one - other).abs().max()) for one, other in zip(theirs[3], ours[3], strict=True))
    assert apart < rounding * moved < 1


def test_targets_are_class_numbers_only_where_every_image_has_one_label(tmp_path: Path) -> None:
    made = make_corpus(tmp_path / "corpus", [24], max_labels=3)
    with Loader(made.url, replace(VIT, corpus=made.url).loader_config()) as loader:
        (batch,) = resident(iter(loader), "cpu", 1)
    dense = bare.targets_of(batch, NUM_LABELS)
    assert dense.shape == (24, NUM_LABELS) and torch.allclose(dense.sum(1), torch.ones(24))
    for row in range(24):
        assert dense[row].nonzero().flatten().tolist() == batch.labels[row].tolist()
    assert len(bare.targets_of(batch, NUM_LABELS)) == 24
