"""Tests that the trainer takes every batch that it is fed, and that between two requests there is one whole turn."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from tagmill.bench.trainer.feeding import Clock, fed, resident, turns
from tagmill.pipeline import Batch, Loader
from tagmill.train import train
from tests.pipeline.corpora import make_corpus
from tests.training.runs import VIT, lines


def test_the_trainer_is_fed_and_has_logged_a_step_when_it_asks_for_the_next(tmp_path: Path) -> None:
    made = make_corpus(tmp_path / "corpus", [40, 40], holdout=[8])
    config = replace(VIT, corpus=made.url, output=str(tmp_path / "model"), steps=7, checkpoint_every=100)
    steps: list[int] = []

    def feed(loader: Loader, own: Iterator[Batch]) -> Iterator[Batch]:
        batches = resident(own, "cpu", 2)
        assert len(batches) == 2 and not torch.equal(batches[0].images, batches[1].images)
        loader.close()
        for batch in turns(batches, 7):
            steps.append(len(lines(config.output)))
            yield batch

    with fed(feed):
        result = train(config)
    assert steps == list(range(7)) and result["trained"]["images"] == 7 * 24
    assert result["evaluated"]["pictures"] == 8, "the evaluation reads its own images"


def test_copies_do_not_change_with_the_loaders_buffers(tmp_path: Path) -> None:
    made = make_corpus(tmp_path / "corpus", [40])
    with Loader(made.url, replace(VIT, corpus=made.url).loader_config()) as loader:
        (batch,) = taken = resident(iter(loader), "cpu", 1)
        before = batch.images.clone()
        for other in loader:
            other.images.zero_()
        assert torch.equal(taken[0].images, before) and float(before.float().std()) > 0


def test_a_clock_counts_from_its_last_reading() -> None:
    clock = Clock()
    first = clock.read(3)
    torch.ones(400, 400) @ torch.ones(400, 400)
    second = clock.read(5)
    assert (first.turns, second.turns) == (3, 5) and second.cpu_seconds > 0 and second.seconds > 0
