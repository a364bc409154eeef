"""Parts are consecutive, cover every sample once, and are a function of the manifest."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards import ConfigError, Corpus, InputError, Store
from tagmill.shards.manifest import CorpusFile, ShardEntry, commit, put_manifest
from tagmill.shards.takedown import Takedown
from tagmill.studies.scores.corpus_parts import (
    LEAST_SAMPLES,
    MOST_SAMPLES,
    WANTED_PARTS,
    CorpusParts,
    usual_part_samples,
)
from tagmill.studies.scores.score_files import ScoredSplit


def corpus_of(folder: Path, train: list[int], holdout: list[int]) -> Corpus:
    """Writes a manifest of shards that have so many samples, and no shards."""
    entries = [
        ShardEntry(f"{split}-{number:06d}", split, samples, 1, "0" * 64, "0" * 64, "0" * 64)
        for split, sizes in (("train", train), ("holdout", holdout))
        for number, samples in enumerate(sizes)
    ]
    store = Store(str(folder))
    commit(store, CorpusFile("parts", put_manifest(store, entries), {}))
    return Corpus.open(str(folder))


SIZES = st.lists(st.integers(0, 7), max_size=5)


@given(train=SIZES, holdout=SIZES, size=st.integers(1, 9), split=st.sampled_from(["train", "holdout", "all"]))
def test_every_sample_is_in_one_part_in_the_order_of_the_corpus(
    tmp_path_factory: pytest.TempPathFactory, train: list[int], holdout: list[int], size: int, split: ScoredSplit
) -> None:
    corpus = corpus_of(tmp_path_factory.mktemp("corpus"), train, holdout)
    wanted = [
        (f"{name}-{number:06d}", ordinal)
        for name, sizes in (("train", train), ("holdout", holdout))
        for number, samples in enumerate(sizes)
        for ordinal in range(samples)
        if split in (name, "all")
    ]
    if not wanted:
        with pytest.raises(InputError, match="without samples" if split == "all" else f"no samples in split {split}"):
            CorpusParts(corpus, split, size)
        return
    parts = CorpusParts(corpus, split, size)
    made = [parts.part(number, Takedown()) for number in range(len(parts))]
    assert parts.samples == len(wanted) == sum(part.samples for part in made)
    assert [part.samples for part in made[:-1]] == [size] * (len(made) - 1) and 1 <= made[-1].samples <= size
    found = [
        (each.shard.name, ordinal) for part in made for each in part.ranges for ordinal in range(each.start, each.stop)
    ]
    assert found == wanted


def test_the_usual_size_grows_with_the_corpus_between_two_limits() -> None:
    assert usual_part_samples(1) == usual_part_samples(LEAST_SAMPLES * WANTED_PARTS) == LEAST_SAMPLES
    assert usual_part_samples(LEAST_SAMPLES * WANTED_PARTS + 1) == 2 * LEAST_SAMPLES
    assert usual_part_samples(10**12) == MOST_SAMPLES
    sizes = [usual_part_samples(samples) for samples in np.geomspace(1, 10**11, 200).astype(int).tolist()]
    assert sizes == sorted(sizes)


def test_parts_without_samples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="parts of 0 samples"):
        CorpusParts(corpus_of(tmp_path, [1], []), "train", 0)
