"""Tests what is known of the images of a corpus before one is read."""

import json
from pathlib import Path
from typing import Any

import pytest

from tagmill.pipeline.decode.choice.pictures import UNKNOWN, Pictures, has_markers, pictures_of
from tagmill.shards.manifest import Corpus
from tests.pipeline.corpora import make_corpus


def marked(folder: Path, samples: int, policy: dict[str, Any]) -> Corpus:
    """Makes a corpus with an image policy."""
    url = make_corpus(folder, [samples]).url
    file = Path(url) / "corpus.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"image_policy": policy}))
    return Corpus.open(url)


def test_sizes_and_markers_are_those_of_all_samples(tmp_path: Path) -> None:
    plain = marked(tmp_path / "a", 12, {})
    cuttable = marked(tmp_path / "b", 20, {"restart_interval": "auto"})
    assert pictures_of([plain]).restart_markers == 0 and not pictures_of([plain]).cuttable
    assert pictures_of([cuttable]) == Pictures(cuttable.column("bytes").sum() / 20, 1.0)
    both = pictures_of([plain, cuttable])
    assert both.restart_markers == pytest.approx(20 / 32) and both.cuttable
    total = plain.column("bytes").sum() + cuttable.column("bytes").sum()
    assert both.mean_bytes == pytest.approx(total / 32)
    assert not UNKNOWN.cuttable


@pytest.mark.parametrize(
    ("policy", "found"),
    [
        ({}, False),
        ({"restart_interval": 0}, False),
        ({"restart_interval": 2}, True),
        ({"restart_interval": "auto"}, True),
    ],
)
def test_a_policy_without_an_entry_writes_no_markers(policy: dict[str, Any], found: bool) -> None:
    assert has_markers(policy) is found
