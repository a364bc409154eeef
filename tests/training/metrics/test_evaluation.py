"""Tests accuracy against counting by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tagmill.pipeline import Loader, World
from tagmill.training.metrics.evaluation import batch_scores, evaluate
from tests.pipeline.corpora import NUM_LABELS, make_corpus
from tests.training.runs import VIT


class Fixed(nn.Module):
    """Computes scores from an image's mean colour, so that a test can compute them too."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, NUM_LABELS)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(images.mean((2, 3)))  # type: ignore[no-any-return]


def test_accuracy_equals_counting_by_hand(tmp_path: Path) -> None:
    made = make_corpus(tmp_path, [40, 30, 20], holdout=[31])
    torch.manual_seed(3)
    model, config = Fixed(), replace(VIT, corpus=made.url, batch_size=8)
    right, carried, top1, top5, pictures, chance = {}, {}, 0, 0, 0, 0.0
    with Loader(made.url, config.loader_config("holdout"), World()) as loader:
        for batch in loader:
            order = batch_scores(model, batch, config).argsort(1, descending=True).tolist()
            for row in range(batch.count):
                own = set(batch.labels[row].tolist())
                hit = order[row][0] in own
                top1, top5 = top1 + hit, top5 + bool(own & set(order[row][:5]))
                pictures, chance = pictures + 1, chance + len(own) / NUM_LABELS
                for label in own:
                    carried[label], right[label] = carried.get(label, 0) + 1, right.get(label, 0) + hit
    found = evaluate(model, config, Loader(made.url, config.loader_config("holdout")), "cpu")
    assert pictures == 31 and found["evaluated"] == {"pictures": 31, "holes": 0}
    assert (found["top1"], found["top5"]) == (top1 / 31, top5 / 31)
    assert found["mean_class_accuracy"] == pytest.approx(np.mean([right[label] / carried[label] for label in carried]))
    assert found["chance"] == pytest.approx(chance / 31)
    # the vocabulary has no image counts, so the lowest id is the most frequent
    assert found["majority"] == carried[0] / 31
