"""Tests evaluations against counting by hand, and that they change nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tagmill.pipeline import Loader, LoaderConfig, World
from tagmill.training.metrics.evaluation import best_labels, evaluate, judged
from tests.pipeline.corpora import NUM_LABELS, Made, make_corpus
from tests.training.runs import VIT


class Fixed(nn.Module):
    """Computes scores from an image's mean colour, so that a test can compute them too."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(3, NUM_LABELS)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(self.norm(images.mean((2, 3)))))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("corpus")
    return make_corpus(folder, [40, 30, 20], holdout=[31], replace={95: b"no image", 120: b"no image"})


def test_accuracy_equals_counting_by_hand(made: Made) -> None:
    torch.manual_seed(3)
    model, config = Fixed(), replace(VIT, corpus=made.url, batch_size=8, failure_budget=1.0)
    right, carried, top1, top5, pictures, chance = {}, {}, 0, 0, 0, 0.0
    reading = config.loader_config("holdout")
    with Loader(made.url, reading, World()) as loader:
        model.eval()
        for batch in loader:
            order = best_labels(model, batch, config).tolist()
            normalised = batch.normalised("float32", LoaderConfig.mean, LoaderConfig.std).images
            assert order == model(normalised).argsort(1, descending=True).tolist()
            for row in torch.nonzero(batch.valid).flatten().tolist():
                own = set(batch.labels[row].tolist())
                hit = order[row][0] in own
                top1, top5 = top1 + hit, top5 + bool(own & set(order[row][:5]))
                pictures, chance = pictures + 1, chance + len(own) / NUM_LABELS
                for label in own:
                    carried[label], right[label] = carried.get(label, 0) + 1, right.get(label, 0) + hit
        found = (evaluate({"model": model}, config, loader, "cpu") or {})["model"]
        again = evaluate({"one": model, "two": Fixed()}, replace(config, accumulation=3), loader, "cpu")
    assert pictures == 29 and found["evaluated"] == {"pictures": 29, "holes": 2}
    assert (found["top1"], found["top5"]) == (top1 / 29, top5 / 29)
    assert found["mean_class_accuracy"] == pytest.approx(np.mean([right[label] / carried[label] for label in carried]))
    assert found["chance"] == pytest.approx(chance / 29)
    # the vocabulary has no image counts, so the lowest id is the most frequent
    assert found["majority"] == carried[0] / 29 and "labels" not in found
    # the same loader, a second time, in parts
    assert again is not None and again["one"] == found != again["two"]


def test_an_evaluation_leaves_modes_buffers_and_random_numbers(made: Made) -> None:
    model, config = Fixed(), replace(VIT, corpus=made.url, failure_budget=1.0)
    model.norm.eval()  # a frozen layer of a model in training
    before, random = {name: value.clone() for name, value in model.state_dict().items()}, torch.get_rng_state()
    with Loader(made.url, config.loader_config("holdout"), World()) as loader:
        evaluate({"model": model}, config, loader, "cpu")
    assert [module.training for module in (model, model.norm, model.drop, model.head)] == [True, False, True, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    # what an evaluation made can be trained with
    model.head(torch.ones(2, 3)).sum().backward()


def test_modes_come_back_after_an_error() -> None:
    model = Fixed()
    with pytest.raises(InterruptedError), judged(model):
        assert not model.drop.training
        raise InterruptedError
    assert model.training and model.drop.training


def test_an_evaluation_ends_where_it_is_stopped(made: Made) -> None:
    config = replace(VIT, corpus=made.url, batch_size=8, failure_budget=1.0)
    asked: list[int] = []

    def stopped() -> bool:
        asked.append(1)
        return len(asked) == 2

    with Loader(made.url, config.loader_config("holdout"), World()) as loader:
        model = Fixed()
        assert evaluate({"model": model}, config, loader, "cpu", stopped) is None
        assert len(asked) == 2 and model.training
        whole = evaluate({"model": model}, config, loader, "cpu")
    assert whole is not None and whole["model"]["evaluated"] == {"pictures": 29, "holes": 2}
