"""Tests checkpoints of whole runs: in a bucket, with a later end, and with another generation of the corpus."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tagmill.shards import Store, TagmillError
from tagmill.train import TrainConfig, train
from tagmill.training.checkpoints.layout import steps_there
from tests.pipeline.corpora import Made, make_corpus
from tests.shards.objectstore import s3_bucket, s3_service
from tests.training.runs import VIT, lines, weights_in

__all__ = ["s3_bucket", "s3_service"]  # fixtures


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_corpus(tmp_path_factory.mktemp("corpus"), [30, 18], holdout=[10])


@pytest.fixture(scope="module")
def short(made: Made) -> TrainConfig:
    return replace(VIT, corpus=made.url, steps=4, checkpoint_every=2)


def test_a_run_in_a_bucket_resumes_as_in_a_folder(short: TrainConfig, tmp_path: Path, s3_bucket: str) -> None:
    folder, bucket = (replace(short, output=output) for output in (str(tmp_path), f"{s3_bucket}/model"))
    train(folder)
    train(bucket)
    train(replace(bucket, resume="2"))
    store = Store(bucket.output)
    assert steps_there(store) == [2, 4]
    names = {name.split("/")[0] for name, _ in store.listing()}
    assert {"checkpoints", "plan.json", "evaluation.json", "model", "metrics"} <= names
    for weights in (weights_in(bucket.output, 2), weights_in(bucket.output)):
        assert weights.keys() == weights_in(tmp_path).keys()
    assert all(torch.equal(value, weights_in(tmp_path)[name]) for name, value in weights_in(bucket.output).items())
    assert (
        json.loads(store.read("evaluation.json"))["top1"]
        == json.loads((tmp_path / "evaluation.json").read_text())["top1"]
    )


def test_a_longer_run_goes_on_with_the_learning_rate_of_its_end(short: TrainConfig, tmp_path: Path) -> None:
    config = replace(short, output=str(tmp_path))
    train(config)
    longer = replace(config, steps=8)
    with pytest.raises(TagmillError, match=r"steps is 4, this run's is 8.*--extend"):
        train(longer)
    assert train(replace(longer, extend=True))["trained"]["step"] == 8
    rates = [line["lr"] for line in lines(tmp_path)]
    assert rates[3] < rates[0] / 4 and rates[4] == pytest.approx(0.05 * 0.5)  # half of half a cosine over 8 steps
    train(replace(longer, resume="8"))  # the new end is the run's own


def test_a_later_generation_is_read_from_the_end_of_an_epoch(short: TrainConfig, tmp_path: Path) -> None:
    """Two epochs of two steps with the first corpus; then the third epoch with one of three steps."""
    later = make_corpus(tmp_path / "later", [30, 30], holdout=[10])
    config = replace(short, steps=None, epochs=3, output=str(tmp_path / "model"), checkpoint_every=3, keep=9)
    config = replace(config, checkpoint_epochs=True)
    train(config)
    assert steps_there(Store(config.output)) == [2, 3, 4, 6]
    moved = replace(config, corpus=later.url, extend=True)
    with pytest.raises(TagmillError, match=r"not the one of epoch 1, in which the checkpoint is: manifest is"):
        train(replace(moved, resume="3"))
    with pytest.raises(TagmillError, match=r"would move from step 6 to 7.*--extend"):
        train(replace(moved, resume="4", extend=False))
    assert train(replace(moved, resume="4"))["trained"]["step"] == 7
    found = [(line["step"], line["epoch"]) for line in lines(config.output)]
    assert found == [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (6, 2), (7, 3)]
    assert lines(config.output)[-1]["images"] == 2 * 48 + 60


def test_a_save_that_fails_ends_the_run_after_a_step(
    short: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, put = replace(short, output=str(tmp_path), steps=9, checkpoint_every=1), Store.put

    def full(self: Store, name: str, source: Any, **options: Any) -> None:
        if name.startswith("checkpoints/3/"):
            raise OSError(28, "No space left on device")
        put(self, name, source, **options)

    monkeypatch.setattr(Store, "put", full)
    with pytest.raises(TagmillError, match=r"the checkpoint of step 3 was not saved: OSError:.*No space left"):
        train(config)
    monkeypatch.undo()
    assert steps_there(Store(str(tmp_path))) == [1, 2] and lines(tmp_path)[-1]["step"] == 4
    train(config)
    assert [line["step"] for line in lines(tmp_path)] == list(range(1, 10))
