"""Label ids of a shard: the rarest are kept, members by key, noise on training labels, repeats by the rarest label."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.views.assign import (
    AssignTask,
    RepeatTask,
    assign,
    count_rarest,
    keep_rarest,
    put_labels,
)
from tagmill.ingest.views.keyed_random import keys_of
from tagmill.ingest.views.scratch_files import (
    SampleLabels,
    write_frequencies,
    write_ids,
    write_repeats,
    write_sample_labels,
)
from tagmill.shards.errors import IntegrityError
from tagmill.shards.formats.npy import npy_bytes
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.formats.shard_index import INDEX
from tagmill.shards.manifest import ShardEntry
from tagmill.shards.storage.store import Store
from tagmill.shards.view import ONE
from tagmill.shards.vocabulary import Label, Vocabulary

NAMES = ["n00000001", "n00000002", "n00000003"]
KEYS = [f"{number:032x}" for number in range(5)]


@given(
    st.lists(st.lists(st.integers(0, 9), unique=True, max_size=6), min_size=1, max_size=8),
    st.integers(1, 4),
    st.lists(st.integers(0, 3), min_size=10, max_size=10),
)
def test_the_rarest_labels_are_kept(samples: list[list[int]], most: int, images: list[int]) -> None:
    rows = [(number, label) for number, labels in enumerate(samples) for label in labels]
    columns = np.array(rows, np.int64).reshape(-1, 2).T
    labels, cut = keep_rarest(columns[0], columns[1], len(samples), most, np.array(images))
    assert labels.dtype == np.int32 and labels.shape == (len(samples), most)
    kept = [sorted(sorted(row, key=lambda label: (images[label], -label))[:most]) for row in samples]
    assert [[label for label in row if label >= 0] for row in labels.tolist()] == kept
    assert all(row == [*[x for x in row if x >= 0], *[x for x in row if x < 0]] for row in labels.tolist())
    assert cut == sum(max(0, len(row) - most) for row in samples)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A shard of five samples: labels 0; 1 and 2; none; 2; 0 and one that is not in the vocabulary."""
    names = [*NAMES, "n00000009"]
    samples = np.array([0, 1, 1, 3, 4, 4], np.int32)
    labels = np.array([0, 1, 2, 2, 0, 3], np.int32)
    write_sample_labels(tmp_path, "000000", SampleLabels(samples, labels, names, keys_of(KEYS)))
    return tmp_path


def vocabulary(images: list[int]) -> Vocabulary:
    return Vocabulary(
        tuple(Label(i, name, (name,), ("x",), {}, n) for i, (name, n) in enumerate(zip(NAMES, images, strict=True)))
    )


INDEX_FILE = npy_bytes(np.ones(5, INDEX))


def entry(split: str = "train") -> ShardEntry:
    return ShardEntry("000000", split, 5, 1, "t", sha256_hex(INDEX_FILE), "p")


def test_ids_members_and_repeats(spool: Path) -> None:
    write_ids(spool, vocabulary([9, 5, 2]), keys_of([KEYS[3]]))
    found = assign(AssignTask(entry(), spool, 2, 7, 0.0, 1.0, taken_down=(4,)))
    assert (found.unlabelled, found.cut, found.left_out) == (1, 0, 2)
    assert found.frequencies.tolist() == [1, 1, 1]
    store = Store(str(spool / "corpus"))
    store.put("shards/000000.npy", INDEX_FILE)
    task = RepeatTask(store, "views/v/1", entry(), spool)
    write_frequencies(spool, np.array([9, 2, 5]))
    assert count_rarest(task).tolist() == [1, 1, 0]
    write_repeats(spool, np.array([ONE, 3 * ONE + 5, 2 * ONE]))
    line = put_labels(task)
    assert line.counts == [2, 1, 1] and (line.fractions, line.fraction_sum) == (1, 5)
    held = put_labels(RepeatTask(store, "views/v/2", entry("holdout"), spool))
    assert held.counts == [2] and held.fractions == 0, "a held-out sample comes once"
    facts = np.load(io.BytesIO(store.read("views/v/1/000000.facts.npy")))
    runs = np.load(io.BytesIO(store.read("views/v/1/000000.runs.npy")))
    with_fraction = np.load(io.BytesIO(store.read("views/v/1/000000.extras.npy")))["ordinal"][-1:]
    assert facts["ordinal"].tolist() == [*runs[:3].tolist(), *with_fraction.tolist()], "equal runs once"
    labels = np.load(io.BytesIO(store.read("views/v/1/000000.labels.npy")))
    assert facts["labels"].tolist() == labels[facts["ordinal"]].tolist()
    store.put("shards/000000.npy", INDEX_FILE[:-1] + b"x")
    with pytest.raises(IntegrityError, match=r"altered.*000000\.npy"):
        put_labels(task)


def test_of_two_labels_the_rarer_is_kept_and_the_other_counted(spool: Path) -> None:
    write_ids(spool, vocabulary([9, 5, 2]), keys_of([]))
    found = assign(AssignTask(entry(), spool, 1, 7, 0.0, 1.0))
    assert found.cut == 1 and found.frequencies.tolist() == [2, 0, 2]


def test_noise_leaves_held_out_labels_alone(spool: Path) -> None:
    write_ids(spool, vocabulary([9, 5, 2]), keys_of([]))
    noisy = assign(AssignTask(entry(), spool, 2, 7, 1.0, 1.0))
    assert noisy.replaced == 5
    clean = assign(AssignTask(entry("holdout"), spool, 2, 7, 1.0, 1.0))
    assert clean.replaced == 0 and clean.frequencies.tolist() == [0, 0, 0]
