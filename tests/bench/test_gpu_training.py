"""Tests the measurement of a network in training: the trainer's own steps, from the loader and from memory in turn."""

import argparse
from pathlib import Path

import pytest

from tagmill.bench import corpora, measure
from tagmill.bench.gpu import training
from tests.pipeline.corpora import picture


def corpus_of(folder: Path, count: int = 8) -> Path:
    """Makes the corpus of a benchmark from a few small images."""
    (folder / "pictures").mkdir()
    for number in range(count):
        (folder / "pictures" / f"{number}.jpg").write_bytes(picture(number, 96, 80))
    return corpora.prepare(measure.pictures(folder / "pictures"), 64) / "corpus"


def test_both_sources_are_measured_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "ROOT", tmp_path)
    monkeypatch.setattr(training, "SIZE", 32)
    taken: list[int] = []
    usual = training.train

    def counting(config: training.TrainConfig) -> object:
        found = usual(config)
        taken.append(found["trained"]["step"])
        return found

    monkeypatch.setattr(training, "train", counting)
    options = argparse.Namespace(corpus=str(corpus_of(tmp_path)), model="test_resnet", device="cpu", backend="cpu")
    options.__dict__ |= {"batch": 4, "threads": 1, "streams": 2, "decoding": {}, "warm": 1, "batches": 2, "rounds": 2}
    found = training.run(argparse.Namespace(**vars(options), compile=False))
    assert taken == [2 * 2 * (1 + 2) + 1]
    assert len(found["ratios"]) == len(found["loader"]) == len(found["resident"]) == 2
    assert all(run["images"] == 8 and run["images_per_second"] > 0 for run in found["loader"] + found["resident"])
    assert found["images_per_second"] in [run["images_per_second"] for run in found["loader"]]
