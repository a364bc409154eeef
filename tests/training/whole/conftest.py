"""A run from beginning to end, with which the others are compared."""

from dataclasses import replace

import pytest

from tagmill.training.config.train import TrainConfig
from tests.pipeline.corpora import Made, make_corpus
from tests.training.runs import VIT
from tests.training.whole.worlds import run


@pytest.fixture(scope="session")
def whole_corpus(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Has 45 images to train with, which 16 do not divide, and 31 held out."""
    return make_corpus(tmp_path_factory.mktemp("whole"), [20, 15, 10], holdout=[31])


@pytest.fixture(scope="module")
def undisturbed(whole_corpus: Made, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """Runs 12 steps, which cross four ends of an epoch, in one process. Each step's checkpoint is kept."""
    output = tmp_path_factory.mktemp("undisturbed") / "model"
    config = replace(VIT, corpus=whole_corpus.url, batch_size=16, steps=12, checkpoint_every=1, keep=12)
    return run(config, output=str(output))
