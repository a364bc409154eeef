"""Tests the cost of an epoch's end: every case iterates the same batches."""

from pathlib import Path

import pytest

from tagmill.bench import corpora, epochs
from tagmill.pipeline import Loader, LoaderConfig
from tests.pipeline.corpora import picture


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("epochs")
    (folder / "images").mkdir()
    for number in range(20):
        (folder / "images" / f"{number:03d}.jpg").write_bytes(picture(number % 8, 96, 80))
    corpora.make_corpus(folder / "images", folder / "corpus")
    return folder / "corpus"


@pytest.mark.parametrize("case", epochs.CASES)
def test_every_case_sees_each_image_once_an_epoch(corpus: Path, case: str) -> None:
    walk, restart = epochs.CASES[case]
    config = LoaderConfig(view=None, batch_size=8, streams=2, chunk=2, restart=restart)
    with Loader(str(corpus), config) as loader:
        seen = [int(position) for batch in walk(loader, 3) for position in batch.positions if position >= 0]
    passes = [sorted(seen[start : start + 20]) for start in range(0, len(seen), 20)]
    assert passes == [list(range(20))] * 3
    assert epochs.images_per_second(str(corpus), config, 2, case) > 0
