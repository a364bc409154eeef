"""Tests that dividing the weights among processes (FSDP2) changes nothing."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tagmill.training.checkpoints.weights import find_checkpoint, read_checkpoint_weights
from tagmill.training.config.train import TrainConfig
from tests.pipeline.corpora import Made, make_corpus
from tests.training.runs import VIT, lines
from tests.training.whole.worlds import WHOLE, evaluation, losses, run


@pytest.fixture(scope="module")
def replicated(whole_corpus: Made, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """Runs 6 steps on two processes with DDP, with parts, clipping and an average of the weights."""
    output = tmp_path_factory.mktemp("replicated") / "model"
    config = replace(VIT, corpus=whole_corpus.url, batch_size=16, steps=6, checkpoint_every=3, accumulation=2)
    return run(replace(config, clip=1.0, ema=100, output=str(output)), 2)


def compare(one: TrainConfig, other: TrainConfig) -> None:
    for part in ("model", "ema"):
        first, second = (read_checkpoint_weights(*find_checkpoint(each.output), part) for each in (one, other))  # type: ignore[arg-type]
        assert first.keys() == second.keys()
        assert max(float((first[name] - second[name]).abs().max()) for name in first) < 1e-5
    assert losses(one) == pytest.approx(losses(other), rel=1e-5)
    norms = [[line["gradient_norm"] for line in lines(each.output)] for each in (one, other)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)
    assert evaluation(one) == evaluation(other)


@pytest.mark.parametrize("ranks", [2, 3] if WHOLE else [3])
def test_divided_weights_take_the_same_steps(replicated: TrainConfig, tmp_path: Path, ranks: int) -> None:
    compare(replicated, run(replicated, ranks, parallel="fsdp", output=str(tmp_path / "model")))


def test_a_run_goes_on_with_divided_weights(replicated: TrainConfig, tmp_path: Path) -> None:
    shutil.copytree(replicated.output, tmp_path / "model")
    compare(replicated, run(replicated, 2, parallel="fsdp", resume="3", output=str(tmp_path / "model")))


def test_a_process_with_fewer_images_takes_part_in_all_passes(tmp_path: Path) -> None:
    """An epoch of 49 in batches of 24: in the last step one of two processes has one image and the other none."""
    corpus = make_corpus(tmp_path / "corpus", [49], replace={3: b"no image"})
    config = replace(VIT, corpus=corpus.url, model="test_resnet", model_args={}, steps=3, accumulation=3)
    config = replace(config, failure_budget=1.0, parallel="fsdp", activation_checkpointing=True)
    found = run(config, 2, output=str(tmp_path / "model"))
    assert [line["images"] for line in lines(found.output)] == [24, 48, 49]
    assert sum(line["holes"] for line in lines(found.output)) == 1
    weights = read_checkpoint_weights(*find_checkpoint(found.output))
    assert all(bool(torch.isfinite(value).all()) for value in weights.values())
