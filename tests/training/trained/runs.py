"""A short run whose output the tests of this folder read."""

from dataclasses import replace
from pathlib import Path

from tagmill.train import TrainConfig, train
from tests.pipeline.corpora import make_corpus
from tests.training.runs import VIT


def short_run(folder: Path, **options: object) -> TrainConfig:
    """Trains a few steps on a small corpus in `folder`; returns the configuration."""
    corpus = make_corpus(folder / "corpus", [30, 20], holdout=[10])
    values = {"corpus": corpus.url, "output": str(folder / "run"), "steps": 4, "checkpoint_every": 2, **options}
    config = replace(VIT, **values)  # type: ignore[arg-type]
    train(config)
    return config
