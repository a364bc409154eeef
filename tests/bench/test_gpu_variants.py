"""Tests the steps from DALI's reader to tagmill's backend, on DALI's CPU mode."""

import json
import time
from pathlib import Path

import pytest

pytest.importorskip("nvidia.dali")

from tagmill.bench import corpora
from tagmill.bench.gpu import variants
from tests.pipeline.corpora import picture


@pytest.mark.slow
def test_every_step_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "images").mkdir()
    for number in range(64):
        (tmp_path / "images" / f"{number:02d}.jpg").write_bytes(picture(number, 300, 280))
    corpora.make_corpus(tmp_path / "images", tmp_path / "corpus")
    out = tmp_path / "variants.json"
    told = ["--threads", "1", "--batch", "8", "--seconds", "0.01", "--rounds", "1", "--out", str(out)]
    variants.main([str(tmp_path / "corpus"), *told])
    runs = json.loads(out.read_text())["runs"]
    assert {"DALI's reader and graph", "tagmill's graph", "tagmill's backend"} <= runs.keys()
    for name, (run,) in runs.items():
        assert run["images_per_second"] > 0 and run["cpu_seconds_per_1000_images"] >= 0, name
    assert len(capsys.readouterr().out.splitlines()) == len(runs)


def test_threads_are_grouped_by_their_kind() -> None:
    before, begun = variants.thread_ticks(), time.thread_time()
    while time.thread_time() < begun + 0.3:
        sum(range(1000))
    assert (variants.thread_ticks() - before).total() >= 0.2 * variants.TICKS
