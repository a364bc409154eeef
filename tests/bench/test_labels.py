"""Tests that the benchmark of views runs at a small size, on a corpus from which a view is made."""

import json
import subprocess
import sys
from pathlib import Path

from tagmill.bench import labels, measure
from tagmill.shards.manifest import Corpus


def test_a_made_corpus_has_its_rows(tmp_path: Path) -> None:
    corpus = Corpus.open(labels.make(tmp_path / "corpus", labels.SHARD + 7))
    assert [entry.samples for entry in corpus.entries] == [labels.SHARD, 7]
    assert len(set(labels.words())) == labels.WORDS


def test_both_programs_and_their_ratio_are_reported(tmp_path: Path) -> None:
    command = [sys.executable, str(measure.ROOT / "bench" / "labels.py"), "--rows", "2000", "--rows", "6000"]
    command += ["--folder", str(tmp_path), "--out", str(tmp_path / "out.json")]
    subprocess.run(command, check=True, capture_output=True)
    found = json.loads((tmp_path / "out.json").read_text())
    ours = found["cases"]["tagmill view, 6,000"]
    assert ours["tags"] > 20_000 and ours["labels"] > 0 and ours["peak_memory_bytes"] > 0
    assert found["cases"]["DuckDB explode and count, 6,000"]["tags"] == 6000 * labels.TAGS
    assert "tagmill view: 6,000 / 2,000 rows" in found["ratios"]
