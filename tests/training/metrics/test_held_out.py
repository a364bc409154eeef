"""Tests evaluations in the course of a run: they change nothing of it, can be ended, and are the same on two processes."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tagmill.shards import Store
from tagmill.train import train
from tagmill.training.checkpoints.layout import read_all, steps_there
from tagmill.training.config.train import TrainConfig
from tagmill.training.metrics import evaluation
from tests.pipeline.corpora import Made, make_corpus
from tests.training.runs import VIT
from tests.training.whole.worlds import run, same_lines, weights


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_corpus(tmp_path_factory.mktemp("corpus"), [40, 8], holdout=[31])


@pytest.fixture(scope="module")
def judged(made: Made, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """A run with evaluations after steps 2, 4 and 6, and at its end."""
    config = replace(VIT, corpus=made.url, output=str(tmp_path_factory.mktemp("judged")), steps=8, batch_size=12)
    config = replace(config, evaluate_every=20, checkpoint_every=100)
    train(config)
    return config


def evaluations(config: TrainConfig) -> list[dict[str, Any]]:
    """Returns the evaluations of a run without their seconds."""
    found = [json.loads(line) for line in Path(config.output, "evaluations.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in found]


def test_a_run_is_judged_every_so_many_images_and_at_its_end(judged: TrainConfig) -> None:
    found = evaluations(judged)
    assert [(line["step"], line["images"]) for line in found] == [(2, 24), (4, 48), (6, 72), (8, 96)]
    result = json.loads(Path(judged.output, "evaluation.json").read_text())
    assert {**found[-1], "trained": result["trained"]} == {"step": 8, "images": 96, **result}


def test_a_run_with_evaluations_is_bit_equal_to_one_without(made: Made, tmp_path: Path) -> None:
    """With batch normalisation, whose statistics an evaluation must neither use up nor change."""
    plain = replace(VIT, model="test_resnet", model_args={}, corpus=made.url, steps=6, batch_size=12)
    plain = replace(plain, checkpoint_every=100, output=str(tmp_path / "plain"), mixup=0.2)
    often = replace(plain, evaluate_every=1, output=str(tmp_path / "often"))
    train(plain)
    train(often)
    one, two = weights(plain), weights(often)
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert same_lines(plain) == same_lines(often)
    assert len(evaluations(often)) == 6 and evaluations(plain) == evaluations(often)[-1:]


@pytest.mark.parametrize("batch", [2, 10])
def test_a_signal_ends_an_evaluation_between_two_batches(
    judged: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """In the first evaluation, of three batches, and in the last: the run goes on from there, and ends as it would have."""
    config, calls, usual = replace(judged, output=str(tmp_path)), list[int](), evaluation.best_labels

    def stopping(*given: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) == batch:
            os.kill(os.getpid(), signal.SIGTERM)
        return usual(*given)

    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "best_labels", stopping)
        assert train(config)["stopped"] == signal.SIGTERM
    assert len(calls) == batch, "no batch is taken after the signal"
    done = batch // 3
    assert len(evaluations(config)) == done
    assert max(steps_there(Store(config.output))) == 2 * (done + 1)
    train(config)
    assert evaluations(config) == evaluations(judged)
    one, two = weights(config), weights(judged)
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_the_average_of_the_weights_is_evaluated_too(judged: TrainConfig, tmp_path: Path) -> None:
    """With a half-life of a hundredth of a step the average is the model, with a very long one the model after step 1."""
    same = replace(judged, output=str(tmp_path / "same"), ema=1, batch_size=100, steps=2, evaluate_every=None)
    train(same)
    (line,) = evaluations(same)
    assert line["average"] == {name: value for name, value in line.items() if name in line["average"]}
    slow = replace(judged, output=str(tmp_path / "slow"), ema=10**9)
    first = replace(judged, output=str(tmp_path / "first"), steps=1, schedule="constant")
    train(replace(slow, schedule="constant"))
    train(first)
    (wanted,) = evaluations(first)
    found = evaluations(slow)[-1]
    assert found["average"] == {name: value for name, value in wanted.items() if name in found["average"]}
    assert {name: value for name, value in found.items() if name in found["average"]} != found["average"]
    scores = [done.score for done in read_all(Store(slow.output))[0].values()]
    assert found["average"]["top1"] in scores


def test_a_finished_run_is_judged_again_and_written_once(judged: TrainConfig) -> None:
    before = evaluations(judged)
    train(judged)
    assert evaluations(judged) == before


@pytest.mark.slow
def test_two_processes_find_what_one_finds(judged: TrainConfig, tmp_path: Path) -> None:
    """With a learning rate that moves nothing, so that both have the same model: 31 images in batches of 12."""
    one = run(judged, lr=1e-30, output=str(tmp_path / "one"), steps=3, weight_decay=0.0)
    two = run(judged, 2, lr=1e-30, output=str(tmp_path / "two"), steps=3, weight_decay=0.0)
    assert evaluations(one) == evaluations(two) and [line["step"] for line in evaluations(two)] == [2, 3]
    line = json.loads(Path(two.output, "metrics.jsonl").read_text().splitlines()[-1])
    assert line["slowest_rank"] in (0, 1) and 0 <= line["waited_share_slowest"] <= 1


@pytest.mark.slow
def test_evaluations_of_a_sharded_model_change_nothing_either(judged: TrainConfig, tmp_path: Path) -> None:
    """A signal-free run of two processes with an average of the weights: both models are gathered and divided again."""
    sharded = replace(judged, parallel="fsdp", ema=50, steps=4, output=str(tmp_path / "often"))
    often = run(sharded, 2)
    plain = run(sharded, 2, evaluate_every=None, output=str(tmp_path / "plain"))
    one, two = weights(plain), weights(often)
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert [line["step"] for line in evaluations(often)] == [2, 4] and evaluations(plain) == evaluations(often)[-1:]
    assert evaluations(often)[-1]["average"]["evaluated"] == {"pictures": 31, "holes": 0}
