"""Scratch files give back what was written, and the table of the docstring names all of them."""

from pathlib import Path

import numpy as np

from tagmill.ingest.views import scratch_files
from tagmill.ingest.views.keyed_random import keys_of
from tagmill.ingest.views.scratch_files import (
    SampleLabels,
    key_values,
    read_frequencies,
    read_ids,
    read_labels,
    read_repeats,
    read_sample_labels,
    write_frequencies,
    write_ids,
    write_labels,
    write_repeats,
    write_sample_labels,
)
from tagmill.shards.vocabulary import Label, Vocabulary

KEYS = [f"{number:032x}" for number in (3, 1, 2)]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    pairs = SampleLabels(np.array([0, 2, 2], np.int32), np.array([1, 0, 1], np.int32), ["a", "b"], keys_of(KEYS))
    write_sample_labels(tmp_path, "000000", pairs)
    found = read_sample_labels(tmp_path, "000000")
    assert (found.samples.tolist(), found.labels.tolist(), found.sets) == ([0, 2, 2], [1, 0, 1], ["a", "b"])
    assert found.keys.tobytes() == pairs.keys.tobytes() and found.keys.shape == (3, 16)
    labels = tuple(Label(i, n, (n,), ("x",), {}, 9 - i) for i, n in enumerate(["n00000001", "n00000002"]))
    write_ids(tmp_path, Vocabulary(labels), keys_of(KEYS))
    ids = read_ids(tmp_path)
    assert ids.numbers == {"n00000001": 0, "n00000002": 1} and ids.images.tolist() == [9, 8]
    assert ids.excluded.tobytes() == key_values(keys_of(sorted(KEYS))).tobytes(), "ascending"
    write_labels(tmp_path, "000000", np.array([[1, -1]], np.int32), np.array([True]))
    rows, member = read_labels(tmp_path, "000000")
    assert rows.tolist() == [[1, -1]] and member.tolist() == [True]
    write_frequencies(tmp_path, np.array([4, 5]))
    assert read_frequencies(tmp_path).tolist() == [4, 5]
    names = {path.name.replace("000000", "SHARD") for path in tmp_path.iterdir()}
    assert all(f"    {name} " in str(scratch_files.__doc__) for name in names) and len(names) == 4


def test_without_repeats_every_image_comes_once(tmp_path: Path) -> None:
    assert read_repeats(tmp_path) is None
    other = tmp_path / "other"
    other.mkdir()
    write_repeats(other, np.array([1 << 16]))
    assert read_repeats(other).tolist() == [1 << 16]  # type: ignore[union-attr]
