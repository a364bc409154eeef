"""Tests what is said of a run before it starts."""

from dataclasses import replace
from pathlib import Path

import pytest

from tagmill.train import train
from tests.pipeline.corpora import make_corpus
from tests.training.runs import VIT


def test_a_dry_run_plans_for_other_processes_and_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make_corpus(tmp_path, [40, 30, 20])
    config = replace(VIT, corpus=made.url, output=str(tmp_path / "model"), dry_run=True, steps=3, warmup_steps=7)
    found = train(replace(config, batch_size=96, processes=4, accumulation=2, memory_limit=1))
    said = capsys.readouterr().out
    assert "processes  4 on cpu" in said and "in 2 parts, 32 pixels" in said and "GiB of the loader" in said
    assert "WARNING    a step of 96 images is more than an epoch has (90)" in said
    assert "the warm-up of 672 images is not over when the run ends, after 288 images" in said
    assert found["steps"] == 3 and len(found["warnings"]) == 2 and not (tmp_path / "model").exists()
    assert train(replace(config, warmup_steps=0, steps=9))["warnings"] == ()
